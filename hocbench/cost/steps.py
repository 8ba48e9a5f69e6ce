"""Measures the steps of training and evaluation that a run consists of, on random pixels."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from hocbench.cost.hours import Seconds
from hocbench.faces.store import CropStore
from hocbench.nn import ResNet
from hocbench.seeds import batch_axes
from hocbench.tracking.switch import is_off
from hocbench.training.data import EVALUATION_IMAGES, Samples, window_shape
from hocbench.training.determinism import as_runs_compute
from hocbench.training.devices import Accelerator, make_accelerator
from hocbench.training.loop import Setting, Training
from hocbench.training.predict import predict
from hocbench.training.starting_network import begin

# A measurement ends after so many steps and seconds, or after more seconds with fewer steps.
STEPS, SHORT_S, LONG_S = 3, 0.5, 2.0
# A first step that takes so long is itself the measurement: what it does once is little beside it.
VERY_LONG_S = 5.0
POOL = 64  # different random pictures


class _Enough(Exception):  # noqa: N818 - it is none
    """Ends a training that was only begun to be measured."""


@dataclass
class _Stopwatch:
    """A pulse that takes the time from one call to the next."""

    device: torch.device
    found: list[Seconds] = field(default_factory=list)
    _last: Seconds = field(default_factory=lambda: Seconds(0.0, 0.0))

    def start(self) -> "_Stopwatch":
        self._last = _now(self.device)
        return self

    def __call__(self) -> None:
        now = _now(self.device)
        self.found.append(Seconds(now.cpu - self._last.cpu, now.wall - self._last.wall))
        later = self.found[1:]
        spent = sum(each.wall for each in later)
        long = len(later) >= 1 and spent >= LONG_S
        if self.found[0].wall >= VERY_LONG_S or long or (len(later) >= STEPS and spent >= SHORT_S):
            raise _Enough
        self._last = _now(self.device)

    def median(self) -> Seconds:
        """Return the medians without the first, which warms up, if there are others."""
        chosen = self.found[1:] or self.found
        return Seconds(*(statistics.median(getattr(each, name) for each in chosen) for name in ("cpu", "wall")))


def _now(device: torch.device) -> Seconds:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Seconds(time.process_time(), time.perf_counter())


class _Noise(CropStore):
    """Random pixels and labels in the place of crops."""

    def __init__(self, count: int, size: int) -> None:
        rng = np.random.default_rng(0)
        self.frames = pd.DataFrame(rng.uniform(-1, 1, (count, 2)), columns=["valence", "arousal"])
        self.label, self.size = "random", size
        self.crops = rng.integers(0, 256, (POOL, size, size, 3), np.uint8)

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.crops[rows % POOL]


def _samples(items: int, spec: dict[str, Any]) -> Samples:
    """Make so many images, or so many clips of a window's length."""
    length, _ = window_shape(spec["axes"]["order"], spec["training"])
    rows = np.arange(items * length)
    return Samples(_Noise(len(rows), spec["data"]["crop"]["size"]), rows, np.split(rows, items))


def measure_step(spec: dict[str, Any]) -> Seconds:
    """Run some of a run's training steps, with the share of a batch that one process of several has.

    Parameters
    ----------
    spec : dict
        Resolved slice of a run.
    """
    with _machine(spec["threads"]) as accelerator:
        axes, options = spec["axes"], dict(spec["training"])
        # Short steps are many; the watch ends them.
        options |= {"epochs": 10**6, "frame_step": 1, "batch_size": options["batch_size"] // spec["processes"]}
        samples = _samples(options["batch_size"] * (STEPS + 1), spec)
        network = _network(spec, samples, accelerator)
        network.recompute = options["recompute"]
        if axes["stage"] == "temporal":
            for name, parameter in network.named_parameters():
                parameter.requires_grad = name.endswith("factors.time")
        lasso = float(axes["lasso"]) if axes["stage"] == "lasso" else 0.0
        setting = Setting(spec["run"], options, axes["order"], spec["root_seed"], batch_axes(axes), lasso)
        return _watch_steps(Training(network, samples, samples, setting, accelerator))


def _watch_steps(training: Training) -> Seconds:
    watch, done = _Stopwatch(training.accelerator.device), 0

    def pulse() -> None:
        nonlocal done
        if training.outcome.samples == done:
            watch.start()  # a batch of the validation between epochs
        else:
            done = training.outcome.samples
            watch()

    training.pulse = pulse
    training.outcome.epoch = 1  # without the validation before the first
    watch.start()
    with suppress(_Enough):
        training.run()
    return watch.median()


def measure_evaluation(spec: dict[str, Any]) -> Seconds:
    """Predict with a run's network, and return the time of one image or window.

    Parameters
    ----------
    spec : dict
        Resolved slice of a run.
    """
    with _machine(spec["threads"]) as accelerator:
        order = spec["axes"]["order"]
        length, _ = window_shape(order, spec["training"])
        items = EVALUATION_IMAGES if order == 2 else max(1, EVALUATION_IMAGES // length)
        samples = _samples(items, spec)
        network = _network(spec, samples, accelerator)
        watch = _Stopwatch(accelerator.device)
        with suppress(_Enough):
            while True:
                predict(network, samples, order, length, accelerator.device, pulse=watch.start())
        found = watch.median()
        return Seconds(found.cpu / items, found.wall / items)


def _network(spec: dict[str, Any], samples: Samples, accelerator: Accelerator) -> ResNet:
    """Build the network of a run anew: what it starts from has the same layers and costs the same."""
    fresh = spec | {"parent": None, "axes": spec["axes"] | {"stage": "scratch"}}
    return begin(fresh, None, samples, accelerator)[0].to(accelerator.device)


@contextmanager
def _machine(threads: int) -> Iterator[Accelerator]:
    """Compute as runs do inside the block."""
    with as_runs_compute(threads):
        yield make_accelerator(1)


def measure_start() -> Seconds:
    """Load in a process of its own what every run loads; its deliveries load MLflow."""
    what = "import hocbench.training" + ("" if is_off() else ", mlflow")
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", what], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(cpu, time.perf_counter() - begun)
