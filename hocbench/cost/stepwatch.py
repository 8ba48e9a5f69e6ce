"""One clock for the steps of a run's training, whether the run is only planned or finished."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.cost.hours import Seconds
from hocbench.errors import RunError
from hocbench.experiment.spec import RunSpec, StepSpec
from hocbench.nn import FactorizedConv, ResNet
from hocbench.training.data import batch_size
from hocbench.training.determinism import as_runs_compute
from hocbench.training.devices import Accelerator
from hocbench.training.loop import Setting, Training
from hocbench.training.samples import Samples

WAITING, FORWARD, LOSS, BACKWARD = "waiting for data", "forward", "loss", "backward"
PENALTY, OPTIMIZER, REST = "penalty and clipping", "optimizer step", "everything else"
PARTS = (WAITING, FORWARD, LOSS, BACKWARD, PENALTY, OPTIMIZER, REST)


class NotedAccelerator(Accelerator):
    """An accelerator that calls ``lap`` with the part of a step that has just ended."""

    lap: Callable[[str], None] = staticmethod(lambda part: None)

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Pass back, with a lap before and after."""
        self.lap(LOSS)
        super().backward(loss, **options)
        self.lap(BACKWARD)

    def clip_grad_norm_(self, *arguments: Any, **options: Any) -> Any:
        """Clip gradients, with a lap after it."""
        norm = super().clip_grad_norm_(*arguments, **options)
        self.lap(PENALTY)
        return norm


def steps_of(spec: RunSpec) -> StepSpec:
    """Return what moves a run's weights; a RunError where nothing does."""
    if spec.training.steps is None:
        raise RunError(
            f"run {spec.name} was not trained (0 epochs), so it has no steps; profile a run that starts from it"
        )
    return spec.training.steps


@contextmanager
def one_process(threads: int) -> Iterator[NotedAccelerator]:
    """Compute as runs do inside the block, in one process that stands for all of a run."""
    with as_runs_compute(threads):
        yield NotedAccelerator(cpu=torch.cuda.device_count() == 0)


def make_training(
    spec: RunSpec, network: nn.Module, train: Samples, validation: Samples, accelerator: NotedAccelerator
) -> Training:
    """Build a run's training as it is after its first validation, for one process with its share of a batch.

    Parameters
    ----------
    spec : RunSpec
        Of a run with epochs.
    network : Module
        With the layers of the run's network.
    train, validation : Samples
        What it learns from and is scored on.
    accelerator : NotedAccelerator
        From `one_process`.
    """
    steps = steps_of(spec)
    # Whoever measures ends it. The rate follows a longer cycle, which costs the same.
    longer: dict[str, Any] = {"epochs": 10**6, "batch_size": batch_size(spec.training) // spec.processes}
    longer |= {"steps": steps.model_copy(update={"stop_at_static": False})}
    if isinstance(network, ResNet):
        network.recompute = steps.recompute
    if spec.stage == "temporal":
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.endswith("factors.time")
    setting = Setting(spec.model_copy(update={"training": spec.training.model_copy(update=longer)}))
    training = Training(network.to(accelerator.device), train, validation, setting, accelerator)
    training.outcome.epoch = 1
    return training


@dataclass
class Step:
    """What one step took.

    Attributes
    ----------
    seconds : Seconds
        In all.
    parts, layers : dict of str to float
        Seconds by the clock of each of `PARTS`, which add up to the step, and of the forward passes of watched layers.
    """

    seconds: Seconds = field(default_factory=lambda: Seconds(0.0, 0.0))
    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    layers: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class _Enough(Exception):  # noqa: N818 - not an error
    """Ends a training that was begun only to be measured."""


def now(device: torch.device) -> Seconds:
    """Read both clocks, after all work asked of a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Seconds(time.process_time(), time.perf_counter())


class StepWatch:
    """Takes the time of the steps of a training from `make_training`."""

    def __init__(self, training: Training) -> None:
        self._training, self._device = training, training.accelerator.device
        self._steps: list[Step] = []
        training.network.register_forward_pre_hook(lambda *_: self._lap(REST))
        training.network.register_forward_hook(lambda *_: self._lap(FORWARD))
        training.accelerator.lap = self._lap
        self._begin()

    def run(self, is_enough: Callable[[list[Seconds]], bool]) -> list[Step]:
        """Train on until ``is_enough`` is true of the durations of all steps since this call.

        The wait of the last step for its batch is not known.
        """

        def pulse() -> None:
            if self._end() and is_enough([step.seconds for step in self._steps]):
                raise _Enough
            self._begin()

        self._steps, self._training.pulse = [], pulse
        self._begin()
        with suppress(_Enough):
            self._training.run()
        return self._steps

    def _begin(self) -> None:
        outcome = self._training.outcome
        self._step, self._samples, self._waited = Step(), outcome.samples, outcome.waiting_s
        self._begun, self._part = now(self._device), ""
        self._mark = self._begun.wall

    def _end(self) -> bool:
        """Add a step to the others; a batch of the validation between epochs is none."""
        outcome = self._training.outcome
        if self._steps:
            # The loop counts the wait for a batch when it asks for the next one.
            waited, parts = outcome.waiting_s - self._waited, self._steps[-1].parts
            parts[WAITING], parts[REST] = parts[WAITING] + waited, parts[REST] - waited
        if outcome.samples == self._samples:
            return False
        self._lap(OPTIMIZER)
        self._step.seconds = now(self._device) - self._begun
        self._steps.append(self._step)
        return True

    def _lap(self, part: str) -> None:
        """End a part of a step."""
        mark = now(self._device).wall
        self._step.parts[part] += mark - self._mark
        self._mark, self._part = mark, part

    def watch_layers(self) -> None:
        """Measure the time of each layer's forward pass too, which makes steps slower."""
        started: dict[str, float] = {}

        def enter(name: str, *_: Any) -> None:
            started[name] = now(self._device).wall

        def leave(name: str, *_: Any) -> None:
            # Recomputation in the backward pass is not the forward pass.
            if self._part == REST:
                self._step.layers[name] += now(self._device).wall - started[name]

        for name, module in self._training.network.named_modules():
            if isinstance(module, FactorizedConv) or not any(True for _ in module.children()):
                module.register_forward_pre_hook(partial(enter, name))
                module.register_forward_hook(partial(leave, name))
