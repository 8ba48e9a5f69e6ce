"""Every method once: what its rows are called, how its network is made and what it starts from."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from hocbench.errors import ParameterError

Stage = Literal["static", "lasso", "frames", "temporal", "joint", "scratch"]
# Who says how the network of a method is made: the sweep over factorizations, or the method itself.
FACTORIZED = "factorized"
FACTORIZATION_TITLES = {"cp": "CP", "tucker": "Tucker", "tt": "tensor-train"}
IMAGES: Literal["images"] = "images"
CLIPS: Literal["clips"] = "clips"
SMOOTHED = "_smoothed"


@dataclass(frozen=True)
class Method:
    """A row of the tables, at each rank, factorization and LASSO weight.

    Attributes
    ----------
    id : str
        Name in parameters, ids of runs and tables.
    title : str
        What people read; ``{}`` is the factorization.
    stage : str
        What its training does, and which batches it draws; networks of one stage get the same batches.
    network : str
        `FACTORIZED`, "dense", "inflated", "2plus1d", or a name of ``networks``.
    role : {"images", "clips"}
        What it is trained on. On clips, a method of images is scored as it is.
    start : str or None
        Id of the method whose network it starts from.
    order : {2, 3}
        Of its convolutions: it looks at images or frames (2), or at clips (3).
    settings : str
        Its key in ``training.stages``; "" for that of its stage.
    trained : bool
        Whether its weights are moved.
    look : (int, str, str)
        Number of its colour, marker and dash in figures.
    averages : str
        Id of the method whose outputs it averages over time; "" for a network.
    """

    id: str
    title: str
    stage: Stage
    network: str = FACTORIZED
    role: Literal["images", "clips"] = CLIPS
    start: str | None = None
    order: Literal[2, 3] = 3
    settings: str = ""
    trained: bool = True
    look: tuple[int, str, str] = (6, "*", "-")
    averages: str = ""

    @property
    def is_factorized(self) -> bool:
        """Whether its network has a rank."""
        return self.network == FACTORIZED

    @property
    def rescales(self) -> bool:
        """Whether training begins with another scale of activations than BatchNorm knows: λ or kernels were changed."""
        return self.stage in ("lasso", "temporal") or self.network == "inflated"

    def named(self, factorization: str) -> str:
        """Return the title of its rows of a factorization, "" for none."""
        return self.title.replace("{}", FACTORIZATION_TITLES.get(factorization, factorization))


# In the order of legends. No two methods of one panel share a colour, no two methods a marker.
METHODS = {
    method.id: method
    for method in (
        Method("static", "{} 2-D, static", "static", role=IMAGES, order=2, look=(0, "o", "-")),
        Method("static_dense", "dense 2-D, static", "static", "dense", IMAGES, order=2, look=(6, "s", "--")),
        Method("static_smoothed", "{} 2-D, static + moving average", "static", order=2, look=(1, "v", "--"),
               averages="static"),
        Method("lasso", "{} 2-D, LASSO", "lasso", role=IMAGES, start="static", order=2, look=(4, "X", "--")),
        Method("frames", "{} 2-D, fine-tuned on frames (reference)", "frames", start="static", order=2,
               look=(5, "D", "-")),
        Method("frames_smoothed", "{} 2-D, fine-tuned on frames + moving average", "frames", order=2,
               look=(3, "p", "--"), averages="frames"),
        Method("untrained", "{} 3-D, transducted, untrained", "temporal", start="static", trained=False,
               look=(0, ">", ":")),
        Method("temporal", "{} 3-D, temporal factors trained", "temporal", start="static", look=(4, "^", "-.")),
        Method("joint", "{} 3-D, temporal then joint", "joint", start="temporal", look=(2, "P", "-")),
        Method("scratch", "{} 3-D from scratch", "scratch", look=(1, "<", ":")),
        Method("inflated", "dense 2-D inflated to 3-D", "joint", "inflated", start="static_dense", settings="inflated",
               look=(3, "h", "--")),
        Method("scratch_dense", "dense 3-D from scratch", "scratch", "dense", look=(6, "d", ":")),
        Method("scratch_2plus1d", "dense (2+1)-D from scratch", "scratch", "2plus1d", look=(0, "*", "-.")),
    )
}  # fmt: skip
# What is trained on every dataset of clips, beside the baselines that its entry names.
ALWAYS = ("static", "temporal", "joint")


def with_networks(names: Mapping[str, str]) -> dict[str, Method]:
    """Return all methods: ours, and the user's own networks, trained from scratch on clips.

    Parameters
    ----------
    names : mapping of str to str
        Titles of the user's networks by the names that ``networks`` gives them.
    """
    return METHODS | {name: Method(name, title, "scratch", name) for name, title in names.items()}


def find_method(name: str, methods: Mapping[str, Method], key: str) -> Method:
    """Find a method that parameters name.

    Raises
    ------
    ParameterError
        If there is none: the key, the name and the nearest one.
    """
    choices = [each.id for each in methods.values() if not each.averages and each.stage != "lasso"]
    if name in choices:
        return methods[name]
    renamed = {"scratch_cp": "scratch"}
    near = [renamed[name]] if name in renamed else difflib.get_close_matches(name, choices, n=1, cutoff=0.0)
    raise ParameterError(
        f"{key}: there is no method {name!r}; did you mean {near[0]}? All of them: {', '.join(choices)}. A network of "
        "your own has to be an entry of networks"
    )
