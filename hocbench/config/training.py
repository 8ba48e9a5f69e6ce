"""The sections ``network``, ``temporal`` and ``training`` of ``params.yaml``."""

from typing import Annotated, Literal

from pydantic import Field

from hocbench.config.base import Count, Positive, Section, Share


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
    reestimation_batches: Count = Field(default=16, description="batches that re-estimate the statistics of BatchNorm")
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
