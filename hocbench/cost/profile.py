"""`hocbench profile`: where the time of a training step of a finished run goes."""

import math
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hocbench import paths
from hocbench.datasets.splits import make_splits
from hocbench.errors import RunError
from hocbench.faces.store import CropStore
from hocbench.files.checksums import file_hash
from hocbench.nn import FactorizedConv
from hocbench.runs.finished import read_json
from hocbench.runs.manifest import manifest_values
from hocbench.seeds import batch_axes
from hocbench.training.data import first_clips, select
from hocbench.training.determinism import as_runs_compute
from hocbench.training.devices import make_accelerator
from hocbench.training.loop import Setting, Training
from hocbench.training.networks import load_network

WARM_UP = 2  # steps that are not counted
WAITING, FORWARD, LOSS, BACKWARD, PENALTY, OPTIMIZER, REST = (
    *("waiting for data", "forward", "loss", "backward", "penalty and clipping", "optimizer step", "everything else"),
)
PARTS = (WAITING, FORWARD, LOSS, BACKWARD, PENALTY, OPTIMIZER, REST)


@dataclass(frozen=True)
class Profile:
    """Where the time of a step goes.

    Attributes
    ----------
    steps : int
        Steps that were counted.
    step_ms : float
        Median duration of a step in milliseconds, by the clock.
    parts_ms : dict of str to float
        Mean milliseconds of a step by part; their sum is the mean duration of a step.
    layers_ms : dict of str to float
        Mean milliseconds of a step in the forward pass of each layer, the longest first, in steps of their own.
    samples_per_s : float
        Images or clips.
    peak_memory_mib, peak_gpu_memory_mib : float
        Of this process.
    setting : dict
        device, threads, precision, batch (what one process passes at once), parts of a batch, shape of a part.
    recorded : dict
        samples_per_s and waiting_share that the run itself wrote down.
    """

    steps: int
    step_ms: float
    parts_ms: dict[str, float]
    layers_ms: dict[str, float]
    samples_per_s: float
    peak_memory_mib: float
    peak_gpu_memory_mib: float
    setting: dict[str, Any]
    recorded: dict[str, float]


def profile_run(run: Path, crops: Path | None = None, steps: int = 10) -> Profile:
    """Train a finished run's network for some steps in memory; nothing on disk changes.

    Parameters
    ----------
    run : Path
        Run directory.
    crops : Path, optional
        Folder of the crop store; by default where the workflow puts it.
    steps : int
        Steps to count; as many more tell the layers, and some before either warm up.

    Raises
    ------
    RunError
        If the run is not finished or took no steps, or the crops are missing or others than it was trained on.
    """
    with manifest_values(run) as manifest:
        spec, inputs = manifest["spec"], manifest["inputs"]
        epochs = spec["axes"]["epochs"]
    if not epochs:
        raise RunError(f"{run} was not trained (0 epochs), so it has no steps; profile a run that starts from it")
    store = _store(run, spec, inputs, crops)
    with as_runs_compute(spec["threads"]):
        training = _training(run, spec, store, 2 * (steps + WARM_UP))
        clock = _Clock(training, steps)
        with suppress(_Enough):
            training.run()
        return clock.profile(run, spec, store.size)


def _store(run: Path, spec: dict[str, Any], inputs: dict[str, Any], crops: Path | None) -> CropStore:
    """Open the crops that the run was trained on, and no others."""
    folder = crops or paths.prepared(spec["profile"], spec["axes"]["dataset"])
    for name in ("crops.json", "frames.parquet"):
        if not (folder / name).is_file():
            raise RunError(f"no crops in {folder} ({name} is missing); give the right folder with --crops, or make it")
        if file_hash(folder / name) != inputs.get(name):
            raise RunError(
                f"{folder / name} is not the one that {run} was trained on (its hash differs from the manifest's); "
                "give the right folder with --crops"
            )
    return CropStore(folder)


def _training(run: Path, spec: dict[str, Any], store: CropStore, steps: int) -> Training:
    """Put the run's training together again, as it was behind its first validation."""
    axes, options = spec["axes"], dict(spec["training"])
    splits = make_splits(store.frames, spec["split"], spec["root_seed"])
    clips = first_clips(splits, axes["fold"], options.get("clips"), spec["root_seed"])
    train = select(store, splits, axes["fold"], "train", clips)
    validation = select(store, splits, axes["fold"], "validation")
    network = load_network(run)[0]
    network.recompute = options["recompute"]
    if axes["stage"] == "temporal":
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.endswith("factors.time")
    # One process stands for all, with its share of each batch. The rate follows a longer cycle, which costs the same.
    options |= {"epochs": steps + 1, "batch_size": options["batch_size"] // spec["processes"], "stop_at_static": False}
    lasso = float(axes["lasso"]) if axes["stage"] == "lasso" else 0.0
    setting = Setting(spec["run"], options, axes["order"], spec["root_seed"], batch_axes(axes), lasso)
    accelerator = make_accelerator(1)
    training = Training(network.to(accelerator.device), train, validation, setting, accelerator)
    training.outcome.epoch = 1
    return training


class _Enough(Exception):  # noqa: N818 - it is none
    """Ends a training that was only begun to be measured."""


@dataclass
class _Step:
    """Seconds of one step by part, and of the forward passes of layers."""

    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    layers: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    total: float = 0.0


class _Clock:
    """Takes the time at the seams of a step, where the loop calls others.

    The first steps tell the parts; in the others each layer is timed as well, which makes them slower.
    """

    def __init__(self, training: Training, steps: int) -> None:
        self.training, self.steps = training, steps
        self.device = training.accelerator.device
        self.done: list[_Step] = []
        self.step = _Step()
        self.in_forward = False
        self.mark = self.waited = 0.0
        self.samples = 0
        network, accelerator = training.network, training.accelerator
        network.register_forward_pre_hook(lambda *_: self._enter())
        network.register_forward_hook(lambda *_: self._leave())
        self._wrap(accelerator, "backward", BACKWARD, before=LOSS)
        self._wrap(accelerator, "clip_grad_norm_", PENALTY)
        self._wrap(training.optimizer, "step", OPTIMIZER)
        if training.penalty is not None:
            self._wrap(training.penalty, "step", PENALTY)
        training.pulse = self.pulse
        self.begun = self.now()

    def now(self) -> float:
        """Return seconds, when all that was asked of a GPU is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _wrap(self, owner: Any, name: str, part: str, before: str | None = None) -> None:
        """Time a method, and for ``before`` what lies between the end of the forward pass and its call."""
        method: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            started = self.now()
            if before is not None:
                self.step.parts[before] += started - self.mark
            result = method(*args, **options)
            self.step.parts[part] += self.now() - started
            return result

        setattr(owner, name, timed)

    def _enter(self) -> None:
        self.in_forward, self.mark = True, self.now()

    def _leave(self) -> None:
        now = self.now()
        self.step.parts[FORWARD] += now - self.mark
        self.in_forward, self.mark = False, now

    def pulse(self) -> None:
        """End a step; a call within a validation only moves the beginning of the next."""
        now, outcome = self.now(), self.training.outcome
        if outcome.samples == self.samples:
            if self.done and WAITING not in self.done[-1].parts:
                self.done[-1].parts[WAITING] = outcome.waiting_s - self.waited
            self.step, self.begun, self.waited = _Step(), now, outcome.waiting_s
            return
        self.step.total = now - self.begun
        self.done.append(self.step)
        # The loop counts the wait for a batch when it asks for the next one.
        if len(self.done) > 1:
            self.done[-2].parts[WAITING] = outcome.waiting_s - self.waited
        self.waited, self.samples = outcome.waiting_s, outcome.samples
        if len(self.done) == self.steps + WARM_UP + 1:
            self._watch_layers()
        if len(self.done) > 2 * (self.steps + WARM_UP):
            raise _Enough
        self.step, self.begun = _Step(), self.now()

    def _watch_layers(self) -> None:
        for name, module in self.training.network.named_modules():
            if isinstance(module, FactorizedConv) or not any(True for _ in module.children()):
                self._watch(name, module)

    def _watch(self, name: str, module: nn.Module) -> None:
        started = 0.0

        def enter(*_: Any) -> None:
            nonlocal started
            started = self.now()

        def leave(*_: Any) -> None:
            # Recomputation in the backward pass is not the forward pass.
            if self.in_forward:
                self.step.layers[name] += self.now() - started

        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)

    def profile(self, run: Path, spec: dict[str, Any], size: int) -> Profile:
        """Put together what was measured."""
        counted = self.done[WARM_UP : WARM_UP + self.steps]
        detailed = self.done[-1 - self.steps : -1]
        mean = {part: math.fsum(step.parts[part] for step in counted) / len(counted) for part in PARTS[:-1]}
        total = math.fsum(step.total for step in counted) / len(counted)
        mean[REST] = total - math.fsum(mean.values())
        names = {name for step in detailed for name in step.layers}
        layers = {name: math.fsum(step.layers[name] for step in detailed) / len(detailed) for name in names}
        each = self.samples / len(self.done)
        cost = read_json(run / "cost.json")
        on_gpu = self.device.type == "cuda"
        return Profile(
            steps=len(counted),
            step_ms=1e3 * statistics.median(step.total for step in counted),
            parts_ms={part: 1e3 * seconds for part, seconds in mean.items()},
            layers_ms={name: 1e3 * layers[name] for name in sorted(layers, key=lambda name: (-layers[name], name))},
            samples_per_s=each / total,
            peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            peak_gpu_memory_mib=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0,
            setting=_describe(spec, str(self.device), size),
            recorded={
                "samples_per_s": cost["samples_per_s"],
                "waiting_share": cost["waiting_s"] / cost["steps_s"] if cost["steps_s"] else math.nan,
            },
        )


def _describe(spec: dict[str, Any], device: str, size: int) -> dict[str, Any]:
    training, order = spec["training"], spec["axes"]["order"]
    what = f"clips of {training['clip_length']} frames" if order == 3 else "images"
    batch = f"{training['batch_size']} {what} of {size} pixels"
    if spec["processes"] > 1:
        batch += f", 1/{spec['processes']} of it in this one process"
    if training["accumulation"] > 1:
        batch += f", in {training['accumulation']} parts"
    return {"device": device, "threads": spec["threads"], "precision": training["precision"], "batch": batch}
