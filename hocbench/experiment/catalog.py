"""The datasets of an experiment: what each is, whatever folder it lies in."""

from collections.abc import Mapping
from dataclasses import replace

from hocbench.config.datasets import DatasetEntry
from hocbench.errors import ParameterError
from hocbench.experiment.methods import CLIPS, IMAGES
from hocbench.experiment.records import BUILT_IN, Dataset
from hocbench.experiment.tasks import VALENCE_AROUSAL, Task
from hocbench.plugins import load_class


def make_catalog(entries: Mapping[str, DatasetEntry]) -> dict[str, Dataset]:
    """Describe the datasets that the parameters name.

    Parameters
    ----------
    entries : mapping of str to DatasetEntry
        The section ``datasets``.

    Raises
    ------
    ParameterError
        If an adapter cannot be loaded or says neither "images" nor "clips", or a control is of no dataset of clips.
    """
    catalog = {name: _describe(name, entry) for name, entry in entries.items()}
    for name, dataset in catalog.items():
        other = catalog.get(dataset.control_of)
        if dataset.control_of and (other is None or other.role != CLIPS or dataset.role != CLIPS):
            raise ParameterError(
                f"datasets.{name}.control_of: {dataset.control_of!r} is no dataset of clips of these parameters"
            )
    return catalog


def _describe(name: str, entry: DatasetEntry) -> Dataset:
    control = entry.control_of or ""
    if entry.adapter in BUILT_IN:
        known = BUILT_IN[entry.adapter]
        title = known.title if not control else f"{known.title} control"
        return replace(known, name=name, title=entry.title or title, control_of=control)
    key = f"datasets.{name}.adapter"
    adapter = load_class(entry.adapter, key, BUILT_IN)
    role = getattr(adapter, "role", None)
    if role not in (IMAGES, CLIPS):
        raise ParameterError(f"{key}: role of {entry.adapter} is {role!r}; give it the attribute role = {CLIPS!r}")
    task = getattr(adapter, "task", VALENCE_AROUSAL)
    if not isinstance(task, Task):
        raise ParameterError(
            f"{key}: task of {entry.adapter} is {task!r}; make it by affect or classification of "
            "hocbench.experiment.tasks"
        )
    title = entry.title or str(getattr(adapter, "title", name))
    return Dataset(name, title, entry.adapter, role, "image" if role == IMAGES else "subject", control, task)
