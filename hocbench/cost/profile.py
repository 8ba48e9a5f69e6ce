"""`hocbench profile`: where the time of a training step of a finished run goes."""

import math
import resource
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hocbench import paths
from hocbench.cost.stepwatch import PARTS, NotedAccelerator, Step, StepWatch, make_training, one_process, steps_of
from hocbench.datasets.splits import make_splits
from hocbench.errors import RunError
from hocbench.experiment.spec import RunSpec
from hocbench.faces.store import CropStore
from hocbench.files.checksums import file_hash
from hocbench.runs.finished import read_json
from hocbench.runs.manifest import manifest_values, spec_of
from hocbench.training.loop import Training
from hocbench.training.networks import load_network
from hocbench.training.samples import first_clips, select

WARM_UP = 2  # steps that are not counted


@dataclass(frozen=True)
class Profile:
    """Where the time of a step goes.

    Attributes
    ----------
    steps : int
        Steps that were counted.
    step_ms : float
        Median milliseconds of a step, by the clock.
    parts_ms, layers_ms : dict of str to float
        Mean milliseconds of a step by part, which add up to its mean, and in the forward pass of each layer, the
        longest first, measured in further steps.
    samples_per_s : float
        Images or clips.
    peak_memory_mib, peak_gpu_memory_mib : float
        Of this process.
    setting : dict
        device, threads, precision and, in words, batch.
    recorded : dict
        samples_per_s and waiting_share that the run itself recorded.
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
    run, crops : Path, Path or None
        Run directory, and crop store, by default where the workflow puts it.
    steps : int
        Steps to count; as many more are taken for the layers, and a few to warm up.

    Raises
    ------
    RunError
        If the run is not finished or took no steps, or the crops are missing or not those that it was trained on.
    """
    with manifest_values(run) as manifest:
        spec, inputs = spec_of(manifest), manifest["inputs"]
    steps_of(spec)
    store = _store(run, spec, inputs, crops)
    with one_process(spec.threads) as accelerator:
        training = _training(run, spec, store, accelerator)
        watch = StepWatch(training)
        counted, samples = _run(watch, steps), training.outcome.samples / (WARM_UP + steps + 1)
        watch.watch_layers()
        parts = _means_ms([step.parts for step in counted])
        layers = _means_ms([step.layers for step in _run(watch, steps)])
        on_gpu = accelerator.device.type == "cuda"
        return Profile(
            steps=steps,
            step_ms=1e3 * statistics.median(step.seconds.wall for step in counted),
            parts_ms={part: parts[part] for part in PARTS},
            layers_ms=dict(sorted(layers.items(), key=lambda pair: (-pair[1], pair[0]))),
            samples_per_s=1e3 * samples / math.fsum(parts.values()),
            peak_memory_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            peak_gpu_memory_mib=torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0,
            setting=_describe(spec, str(accelerator.device), store.size),
            recorded=_recorded(run),
        )


def _run(watch: StepWatch, steps: int) -> list[Step]:
    """Measure so many steps, after some to warm up; one more makes the last wait known."""
    return watch.run(lambda taken: len(taken) > WARM_UP + steps)[WARM_UP:-1]


def _recorded(run: Path) -> dict[str, float]:
    cost = read_json(run / "cost.json")
    waiting_share = cost["waiting_s"] / cost["steps_s"] if cost["steps_s"] else math.nan
    return {"samples_per_s": cost["samples_per_s"], "waiting_share": waiting_share}


def _store(run: Path, spec: RunSpec, inputs: dict[str, Any], crops: Path | None) -> CropStore:
    """Open the crops that the run was trained on, and no others."""
    folder = crops or paths.prepared(spec.profile, spec.key.dataset)
    for name in ("crops.json", "frames.parquet"):
        if not (folder / name).is_file():
            raise RunError(f"no crops in {folder} ({name} is missing); give the right folder with --crops, or make it")
        if file_hash(folder / name) != inputs.get(name):
            raise RunError(
                f"{folder / name} is not the one that {run} was trained on (its hash differs from the manifest's); "
                "give the right folder with --crops"
            )
    return CropStore(folder)


def _training(run: Path, spec: RunSpec, store: CropStore, accelerator: NotedAccelerator) -> Training:
    fold = spec.key.fold
    splits = make_splits(store.frames, spec.split.model_dump(mode="json"), spec.root_seed)
    clips = first_clips(splits, fold, steps_of(spec).clips, spec.root_seed)
    train = select(store, splits, fold, "train", clips, spec.task)
    validation = select(store, splits, fold, "validation", task=spec.task)
    return make_training(spec, load_network(run)[0], train, validation, accelerator)


def _means_ms(durations: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average the seconds of parts or layers over steps, in milliseconds."""
    names = dict.fromkeys(name for step in durations for name in step)
    return {name: 1e3 * math.fsum(step.get(name, 0.0) for step in durations) / len(durations) for name in names}


def _describe(spec: RunSpec, device: str, size: int) -> dict[str, Any]:
    training, steps = spec.training, steps_of(spec)
    what = f"clips of {training.clip_length} frames" if spec.order == 3 else "images"
    batch = f"{training.batch_size} {what} of {size} pixels"
    if spec.processes > 1:
        batch += f", 1/{spec.processes} of it in this one process"
    if steps.accumulation > 1:
        batch += f", in {steps.accumulation} parts"
    return {"device": device, "threads": spec.threads, "precision": steps.precision, "batch": batch}
