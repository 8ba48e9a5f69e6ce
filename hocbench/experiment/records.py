"""The datasets that hocbench knows."""

from dataclasses import dataclass

from hocbench.experiment.methods import CLIPS, IMAGES
from hocbench.experiment.tasks import VALENCE_AROUSAL, Task


@dataclass(frozen=True)
class Dataset:
    """A dataset, as tables, claims and figures know it.

    Attributes
    ----------
    name : str
        Of its entry in the parameters, its folders and its rows.
    title : str
        What people read.
    adapter : str
        Who reads its folder: ``module:Class`` or ``file.py:Class``.
    role : {"images", "clips"}
        What it consists of.
    cluster : str
        What is drawn in a bootstrap, because its frames belong together: "image" or "subject".
    control_of : str
        Name of the dataset whose negative control it is; "" for none.
    task : Task
        What is predicted on it.
    """

    name: str
    title: str
    adapter: str
    role: str
    cluster: str
    control_of: str = ""
    task: Task = VALENCE_AROUSAL

    @property
    def frames(self) -> str:
        """What its rows of predictions are, in words."""
        return "images" if self.role == IMAGES else "frames"


BUILT_IN = {
    dataset.name: dataset
    for dataset in (
        Dataset("affectnet", "AffectNet", "hocbench.datasets.affectnet:AffectNet", IMAGES, "image"),
        Dataset("sewa", "SEWA", "hocbench.datasets.sewa:Sewa", CLIPS, "subject"),
        Dataset("afew_va", "AFEW-VA", "hocbench.datasets.afew_va:AfewVa", CLIPS, "subject"),
    )
}
