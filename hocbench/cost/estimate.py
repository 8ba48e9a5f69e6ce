"""`hocbench plan --cost`: count, measure on random pixels, extrapolate."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from hocbench.cost.hours import Measured, RunCost, Seconds, distinct_evaluations, distinct_steps, extrapolate
from hocbench.cost.sizes import part_sizes
from hocbench.cost.stepwatch import StepWatch, make_training, now, one_process
from hocbench.experiment.plan import Run
from hocbench.experiment.spec import RunSpec
from hocbench.experiment.tasks import CLASS, Task
from hocbench.faces.store import CropStore
from hocbench.runs.environment import environment
from hocbench.terminal import progress
from hocbench.tracking.switch import is_off
from hocbench.training.data import EVALUATION_IMAGES, batch_size, window_shape
from hocbench.training.predict import predict
from hocbench.training.samples import Samples
from hocbench.training.starting_network import begin

# A measurement ends after so many steps and seconds, or after more seconds with fewer steps.
STEPS, SHORT_S, LONG_S = 3, 0.5, 2.0
# A first step that takes so long is itself the measurement: what it does once is little beside it.
VERY_LONG_S = 5.0
POOL = 64  # different random pictures


@dataclass(frozen=True)
class Estimate:
    """What a plan will cost on this machine.

    Attributes
    ----------
    costs : list of RunCost
        One per run, in the order of the plan.
    sources : dict of str to str
        Where the sizes of each dataset are from.
    measured : Measured
        What the costs are extrapolated from.
    jobs : int
        Runs that fit on this machine at once.
    on_gpu : bool
        Whether the steps ran on a GPU.
    """

    costs: list[RunCost]
    sources: dict[str, str]
    measured: Measured
    jobs: int
    on_gpu: bool

    def hours(self, cost: RunCost) -> float:
        """Return GPU hours of a run, or CPU hours."""
        return (cost.wall_s * cost.run.spec.processes if self.on_gpu else cost.cpu_s) / 3600

    @property
    def elapsed_h(self) -> float:
        """Hours by the clock until all runs are done, if nothing else is on this machine."""
        cpus = self.costs[0].run.spec.processes * self.costs[0].run.spec.threads
        seconds = (cost.wall_s if self.on_gpu else cost.cpu_s / cpus for cost in self.costs)
        return sum(seconds) / 3600 / self.jobs


def estimate(runs: Sequence[Run]) -> Estimate:
    """Measure each kind of step of a plan, of one run at least, once and extrapolate to its runs.

    Raises
    ------
    ParameterError
        See `hocbench.cost.sizes.part_sizes`.
    """
    specs = {(run.key.dataset, run.key.fold): run.spec for run in runs}
    known = {fold: part_sizes(spec) for fold, spec in specs.items()}
    sizes = {run.id: known[run.key.dataset, run.key.fold] for run in runs}
    steps = {name: measure_step(spec) for name, spec in progress(distinct_steps(runs).items(), "training steps")}
    evaluations = progress(distinct_evaluations(runs).items(), "predictions")
    measured = Measured(steps, {name: measure_evaluation(spec) for name, spec in evaluations}, measure_start())
    sources = {run.key.dataset: sizes[run.id].source for run in runs}
    gpus, processes = torch.cuda.device_count(), runs[0].spec.processes
    jobs = gpus // processes if gpus else environment()["cpus"] // (processes * runs[0].spec.threads)
    return Estimate(extrapolate(runs, sizes, measured), sources, measured, max(1, jobs), bool(gpus))


class _Noise(CropStore):
    """Random pixels and labels in the place of crops."""

    def __init__(self, count: int, size: int, task: Task) -> None:
        rng = np.random.default_rng(0)
        if task.classes:
            self.frames = pd.DataFrame({CLASS: rng.choice(task.classes, count)})
        else:
            self.frames = pd.DataFrame(rng.uniform(-1, 1, (count, task.outputs)), columns=list(task.targets))
        self.label, self.size = "random", size
        self.crops = rng.integers(0, 256, (POOL, size, size, 3), np.uint8)

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.crops[rows % POOL]


def _samples(items: int, spec: RunSpec) -> Samples:
    """Make so many images, or so many clips of a window each."""
    length, step = window_shape(spec.training)
    rows = np.arange(items * length)
    clips, numbers = np.split(rows, items), np.split(rows * step, items)
    return Samples(_Noise(len(rows), spec.data.crop.size, spec.task), rows, clips, numbers=numbers, task=spec.task)


def measure_step(spec: RunSpec) -> Seconds:
    """Time some training steps of a spec of `as_built`, with the share of a batch that one of its processes has."""
    with one_process(spec.threads) as accelerator:
        samples = _samples(batch_size(spec.training) // spec.processes * (STEPS + 1), spec)
        network = begin(spec, None, samples, accelerator)[0]
        watch = StepWatch(make_training(spec, network, samples, samples, accelerator))
        return _median([step.seconds for step in watch.run(_enough)])


def measure_evaluation(spec: RunSpec) -> Seconds:
    """Time the prediction of one image or window with the network of a spec of `as_built`."""
    with one_process(spec.threads) as accelerator:
        order, device = spec.order, accelerator.device
        length, step = window_shape(spec.training)
        items = EVALUATION_IMAGES if order == 2 else max(1, EVALUATION_IMAGES // length)
        samples = _samples(items, spec)
        network = begin(spec, None, samples, accelerator)[0].to(device)
        batches: list[Seconds] = []
        while not _enough(batches):
            begun = now(device)
            predict(network, samples, order, length, device, step)
            batches.append(now(device) - begun)
        batch = _median(batches)
        return Seconds(batch.cpu / items, batch.wall / items)


def _enough(durations: Sequence[Seconds]) -> bool:
    spent = sum(duration.wall for duration in durations[1:])
    is_slow = bool(durations) and durations[0].wall >= VERY_LONG_S
    return is_slow or spent >= LONG_S or (len(durations) > STEPS and spent >= SHORT_S)


def _median(durations: Sequence[Seconds]) -> Seconds:
    """Return the medians without the first, which warms up, if there are others."""
    chosen = durations[1:] or durations
    return Seconds(*(statistics.median(getattr(duration, name) for duration in chosen) for name in ("cpu", "wall")))


def measure_start() -> Seconds:
    """Time in a process of its own the imports of every run, MLflow's included if runs are tracked."""
    what = "import hocbench.training" + ("" if is_off() else ", mlflow")
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", what], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Seconds(cpu, time.perf_counter() - begun)
