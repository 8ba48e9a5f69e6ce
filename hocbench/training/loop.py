"""The training loop, the same for every stage."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hocbench.errors import RunError
from hocbench.nn.lasso import Penalty, ProximalStep, SubgradientPenalty
from hocbench.nn.resnet import ResNet
from hocbench.training.data import Samples, training_batches
from hocbench.training.losses import affect_loss
from hocbench.training.predict import mean_ccc, predict, score

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What the loop needs to know.

    Attributes
    ----------
    run : str
        Run id, for messages.
    options : dict
        The ``training`` part of a run's slice.
    order : int
        2 for images, 3 for clips.
    root_seed, seed : int
        Axes of the random numbers.
    lasso : float
        LASSO weight; 0 is no penalty.
    static_level : float or None
        Validation score of the 2-D network; recorded beside the epochs.
    log : callable
        Receives each row of the history.
    workers : int
        Processes that prepare batches.
    """

    run: str
    options: dict[str, Any]
    order: int
    root_seed: int
    seed: int
    lasso: float = 0.0
    static_level: float | None = None
    log: Callable[[dict[str, Any]], None] = lambda row: None
    workers: int = 0


@dataclass
class Outcome:
    """What training returns beside the network, which keeps its best epoch's state."""

    history: list[dict[str, Any]] = field(default_factory=list)
    samples: int = 0
    recovered_epoch: int | None = None
    wall_s: float = 0.0


def train(
    network: ResNet, training: Samples, validation: Samples, setting: Setting, accelerator: Accelerator
) -> Outcome:
    """Train a network in place and leave it in the state of its best epoch on validation.

    Parameters
    ----------
    network : ResNet
        Parameters that must not move have ``requires_grad`` off.
    training, validation : Samples
        Parts of one fold.
    setting : Setting
        Stage, seeds, options.
    accelerator : Accelerator
        Device and precision.

    Raises
    ------
    RunError
        If the loss or a prediction is not finite.
    """
    started, epochs = time.monotonic(), setting.options["epochs"]
    outcome = Outcome()
    model = accelerator.prepare(network)
    best, best_state = _validate(outcome, network, validation, setting, accelerator, epoch=0), _state(network)
    steps = _Steps(model, network, training, setting, accelerator) if epochs else None
    for epoch in range(1, epochs + 1):
        if steps is None or _stops(outcome, setting):
            break
        loss = steps.epoch(epoch)
        outcome.samples = steps.samples
        if steps.penalty is not None and epoch == epochs:
            steps.penalty.finish()
        level = _validate(outcome, network, validation, setting, accelerator, epoch, rate=steps.rate, loss=loss)
        # A penalised network must keep its last state: its zeros grow from epoch to epoch.
        if level > best or setting.lasso:
            best, best_state = level, _state(network)
            for row in outcome.history:
                row["kept"] = int(row["epoch"] == epoch)
    network.load_state_dict(best_state)
    outcome.wall_s = time.monotonic() - started
    return outcome


class _Steps:
    """Steps of the optimiser, epoch by epoch."""

    def __init__(
        self, model: nn.Module, network: ResNet, training: Samples, setting: Setting, accelerator: Accelerator
    ) -> None:
        self.model, self.network, self.training = model, network, training
        self.setting, self.accelerator = setting, accelerator
        optimizer, self.schedule, self.penalty = _optimizers(network, training, setting)
        self.optimizer = accelerator.prepare(optimizer)
        self.samples = 0
        self.rate = 0.0

    def epoch(self, epoch: int) -> float:
        """Pass over the training part once and return the mean loss."""
        self.network.train()
        losses = []
        for images, labels in _batches(self.training, self.setting, epoch):
            losses.append(self._step(images.to(self.accelerator.device), labels.to(self.accelerator.device), epoch))
            self.samples += len(images)
        return math.fsum(losses) / len(losses)

    def _step(self, images: Tensor, labels: Tensor, epoch: int) -> float:
        options, accelerator = self.setting.options, self.accelerator
        loss = affect_loss(self.model(images), labels, options["loss_weights"])
        if not torch.isfinite(loss):
            raise RunError(
                f"run {self.setting.run}: the loss is {loss.item()} in epoch {epoch}; "
                "lower learning_rate or gradient_clip"
            )
        accelerator.backward(loss)
        self.rate = self.schedule.get_last_lr()[0]
        if self.penalty is not None:
            self.penalty.step(self.rate)
        accelerator.clip_grad_norm_(self.network.parameters(), options["gradient_clip"])
        self.optimizer.step()
        self.schedule.step()
        self.network.zero_grad(set_to_none=True)
        return float(loss.item())


def _batches(training: Samples, setting: Setting, epoch: int) -> Any:
    where = (setting.root_seed, setting.seed, epoch)
    return training_batches(training, setting.order, setting.options, *where, workers=setting.workers)


def _optimizers(network: ResNet, training: Samples, setting: Setting) -> tuple[Any, Any, Penalty | None]:
    """Make AdamW without decay on vectors (BatchNorm, biases, λ), one cycle, and the penalty of LASSO."""
    options = setting.options
    penalty = _penalty(network, setting) if setting.lasso else None
    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    if penalty is not None and penalty.moves_weights:
        named = [(name, value) for name, value in named if not name.endswith(".weights")]
    groups = [
        {"params": [value for _, value in named if value.ndim > 1], "weight_decay": options["weight_decay"]},
        {"params": [value for _, value in named if value.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=options["learning_rate"], fused=True)
    # torch divides by zero when the rise has a single step.
    steps = max(options["epochs"] * len(_batches(training, setting, epoch=1)), math.ceil(2 / options["warmup_share"]))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options["learning_rate"], total_steps=steps + 1, pct_start=options["warmup_share"]
    )
    return optimizer, schedule, penalty


def _penalty(network: ResNet, setting: Setting) -> Penalty:
    options = setting.options
    if options["method"] == "subgradient":
        return SubgradientPenalty(network, setting.lasso, options["threshold"])
    return ProximalStep(network, setting.lasso, options["gradient_limit"], options["rate_factor"])


def _validate(
    outcome: Outcome,
    network: ResNet,
    validation: Samples,
    setting: Setting,
    accelerator: Accelerator,
    epoch: int,
    rate: float = 0.0,
    loss: float = float("nan"),
) -> float:
    length, step = setting.options["clip_length"], setting.options["frame_step"]
    prediction = predict(network, validation, setting.order, length, accelerator.device, step)
    if not np.isfinite(prediction).all():
        # The last step of an epoch has no loss after it that would tell.
        raise RunError(
            f"run {setting.run}: predictions are not finite after epoch {epoch}; lower learning_rate or gradient_clip"
        )
    scores = score(prediction, validation)
    level = mean_ccc(scores)
    row: dict[str, Any] = {
        "epoch": epoch,
        "train_loss": loss,
        "validation_loss": _loss(prediction, validation, setting),
    } | scores
    row |= {"learning_rate": rate, "kept": int(epoch == 0), "static_level": setting.static_level}
    outcome.history.append(row)
    if setting.static_level is not None and outcome.recovered_epoch is None and level >= setting.static_level:
        outcome.recovered_epoch = epoch
    LOGGER.info(
        "epoch %d: loss %.4f, validation CCC valence %.3f arousal %.3f",
        epoch,
        loss,
        scores["validation_ccc_valence"],
        scores["validation_ccc_arousal"],
    )
    setting.log(row)
    return level


def _loss(prediction: Any, validation: Samples, setting: Setting) -> float:
    truth = validation.store.frames[["valence", "arousal"]].to_numpy()[validation.rows]
    pair = torch.from_numpy(prediction).double(), torch.from_numpy(truth)
    return float(affect_loss(*pair, setting.options["loss_weights"]))


def _stops(outcome: Outcome, setting: Setting) -> bool:
    return bool(setting.options.get("stop_at_static")) and outcome.recovered_epoch is not None


def _state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
