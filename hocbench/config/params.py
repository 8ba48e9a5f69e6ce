"""The whole of ``params.yaml``: types, descriptions, ranges and defaults of its keys."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hocbench.config.base import Count, Odd, Rank, Section, Seed
from hocbench.config.cluster import Cluster
from hocbench.config.datasets import Datasets
from hocbench.config.training import Network, Temporal, Training

Factorization = Literal["cp", "tucker", "tt"]
# The sections that an ablation may change: what a run reads, apart from its data.
CHANGEABLE = ("network", "temporal", "training", "determinism", "threads")


class Sweep(Section):
    """What is varied."""

    rank: list[Rank] = Field(
        min_length=1,
        description="'same' (the parameters of the dense layer), a number of components (16), or a multiple of "
        "'same' (16.0: 16 times)",
    )
    lasso: list[Annotated[float, Field(ge=0)]] = Field(
        min_length=1, description="LASSO weights, of CP networks; 0 is the plain network"
    )
    factorization: list[Factorization] = Field(
        default=["cp"], min_length=1, description="of the convolutions: CP as published, Tucker or tensor-train"
    )


class Ablation(Section):
    """A change beside the sweep, in rows of its own; what it leaves as it is, it shares with the sweep."""

    change: dict[str, Any] = Field(
        default={}, description="keys by their dotted names: {temporal.kernel_size: 5}; of network, temporal, training"
    )
    epochs_factor: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="times the epochs of every stage on clips"
    )
    methods: list[str] = Field(min_length=1, description="what is trained again, at the main rank of the sweep")
    dataset: str | None = Field(default=None, description="of clips, where it is tried; None: the first one")
    seeds: list[Seed] | None = Field(default=None, description="training seeds; None: those of the dataset")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.+-]*$")] | None = Field(
        default=None, description="of its rows; None: made of what it changes"
    )

    @property
    def title(self) -> str:
        """Name of its rows: as given, or ``kernel_size-5+epochs-x4``."""
        parts = [f"{key.rpartition('.')[2]}-{_spelled(value)}" for key, value in self.change.items()]
        return self.name or "+".join(parts + ([f"epochs-x{self.epochs_factor}"] if self.epochs_factor else []))

    @model_validator(mode="after")
    def _changes_something(self) -> "Ablation":
        if not self.change and not self.epochs_factor:
            raise ValueError("changes nothing; give change, such as {temporal.kernel_size: 5}, or epochs_factor")
        fixed = [key for key in self.change if key.partition(".")[0] not in CHANGEABLE]
        if fixed:
            raise ValueError(
                f"{', '.join(fixed)} cannot be changed in an ablation, keys of {', '.join(CHANGEABLE)} can; "
                "for other data add an entry of datasets"
            )
        return self


def _spelled(value: Any) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


class Evaluation(Section):
    """Intervals and controls."""

    replicates: Annotated[int, Field(ge=100)] = Field(description="bootstrap replicates")
    smoothing_windows: list[Odd] = Field(min_length=1, description="frames; the best on validation is taken")


class Speed(Section):
    """The speed benchmark, target ``speed``; no run depends on it."""

    scale: Literal["paper", "small", "tiny"] = Field(default="paper", description="sizes; the bars are about paper")
    threads: list[Count] = Field(default=[1, 2], min_length=1, description="CPU threads, each measured by itself")
    rounds: Count = Field(default=5, description="runs of each step, in turn; at least 5 to be quoted")


class Tracking(Section):
    """What MLflow is sent; no result depends on it."""

    weights: bool = Field(default=False, description="the weights of every run as well")


class Params(Section):
    """The whole of ``params.yaml``."""

    profile: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")] = Field(description="name of the results folder")
    seed: Seed = Field(description="root seed, from which all others are derived")
    threads: Count = Field(default=1, description="threads of one training process")
    determinism: Literal["portable", "native"] = Field(
        default="portable",
        description="instructions of a training on CPU: those of every CPU with AVX2, so that all give the same bytes, "
        "or those of the CPU that it runs on",
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        default=0, description="processes that read and change the batches of one training; no result depends on it"
    )
    processes: Count = Field(
        default=1, description="processes of one training on one machine, each with a GPU if there are GPUs"
    )
    checkpoint_minutes: Annotated[float, Field(ge=0)] = Field(
        default=10.0, description="from one checkpoint of a training to the next; no result depends on it"
    )
    tracking: Tracking = Tracking()
    datasets: Datasets
    sweep: Sweep
    networks: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], str] = Field(
        default={}, description="networks of your own, which baselines may name: FILE.py:CLASS or MODULE:CLASS"
    )
    ablations: list[Ablation] = Field(default=[], description="rows beside the sweep, each with one change")
    network: Network
    temporal: Temporal = Temporal()
    training: Training
    evaluation: Evaluation
    speed: Speed = Speed()
    cluster: Cluster = Cluster()
