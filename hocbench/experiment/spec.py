"""What one run is told: exactly what its stage reads, and under which key its rows stand."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from hocbench.config.base import Rank, Section, nested_models
from hocbench.config.crop import CropOptions
from hocbench.config.datasets import AnySplit
from hocbench.config.training import Augmentation, LossWeights
from hocbench.experiment.methods import Stage
from hocbench.experiment.tasks import VALENCE_AROUSAL, Task

# What says where results lie, and not what they are.
PLACES = {"run", "profile"}


class RunKey(Section):
    """What distinguishes one run from the others of a plan.

    Attributes
    ----------
    dataset, method : str
        Name of the dataset's entry and id of the method.
    factorization : {"cp", "tucker", "tt"} or None
        None where nothing is factorized.
    rank : "same", int, float or None
        A whole number counts components, a decimal one multiplies "same"; None where nothing is factorized.
    lasso : float
        LASSO weight of the 2-D network that it is, or descends from.
    ablation : str
        Name of the ablation; "" for the networks of the sweep.
    fold, seed : int
        Fold of the split and training seed.
    """

    dataset: str
    method: str
    factorization: Literal["cp", "tucker", "tt"] | None = None
    rank: Rank | None = None
    lasso: float = 0.0
    ablation: str = ""
    fold: int = 0
    seed: int = 0


class DataSpec(Section):
    """What a dataset's crops were made of, apart from the folder of a copy of one's own."""

    crop: CropOptions
    synthetic: dict[str, Any] | None = None
    exclude: tuple[str, ...] = ()


class NetworkSpec(Section):
    """The network that a run without a parent builds; ``kind`` may be one of the user's own.

    ``source`` is the hash of its file then. ``place`` says where that is and is never written down with the rest: a
    folder that was moved changes no run.
    """

    kind: str
    width: int
    stem: Literal["imagenet", "small"]
    rank: Rank | None = None
    inner_activation: bool = False
    source: str | None = None
    place: str | None = Field(default=None, exclude=True)


class TemporalSpec(Section):
    """What is known of the third dimension; None where a stage does not read it."""

    kernel_size: int
    init: Literal["ones", "average", "centre"] | None = None
    padding: Literal["zeros", "replicate"] | None = None


class LassoSpec(Section):
    """How λ is penalised; None where the method does not read it."""

    weight: float
    method: Literal["proximal", "subgradient"]
    threshold: float | None = None
    rate_factor: float | None = None
    gradient_limit: float | None = None

    @model_validator(mode="after")
    def _has_what_its_method_reads(self) -> "LassoSpec":
        read = {"subgradient": ("threshold",), "proximal": ("rate_factor", "gradient_limit")}[self.method]
        absent = [name for name in read if getattr(self, name) is None]
        if absent:
            raise ValueError(f"method {self.method} needs {' and '.join(absent)}")
        return self


class StepSpec(Section):
    """What moves the weights."""

    learning_rate: float
    weight_decay: float
    gradient_clip: float
    warmup_share: float
    mirror: bool
    augmentation: Augmentation = Augmentation()
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulation: int = 1
    recompute: bool = False
    clips: int | None = None
    stop_at_static: bool = False


class TrainingSpec(Section):
    """How a network is trained and looked at.

    Attributes
    ----------
    epochs : int
        0 for a network that is only scored.
    loss_weights : LossWeights or None
        Of the validation loss too; None for a classification.
    clip_length, frame_step : int or None
        Frames of a window, and from one of them to the next; None for images.
    batch_size, reestimation_batches : int or None
        None where no batch is drawn, and where BatchNorm keeps its statistics.
    steps : StepSpec or None
        None without epochs.
    lasso : LassoSpec or None
        None without a penalty.
    """

    epochs: int
    loss_weights: LossWeights | None = None
    clip_length: int | None = None
    frame_step: int | None = None
    batch_size: int | None = None
    reestimation_batches: int | None = None
    steps: StepSpec | None = None
    lasso: LassoSpec | None = None

    @model_validator(mode="after")
    def _has_what_it_reads(self) -> "TrainingSpec":
        if (self.steps or self.reestimation_batches) and self.batch_size is None:
            raise ValueError("batches are drawn, so batch_size is needed")
        return self


class RunSpec(Section):
    """One run.

    Attributes
    ----------
    run, profile : str
        Run id, and the name of the results folder.
    key : RunKey
        Where its rows stand.
    stage : str
        What its training does, and which batches it draws.
    order : {2, 3}
        It looks at images or frames (2), or at clips (3).
    root_seed, threads, processes, determinism
        As in the parameters.
    parent : str or None
        Id of the run whose network it starts from.
    split, data, training
        What it reads of the dataset, and how it is trained.
    network : NetworkSpec or None
        None with a parent, whose network it takes over.
    temporal : TemporalSpec or None
        None where no third dimension is added or built.
    rescales : bool
        Whether BatchNorm has to get its statistics anew before the first step.
    task : Task
        What it predicts.
    """

    run: str = ""
    profile: str
    key: RunKey
    stage: Stage
    order: Literal[2, 3]
    root_seed: int
    threads: int
    processes: int
    determinism: Literal["portable", "native"]
    parent: str | None = None
    split: AnySplit
    data: DataSpec
    network: NetworkSpec | None = None
    temporal: TemporalSpec | None = None
    training: TrainingSpec
    rescales: bool = False
    task: Task = VALENCE_AROUSAL

    @model_validator(mode="after")
    def _has_its_loss(self) -> "RunSpec":
        if (self.training.loss_weights is None) != bool(self.task.classes):
            raise ValueError("training.loss_weights belong to affect, which needs them, and to no classification")
        return self

    @property
    def name(self) -> str:
        """Its folder below the runs of a profile: dataset and id."""
        return f"{self.key.dataset}/{self.run}"

    @property
    def clip_length(self) -> int:
        """Frames that the network looks at: of a window, or one."""
        return self.training.clip_length or 1

    @property
    def batch_axes(self) -> dict[str, str | int | float]:
        """What its batches are drawn from; see `hocbench.seeds.generator`.

        Stages that follow each other, folds and datasets see other orders, windows and mirrorings. Networks of several
        kinds, ranks and ablations see the same ones, so that their difference is not one of batches. In the LASSO
        stage the weight counts too, because a run may start from that of a smaller weight.
        """
        key = self.key
        axes: dict[str, str | int | float] = {"stage": self.stage, "dataset": key.dataset}
        axes |= {"fold": key.fold, "seed": key.seed}
        return axes | {"lasso": key.lasso} if self.stage == "lasso" else axes

    @property
    def digest(self) -> str:
        """Eight digits of the hash of all that can change the run.

        What equals its neutral default is left out, so that a key that is added later renames no earlier run.
        """
        values = self.model_dump(mode="json", exclude=PLACES, exclude_defaults=True)
        return hashlib.sha256(canonical_json(values).encode()).hexdigest()[:8]

    def with_places(self, networks: Mapping[str, str]) -> "RunSpec":
        """Say where the class of its network is, out of the places of all networks of the user's own."""
        if self.network is None or self.network.kind not in networks:
            return self
        network = self.network.model_copy(update={"place": networks[self.network.kind]})
        return self.model_copy(update={"network": network})

    def text(self) -> str:
        """Spell it out as the JSON that ``hocbench fit --spec`` takes."""
        return canonical_json(self.model_dump(mode="json", exclude_defaults=True))


def canonical_json(value: Any) -> str:
    """Write plain values in the one form that is hashed and handed to jobs."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def is_neutral(key: str, value: Any) -> bool:
    """Whether a value in a spec is the one that a spec without its key stands for.

    Parameters
    ----------
    key : str
        Dotted, such as "training.steps.precision".
    value : object
        As JSON holds it.
    """
    models: list[type[BaseModel]] = [RunSpec]
    default: Any = None
    for part in key.split("."):
        field = next((model.model_fields[part] for model in models if part in model.model_fields), None)
        if field is not None:
            models, default = nested_models(field.annotation), field.default
        elif hasattr(default, part):
            default = getattr(default, part)
        else:
            return False
    return bool(json.dumps(value) == json.dumps(default, default=str))
