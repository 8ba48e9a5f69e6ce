"""Types, descriptions, ranges and defaults of every key of ``params.yaml``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hocbench.config.base import Count, Odd, Positive, Rank, Section, Seed, Share
from hocbench.config.cluster import Cluster
from hocbench.config.crop import CropOptions


class AffectNetSynthetic(Section):
    """Size of the AffectNet-like still images."""

    seed: Seed = Field(description="data seed")
    images: Count = Field(description="training rows")
    validation_images: Count = Field(description="rows of the official validation list")
    size: Annotated[int, Field(ge=48)] = Field(description="pixels per side")


class SewaSynthetic(Section):
    """Size of the SEWA-like video chats."""

    seed: Seed = Field(description="data seed")
    subjects: Annotated[int, Field(ge=4, multiple_of=2)] = Field(description="persons, two per session")
    frames: Annotated[int, Field(ge=4)] = Field(description="frames per clip")
    height: Annotated[int, Field(ge=48, multiple_of=2)] = Field(description="pixels")
    width: Annotated[int, Field(ge=48, multiple_of=2)] = Field(description="pixels")
    fps: Count = Field(description="frames and labels per second")
    motion_cues: bool = Field(default=True, description="False makes the negative control without temporal information")


class AfewVaSynthetic(Section):
    """Size of the AFEW-VA-like film clips."""

    seed: Seed = Field(description="data seed")
    clips: Count = Field(description="clips in all")
    actors: Count = Field(description="persons in all")
    frames_min: Annotated[int, Field(ge=4)] = Field(description="frames of the shortest clip")
    frames_max: Annotated[int, Field(ge=4)] = Field(description="frames of the longest clip")
    size: Annotated[int, Field(ge=48)] = Field(description="pixels per side")


class Download(Section):
    """A file to fetch into the dataset's folder; archives are unpacked there."""

    url: str = Field(description="http, https or file address; credentials come from the environment")
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = Field(
        default=None, description="checksum that the file must have"
    )


class _Split(Section):
    """A protocol; keys of the other protocols are left behind, since an overlay cannot take them out."""

    @model_validator(mode="before")
    @classmethod
    def _drop_other_keys(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        own = cls.model_fields
        return {key: value for key, value in values.items() if key in own or key not in SPLIT_KEYS}


class FileSplit(_Split):
    """A list of the user's own; one that puts a person on two sides is refused."""

    kind: Literal["file"] = Field(description="protocol")
    path: str = Field(description="CSV with the columns part and clip, subject or session; fold is optional")


class OfficialSplit(_Split):
    """The dataset's own lists; part of its training list is kept for choices."""

    kind: Literal["official"] = Field(description="protocol")
    validation_share: Share = Field(description="share of the training list that choices are made on")
    seed: Seed = Field(default=0, description="split seed")


class SessionSplit(_Split):
    """Subject-independent parts with both partners of a session on one side."""

    kind: Literal["sessions"] = Field(description="protocol")
    ratio: tuple[Positive, Positive, Positive] = Field(description="training : validation : test")
    seed: Seed = Field(default=0, description="split seed")


class SubjectSplit(_Split):
    """Cross-validation folds by subject."""

    kind: Literal["subjects"] = Field(description="protocol")
    folds: Annotated[int, Field(ge=2)] = Field(description="number of folds")
    validation_share: Share = Field(description="share of the other folds' subjects that choices are made on")
    seed: Seed = Field(default=0, description="split seed")


class GivenList(FileSplit):
    """A list as the workflow hands it on, with the hash that it had."""

    sha256: str | None = Field(default=None, description="of the list")


AnySplit = Annotated[OfficialSplit | SessionSplit | SubjectSplit | GivenList, Field(discriminator="kind")]
SPLIT_KEYS = {key for model in (FileSplit, OfficialSplit, SessionSplit, SubjectSplit) for key in model.model_fields}


class _Dataset(Section):
    root: str = Field(description="dataset folder; below data/synthetic/ it is rendered, elsewhere it must exist")
    fetch: list[Download] = Field(default=[], description="files to download into the root first")
    exclude: list[str] = Field(
        default=[], description="clips to leave out, by name or by their folder or archive below the root"
    )


class AffectNet(_Dataset):
    """Still images."""

    synthetic: AffectNetSynthetic | None = Field(
        default=None, description="used when the root lies below data/synthetic/"
    )
    crop: CropOptions
    split: Annotated[OfficialSplit | FileSplit, Field(discriminator="kind")]
    seeds: list[Seed] = Field(min_length=1, description="training seeds")


Rival = Literal["static_dense", "frames", "untrained", "inflated", "scratch_dense", "scratch_2plus1d", "scratch_cp"]


class _Video(_Dataset):
    crop: CropOptions
    folds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1, description="folds to run")
    seeds: list[Seed] = Field(min_length=1, description="training seeds, each among the static ones")
    lasso: bool = Field(description="whether the LASSO sweep goes on to this dataset")
    rivals: list[Rival] = Field(description="networks beside static, temporal and joint")


class Sewa(_Video):
    """Video chats."""

    synthetic: SewaSynthetic | None = Field(default=None, description="used when the root lies below data/synthetic/")
    split: Annotated[SessionSplit | FileSplit, Field(discriminator="kind")]


class AfewVa(_Video):
    """Film clips."""

    synthetic: AfewVaSynthetic | None = Field(default=None, description="used when the root lies below data/synthetic/")
    split: Annotated[SubjectSplit | FileSplit, Field(discriminator="kind")]


class Datasets(Section):
    """One static dataset and two video datasets, and a third to test the method by."""

    affectnet: AffectNet
    sewa: Sewa
    afew_va: AfewVa
    sewa_control: Sewa | None = Field(
        default=None, description="a negative control in the layout of SEWA; its own rendering has motion_cues: false"
    )

    def present(self) -> dict[str, AffectNet | Sewa | AfewVa]:
        """Return the datasets that there are, by name."""
        return {name: dataset for name, dataset in self if dataset is not None}


class Network(Section):
    """Size of every ResNet-18."""

    width: Count = Field(description="channels of the first stage")
    stem: Literal["imagenet", "small"] = Field(description="7×7 with pooling, or 3×3")
    inner_activation: bool = Field(
        default=False, description="BatchNorm and ReLU after the first projection of CP layers, the published Ψ"
    )


class Temporal(Section):
    """What transduction adds."""

    kernel_size: Literal[1, 3, 5, 7, 9] = Field(default=3, description="frames seen by one convolution")
    init: Literal["ones", "average", "centre"] = Field(default="ones", description="start of the temporal factors")
    padding: Literal["zeros", "replicate"] = Field(default="zeros", description="at the ends of a clip")


class LossWeights(Section):
    """Weights of the terms of the loss."""

    rmse: Annotated[float, Field(ge=0)] = Field(default=1.0, description="weight of RMSE")
    pcc: Annotated[float, Field(ge=0)] = Field(default=1.0, description="weight of 1 - PCC")
    ccc: Annotated[float, Field(ge=0)] = Field(default=1.0, description="weight of 1 - CCC")


class Stage(Section):
    """One stage of training."""

    epochs: Annotated[int, Field(ge=0)] = Field(description="passes over the training part; the best is kept")
    learning_rate: Positive = Field(description="peak of the one-cycle schedule")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="images, or clips of clip_length frames")


class LassoStage(Stage):
    """The stage that penalises λ."""

    method: Literal["proximal", "subgradient"] = Field(
        default="proximal", description="soft threshold after each step, or the published L1 term in the loss"
    )
    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05,
        description="subgradient: at the end, smaller λ become 0; in units of their layer's root mean square, of which "
        "the largest λ never is below 1",
    )
    rate_factor: Positive = Field(default=250.0, description="proximal: learning rate of λ in units of the main one")
    gradient_limit: Positive = Field(
        default=0.1, description="proximal: gradients of λ are clamped to this; no weight of the sweep may be above it"
    )
    warm_start: bool = Field(
        default=False,
        description="start from the network of the next smaller weight of the sweep, not from the plain one",
    )


class TemporalStage(Stage):
    """The stage that trains the temporal factors alone."""

    stop_at_static: bool = Field(default=False, description="end once the score of the 2-D network is reached")


class Stages(Section):
    """All stages."""

    static: Stage
    lasso: LassoStage
    frames: Stage
    temporal: TemporalStage
    joint: Stage
    inflated: Stage
    scratch: Stage


class Augmentation(Section):
    """Largest random changes of a training sample, the same for all frames of a clip; 0 is none."""

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = Field(default=0.0, description="to either side")
    scale: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="larger or smaller by this share")
    shift: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="share of the side, both ways")
    brightness: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="share up or down")
    contrast: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.0, description="share up or down")
    saturation: Annotated[float, Field(ge=0, le=1)] = Field(default=0.0, description="share up or down")


class Training(Section):
    """What all stages share, and each stage."""

    clip_length: Annotated[int, Field(ge=2)] = Field(description="frames of a training window")
    frame_step: Count = Field(default=1, description="frames of the video from one frame of a window to the next")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.01, description="of AdamW, matrices only")
    gradient_clip: Positive = Field(default=1.0, description="largest norm of the gradient")
    warmup_share: Share = Field(default=0.25, description="share of the steps in which the learning rate rises")
    mirror: bool = Field(default=True, description="random mirroring, the same for all frames of a clip")
    augmentation: Augmentation = Augmentation()
    loss_weights: LossWeights = LossWeights()
    reestimation_batches: Count = Field(default=16, description="batches that give BatchNorm its statistics anew")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="of the forward and backward pass of training; scores are always of float32"
    )
    accumulation: Count = Field(
        default=1, description="parts that a batch is passed in, each with a loss and BatchNorm statistics of its own"
    )
    recompute: bool = Field(
        default=False, description="compute residual blocks again in the backward pass: less memory, more time"
    )
    clips: Count | None = Field(
        default=None, description="of the training part of video, the first of a fixed random order; None: all"
    )
    stages: Stages


class Sweep(Section):
    """What is varied."""

    rank: list[Rank] = Field(
        min_length=1,
        description="'same' (the parameters of the dense layer), a number of components (16), or a multiple of "
        "'same' (16.0: 16 times)",
    )
    lasso: list[Annotated[float, Field(ge=0)]] = Field(
        min_length=1, description="LASSO weights; 0 is the plain network"
    )


VideoRun = Literal[
    "static", "frames", "untrained", "temporal", "joint", "inflated", "scratch_dense", "scratch_2plus1d", "scratch_cp"
]


class Experiment(Section):
    """A change of the plain networks on video, in rows of its own; what it leaves as it is, it shares with them."""

    dataset: Literal["sewa", "afew_va", "sewa_control"] = Field(default="sewa", description="where it is tried")
    runs: list[VideoRun] = Field(min_length=1, description="what is trained anew, at the first rank of the sweep")
    seeds: list[Seed] | None = Field(default=None, description="training seeds; None: those of the dataset")
    kernel_size: Literal[1, 3, 5, 7, 9] | None = Field(default=None, description="of the temporal factors")
    init: Literal["ones", "average", "centre"] | None = Field(default=None, description="of the temporal factors")
    inner_activation: bool | None = Field(default=None, description="BatchNorm and ReLU inside CP layers")
    clips: Count | None = Field(default=None, description="number of training clips")
    epochs_factor: Annotated[int, Field(ge=2)] | None = Field(
        default=None, description="times the epochs of every stage on video"
    )

    @property
    def variant(self) -> str:
        """Name of the change, made of the keys that are given."""
        parts = {
            "kernel": self.kernel_size,
            "init": self.init,
            "inner-activation": {True: "on", False: "off", None: None}[self.inner_activation],
            "clips": self.clips,
            "epochs": f"x{self.epochs_factor}" if self.epochs_factor else None,
        }
        return "+".join(f"{name}-{value}" for name, value in parts.items() if value is not None)

    @model_validator(mode="after")
    def _changes_something(self) -> "Experiment":
        if not self.variant:
            raise ValueError("changes nothing; give kernel_size, init, inner_activation, clips or epochs_factor")
        return self


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
    experiments: list[Experiment] = Field(default=[], description="rows beside the sweep, each with one change")
    network: Network
    temporal: Temporal = Temporal()
    training: Training
    evaluation: Evaluation
    speed: Speed = Speed()
    cluster: Cluster = Cluster()
