"""The training loop, the same for every stage, which can be left at any step and gone on with later."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hocbench.errors import RunError
from hocbench.experiment.spec import RunSpec, StepSpec
from hocbench.nn import reestimate_batchnorm
from hocbench.nn.lasso import Penalty
from hocbench.nn.layers import describe_layers
from hocbench.training.data import steps_per_epoch, training_batches, window_shape
from hocbench.training.devices import Accelerator, autocast, gather, share_buffers
from hocbench.training.losses import task_loss
from hocbench.training.optimizers import make_optimizers
from hocbench.training.outcome import Outcome, noted_implementations
from hocbench.training.predict import main_score, predict, score, scored_units, spell
from hocbench.training.samples import Samples
from hocbench.training.state import (
    State,
    capture_generators,
    capture_optimizer,
    restore_generators,
    restore_optimizer,
    state_of,
    with_prefix,
    without_prefix,
)

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What the loop needs to know.

    Attributes
    ----------
    spec : RunSpec
        What the run is told.
    static_level : float or None
        Validation score of the 2-D network; recorded beside the epochs.
    log : callable
        Receives each row of the history.
    workers : int
        Processes that prepare batches.
    """

    spec: RunSpec
    static_level: float | None = None
    log: Callable[[dict[str, Any]], None] = lambda row: None
    workers: int = 0


def nothing() -> None:
    """Do nothing: the pulse of a training that is never stopped."""


@dataclass(frozen=True)
class _Moving:
    """What moves the weights of a network that is trained."""

    spec: StepSpec
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    penalty: Penalty | None


class Training:
    """One stage's training of a network.

    Parameters
    ----------
    network : Module
        Trained in place; parameters that must not move have ``requires_grad`` off.
    training, validation : Samples
        Parts of one fold.
    setting : Setting
        Stage, seeds, options.
    accelerator : Accelerator
        Device, and the other processes if there are several.

    Attributes
    ----------
    outcome : Outcome
        What has been reached.
    pulse : callable
        Called after each step and each batch of a validation; it may save `state` and end the training by an
        exception, at any of these places.
    """

    def __init__(
        self, network: nn.Module, training: Samples, validation: Samples, setting: Setting, accelerator: Accelerator
    ) -> None:
        self.network, self.training, self.validation = network, training, validation
        self.setting, self.accelerator = setting, accelerator
        self.outcome = Outcome()
        self.pulse: Callable[[], None] = nothing
        self._accounted = time.monotonic()
        self.model: nn.Module = accelerator.prepare(network)
        self.best_state = state_of(network)
        told = setting.spec.training
        self.steps: _Moving | None = None
        if told.steps is not None:
            count = steps_per_epoch(training, told)
            optimizer, schedule, penalty = make_optimizers(network, told, told.steps, count)
            self.steps = _Moving(told.steps, accelerator.prepare(optimizer), schedule, penalty)

    def run(self) -> Outcome:
        """Train on, and leave the network in the state of its best epoch on validation.

        Raises
        ------
        RunError
            If the loss or a prediction is not finite.
        """
        outcome = self.outcome
        with noted_implementations(self.network, outcome.paths):
            while not self._is_over():
                moving = self.steps if outcome.epoch else None
                loss: float = math.nan if moving is None else self._epoch(moving)
                self._validate(loss)
                outcome.epoch, outcome.step, outcome.losses = outcome.epoch + 1, 0, []
                self.pulse()
        self._account()
        self.network.load_state_dict(self.best_state)
        return outcome

    def reestimate(self) -> None:
        """Give BatchNorm its statistics anew, from whole batches that are not augmented: the same in every process."""
        spec, device = self.setting.spec, self.accelerator.device
        batches = training_batches(self.training, spec, -1, learn=False)
        chosen = islice(batches, spec.training.reestimation_batches)
        reestimate_batchnorm(self.network, (inputs.to(device) for inputs, _ in chosen))

    def state(self) -> State:
        """Capture all that the rest of the training depends on."""
        self._account()
        generators = capture_generators()
        tensors = with_prefix("network", self.network.state_dict()) | with_prefix("best", self.best_state)
        tensors |= generators.tensors
        values: dict[str, Any] = {"outcome": asdict(self.outcome), "generators": generators.values}
        if self.steps is not None:
            optimizer, schedule = capture_optimizer(self.steps.optimizer), self.steps.schedule.state_dict()
            tensors |= optimizer.tensors
            values["schedule"] = {key: value for key, value in schedule.items() if not callable(value)}
            values["optimizer"] = optimizer.values
        return State(tensors, values)

    def restore(self, state: State) -> None:
        """Go back to a captured state; `run` then goes on as if it had never stopped."""
        values, device = state.values, self.accelerator.device
        self.outcome = Outcome(**values["outcome"])
        self.network.load_state_dict(without_prefix("network", state.tensors))
        self.best_state = {name: value.to(device) for name, value in without_prefix("best", state.tensors).items()}
        if self.steps is not None:
            restore_optimizer(self.steps.optimizer, State(state.tensors, values["optimizer"]))
            self.steps.schedule.load_state_dict(values["schedule"])
        restore_generators(State(state.tensors, values["generators"]))

    def _account(self) -> None:
        now = time.monotonic()
        self.outcome.wall_s, self._accounted = self.outcome.wall_s + now - self._accounted, now

    def _is_over(self) -> bool:
        outcome, told = self.outcome, self.setting.spec.training
        recovered = told.steps is not None and told.steps.stop_at_static and outcome.recovered_epoch is not None
        return outcome.epoch > told.epochs or recovered

    def _epoch(self, moving: _Moving) -> float:
        """Pass over what is left of the training part in this epoch; return the mean loss of all of it."""
        outcome, told = self.outcome, self.setting.spec.training
        self.network.train()
        for micro_batches in self._batches(moving.spec.accumulation):
            outcome.losses.append(self._step(moving, micro_batches))
            outcome.step += 1
            self.pulse()
        if moving.penalty is not None and told.lasso is not None:
            if outcome.epoch == told.epochs:
                moving.penalty.finish()
                self._report_empty_layers(told.lasso.weight)
            # A threshold, after the last step or in each one, takes components away that the statistics still count.
            self.reestimate()
        return math.fsum(outcome.losses) / len(outcome.losses)

    def _report_empty_layers(self, weight: float) -> None:
        empty = [layer["name"] for layer in describe_layers(self.network) if layer["zeros"] == layer["rank"]]
        if empty:
            LOGGER.warning(
                "LASSO weight %g left no component in %s: their output no longer depends on the picture; "
                "a smaller weight keeps some",
                *(weight, ", ".join(empty)),
            )

    def _batches(self, parts: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Yield the parts of each step's batch, and count the time that it takes to get them."""
        outcome, setting = self.outcome, self.setting
        share = (self.accelerator.process_index, self.accelerator.num_processes)
        loader = training_batches(
            self.training,
            setting.spec,
            outcome.epoch,
            workers=setting.workers,
            first_step=outcome.step,
            share=share,
        )
        batches = iter(loader)
        for _ in range(len(loader) // parts):
            started = time.monotonic()
            micro_batches = [next(batches) for _ in range(parts)]
            waited = time.monotonic() - started
            yield micro_batches
            outcome.waiting_s += waited
            outcome.steps_s += time.monotonic() - started

    def _step(self, moving: _Moving, micro_batches: list[tuple[Tensor, Tensor]]) -> float:
        accelerator, outcome = self.accelerator, self.outcome
        total = 0.0
        for number, (images, labels) in enumerate(micro_batches):
            # Gradients are summed over processes once, after the last part.
            last = number == len(micro_batches) - 1
            with nullcontext() if last else accelerator.no_sync(self.model):
                total += self._backward(moving.spec, images, labels)
            outcome.part = len(images) * accelerator.num_processes
            outcome.samples += outcome.part
        outcome.rate = float(moving.schedule.get_last_lr()[0])
        if moving.penalty is not None:
            moving.penalty.step(outcome.rate)
        accelerator.clip_grad_norm_(self.network.parameters(), moving.spec.gradient_clip)
        moving.optimizer.step()
        moving.schedule.step()
        self.network.zero_grad(set_to_none=True)
        return total

    def _backward(self, steps: StepSpec, images: Tensor, labels: Tensor) -> float:
        """Add the gradients of one part of a batch; its loss is a statistic of this part, over all processes."""
        spec, accelerator = self.setting.spec, self.accelerator
        device, processes = accelerator.device, accelerator.num_processes
        with autocast(steps.precision, device):
            prediction = self.model(images.to(device))
        # Correlations of half-precision numbers would lose what they measure.
        prediction = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
        pair = gather(prediction), gather(labels.to(device))
        loss = task_loss(spec.task, *pair, spec.training.loss_weights) / steps.accumulation
        if not torch.isfinite(loss):
            raise RunError(
                f"run {spec.run}: the loss is {loss.item()} in epoch {self.outcome.epoch}; "
                "lower learning_rate or gradient_clip"
            )
        accelerator.backward(loss * processes)
        return float(loss.item())

    def _validate(self, loss: float) -> None:
        """Score the network, write the epoch's row, and keep the network if it is the best so far."""
        outcome, setting, accelerator = self.outcome, self.setting, self.accelerator
        epoch, spec = outcome.epoch, setting.spec
        share_buffers(self.network)
        length, step = window_shape(spec.training)
        prediction = predict(self.network, self.validation, spec.order, length, accelerator.device, step, self.pulse)
        if not np.isfinite(prediction).all():
            # The last step of an epoch has no loss after it that would tell.
            raise RunError(
                f"run {spec.run}: predictions are not finite after epoch {epoch}; lower learning_rate or gradient_clip"
            )
        scores = score(prediction, self.validation)
        level, validation_loss = main_score(scores), _loss(prediction, self.validation, spec)
        # A penalised network must keep its last state: its zeros grow from epoch to epoch.
        kept = epoch == 0 or self._is_best(level, validation_loss) or spec.training.lasso is not None
        if kept:
            outcome.best, self.best_state = level, state_of(self.network)
            for earlier in outcome.history:
                earlier["kept"] = 0
        row: dict[str, Any] = {"epoch": epoch, "train_loss": loss, "validation_loss": validation_loss} | scores
        row |= {"learning_rate": outcome.rate, "kept": int(kept), "static_level": setting.static_level}
        outcome.history.append(row)
        if setting.static_level is not None and outcome.recovered_epoch is None and level >= setting.static_level:
            outcome.recovered_epoch = epoch
        LOGGER.info("epoch %d: loss %.4f, validation %s", epoch, loss, spell(scores))
        setting.log(row)

    def _is_best(self, level: float, loss: float) -> bool:
        """Whether an epoch is better than those before; of few clips many have the same AUC, so the loss decides."""
        outcome = self.outcome
        if self.setting.spec.task.classes and level == outcome.best:
            return loss < min(row["validation_loss"] for row in outcome.history if row["kept"])
        return level > outcome.best


def _loss(prediction: np.ndarray, validation: Samples, spec: RunSpec) -> float:
    labels, outputs = (torch.from_numpy(values) for values in scored_units(prediction, validation))
    return float(task_loss(spec.task, outputs.double(), labels, spec.training.loss_weights))
