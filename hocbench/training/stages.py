"""The stages: static, lasso, frames, temporal, joint, scratch. One call of `fit` is one run directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from hocbench.datasets.splits import make_splits
from hocbench.experiment.spec import RunSpec
from hocbench.faces.store import CropStore
from hocbench.nn.layers import Layers
from hocbench.nn.resnet import ResNet
from hocbench.seeds import derive_seed
from hocbench.tracking.tracker import Tracker
from hocbench.training import run_record
from hocbench.training.checkpoint import Checkpoints
from hocbench.training.data import window_shape
from hocbench.training.determinism import as_runs_compute
from hocbench.training.devices import Accelerator, make_accelerator
from hocbench.training.loop import Setting, Training
from hocbench.training.networks import save_run
from hocbench.training.predict import best_answer, predict, prediction_table
from hocbench.training.samples import Samples, check_classes, first_clips, select
from hocbench.training.saving import Saver, Saving, held
from hocbench.training.starting_network import begin, own_config
from hocbench.training.stopping import StopRequest


@dataclass(frozen=True)
class _Run:
    """What a run is made of."""

    spec: RunSpec
    store: CropStore
    parts: dict[str, Samples]
    accelerator: Accelerator
    known: dict[str, Any]
    operations: set[str]  # that have no deterministic form, as far as they were met


def fit(
    spec: RunSpec,
    crops: Path,
    parent: Path | None,
    out: Path,
    workers: int = 0,
    saving: Saving | None = None,
) -> None:
    """Train one run and write its directory; a run that was stopped goes on from its last checkpoint.

    Parameters
    ----------
    spec : RunSpec
        What the run is told, as `hocbench.experiment.plan.make_plan` makes it.
    crops : Path
        Folder of the dataset's crop store.
    parent : Path or None
        Run directory of the network to start from.
    out : Path
        Run directory to write.
    workers : int
        Processes that prepare training batches; no result depends on it.
    saving : Saving, optional
        Where and how often the training is saved; without, it is not, and signals end it at once.

    Raises
    ------
    RunError
        If the parent is missing or does not fit, training diverges, or the checkpoint is of something else.
    StoppedEarly
        If the process was asked to stop.
    """
    with as_runs_compute(spec.threads) as operations:
        accelerator = make_accelerator(spec.processes)
        store = CropStore(crops)
        splits = make_splits(store.frames, spec.split.model_dump(mode="json"), spec.root_seed)
        fold, steps = spec.key.fold, spec.training.steps
        parts = {part: select(store, splits, fold, part, task=spec.task) for part in ("validation", "test")}
        clips = first_clips(splits, fold, steps.clips if steps else None, spec.root_seed)
        parts["train"] = select(store, splits, fold, "train", clips, spec.task)
        check_classes(parts, fold)
        run = _Run(spec, store, parts, accelerator, run_record.identity(spec, crops, parent), operations)
        checkpoints = None if saving is None else Checkpoints(saving.folder / spec.run, run.known)
        with held(checkpoints, accelerator.is_main_process), StopRequest(checkpoints is not None) as stop:
            saver = Saver(checkpoints, 0.0 if saving is None else saving.every_s, stop, accelerator)
            _train(run, parent, out, workers, saver)
            accelerator.end_training()
            if checkpoints is not None and saving is not None and accelerator.is_main_process:
                (checkpoints.keep if saving.keep else checkpoints.remove)()


def _train(run: _Run, parent: Path | None, out: Path, workers: int, saver: Saver) -> None:
    """Go on from the last checkpoint, or begin, and end with a run directory."""
    saved = None if saver.checkpoints is None else saver.checkpoints.load()
    about = {} if saved is None else saved.values["about"]
    spent = run_record.Spent(about.get("spent"))
    run.operations.update(about.get("nondeterministic", []))
    with Tracker(run.spec, run.store.label, about.get("tracking", "")) as tracker:
        saver.about = lambda: {
            "spent": spent.as_dict(),
            "tracking": tracker.key,
            "nondeterministic": sorted(run.operations),
        }
        network, level, layers = _start(run, parent, saver)
        setting = Setting(run.spec, level, tracker.log_epoch, workers)
        if workers:
            tracker.settle()
        training = Training(network, run.parts["train"], run.parts["validation"], setting, run.accelerator)
        if saved is not None:
            training.restore(saved)  # with its statistics
        elif run.spec.rescales:
            training.reestimate()
        saver.early()
        saver.watch(training)
        training.run()
        _finish(run, training, layers, out, spent, tracker)


def _start(run: _Run, parent: Path | None, saver: Saver) -> tuple[nn.Module, float | None, Layers | None]:
    network, level, layers = begin(run.spec, parent, run.parts["validation"], run.accelerator, saver.early)
    network.to(run.accelerator.device)
    steps = run.spec.training.steps
    if isinstance(network, ResNet):  # one of the user's own knows itself what it can recompute
        network.recompute = steps is not None and steps.recompute
    else:
        # What it draws itself, for dropout say; ours draw nothing.
        torch.manual_seed(derive_seed(run.spec.root_seed, use="network", **run.spec.batch_axes))
    return network, level, layers


def _finish(
    run: _Run, training: Training, layers: Layers | None, out: Path, spent: run_record.Spent, tracker: Tracker
) -> None:
    """Predict with the best network and write the run directory."""
    spec, accelerator, network = run.spec, run.accelerator, training.network
    if spec.stage == "temporal" and spec.training.steps is not None:
        training.reestimate()
    training.pulse()
    predictions = _predictions(run, training)
    cost = run_record.cost(training, spec, run.store.size, spent)
    if not accelerator.is_main_process:
        return
    network.to("cpu")
    about = run_record.manifest(run.known, spec, run.store.label, run.parts, training, spent)
    about["nondeterministic"] = sorted(run.operations)
    tables = {"history": pd.DataFrame(training.outcome.history), "predictions": predictions}
    save_run(out, network, layers, tables, cost, about, own_config(spec))
    tracker.finish(out, predictions)


def _predictions(run: _Run, training: Training) -> pd.DataFrame:
    length, step = window_shape(run.spec.training)
    where = (run.spec.order, length, run.accelerator.device, step, training.pulse)
    network, parts = training.network, run.parts
    outputs = {part: (parts[part], predict(network, parts[part], *where)) for part in ("validation", "test")}
    return prediction_table(outputs, best_answer(parts["train"]))
