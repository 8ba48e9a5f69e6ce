"""The stages: static, lasso, frames, temporal, joint, scratch. One call of `fit` is one run directory."""

import os
import resource
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import Accelerator

from hocbench.codehash import code_hash
from hocbench.datasets.splits import make_splits
from hocbench.errors import RunError
from hocbench.faces import CropStore
from hocbench.manifest import environment, file_hash
from hocbench.memory import keep_freed_memory
from hocbench.nn import ResNet, compact, multiply_adds, parameter_count, reestimate_batchnorm, resnet18, transduct
from hocbench.nn.cost import layer_paths
from hocbench.nn.lasso import normalize_factors
from hocbench.seeds import derive_seed
from hocbench.training.data import Samples, select, training_batches
from hocbench.training.loop import Outcome, Setting, train
from hocbench.training.predict import mean_ccc, mean_label, predict, prediction_table, score
from hocbench.training.rundir import Layers, describe_layers, load_network, write_run
from hocbench.training.tracking import Tracker


def fit(spec: dict[str, Any], crops: Path, parent: Path | None, out: Path, workers: int = 0) -> None:
    """Train one run and write its directory.

    Parameters
    ----------
    spec : dict
        Resolved slice of the parameters, as `hocbench.plan.make_plan` makes it.
    crops : Path
        Folder of the dataset's crop store.
    parent : Path or None
        Run directory of the network to start from.
    out : Path
        Run directory to write.
    workers : int
        Processes that prepare training batches; no result depends on it.

    Raises
    ------
    RunError
        If the parent is missing or does not fit, or training diverges.
    """
    torch.set_num_threads(spec["threads"])
    keep_freed_memory()
    # cuBLAS is deterministic with a workspace of this size only; what has no deterministic form on a GPU warns.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    # A debugging aid that writes every new tensor once more; it costs a dense network a tenth of its time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    started = time.process_time()
    accelerator = Accelerator()
    axes = spec["axes"]
    store = CropStore(crops)
    splits = make_splits(store.frames, spec["split"], spec["root_seed"])
    parts = {part: select(store, splits, axes["fold"], part) for part in ("train", "validation", "test")}
    network, level, ancestors = _start(spec, parent, parts["validation"], accelerator)
    network.to(accelerator.device)
    if _rescales(axes):
        reestimate_batchnorm(network, _batches(parts["train"], spec, accelerator))
    with Tracker(spec, store.label) as tracker:
        setting = _setting(spec, level, tracker, workers)
        outcome = train(network, parts["train"], parts["validation"], setting, accelerator)
        if axes["stage"] == "temporal" and axes["epochs"]:
            reestimate_batchnorm(network, _batches(parts["train"], spec, accelerator))
        predictions = _predictions(network, parts, spec, accelerator)
        network.to("cpu")
        cost = _cost(network, spec, store.size, outcome, started)
        manifest = _manifest(spec, store.label, crops, parts, outcome, accelerator)
        manifest["paths"] = layer_paths(network, _shape(network, spec, store.size, spec["training"]["batch_size"]))
        tables = {"history": pd.DataFrame(outcome.history), "predictions": predictions}
        write_run(out, network, describe_layers(network, ancestors), tables, cost, manifest)
        tracker.finish(out, predictions)


def _predictions(
    network: ResNet, parts: dict[str, Samples], spec: dict[str, Any], accelerator: Accelerator
) -> pd.DataFrame:
    order, options = spec["axes"]["order"], spec["training"]
    where = (order, options["clip_length"], accelerator.device, options["frame_step"])
    outputs = {part: (parts[part], predict(network, parts[part], *where)) for part in ("validation", "test")}
    return prediction_table(outputs, mean_label(parts["train"]))


def _manifest(
    spec: dict[str, Any],
    label: str,
    crops: Path,
    parts: dict[str, Samples],
    outcome: Outcome,
    accelerator: Accelerator,
) -> dict[str, Any]:
    return {
        "run": spec["run"],
        "spec": spec,
        "axes": spec["axes"],
        "label": label,
        "recovered_epoch": outcome.recovered_epoch,
        "inputs": {"crops.json": file_hash(crops / "crops.json"), "parent": spec["parent"]},
        "code": code_hash("hocbench.training"),
        "environment": environment(),
        "device": str(accelerator.device),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "frames": {part: len(samples.rows) for part, samples in parts.items()},
        "frames_without_crop": {part: len(samples.lost) for part, samples in parts.items()},
    }


def _setting(spec: dict[str, Any], level: float | None, tracker: Tracker, workers: int) -> Setting:
    axes = spec["axes"]
    # The axis tells later stages apart too, but only the lasso stage is penalised.
    penalty = float(axes["lasso"]) if axes["stage"] == "lasso" else 0.0
    where = (axes["order"], spec["root_seed"], axes["seed"])
    return Setting(spec["run"], spec["training"], *where, penalty, level, tracker.log_epoch, workers)


def _rescales(axes: dict[str, Any]) -> bool:
    """Tell whether a stage begins with another scale of activations than BatchNorm knows: λ or kernels were changed."""
    return axes["stage"] in ("lasso", "temporal") or axes["kind"] == "inflated"


def _start(
    spec: dict[str, Any], parent: Path | None, validation: Samples, accelerator: Accelerator
) -> tuple[ResNet, float | None, Layers | None]:
    """Build the network that a stage starts from; a temporal stage also gets the score of its 2-D network."""
    axes, stage = spec["axes"], spec["axes"]["stage"]
    if parent is None:
        if spec["parent"] is not None or stage not in ("static", "scratch"):
            raise RunError(f"run {spec['run']}: the {stage} stage needs a network to start from; give --parent")
        return _fresh(spec), None, None
    if spec["parent"] is None:
        raise RunError(f"run {spec['run']} starts from no other run; leave out --parent")
    if parent.name != spec["parent"]:
        raise RunError(
            f"run {spec['run']} starts from {spec['parent']}, not from {parent.name}; give the right --parent"
        )
    network, layers = load_network(parent)
    if stage == "lasso":
        normalize_factors(network)
    if stage == "temporal":
        images = predict(network.to(accelerator.device), validation, 2, 1, accelerator.device)
        level = mean_ccc(score(images, validation))
        network = transduct(compact(network), **spec["temporal"])
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.endswith("factors.time")
        return network, level, layers
    if stage == "joint" and axes["kind"] == "inflated":
        # The standard inflation keeps the response to a still clip: one over the kernel size.
        network = transduct(network, kernel_size=spec["temporal"]["kernel_size"], init="average")
    return network, None, layers


def _fresh(spec: dict[str, Any]) -> ResNet:
    axes, options = spec["axes"], dict(spec["network"])
    if options["rank"] is None:
        del options["rank"]
    if axes["order"] == 3:
        options |= {"temporal_kernel": spec["temporal"]["kernel_size"]}
        if options["kind"] == "cp":
            options |= {"temporal_padding": spec["temporal"]["padding"]}
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(spec["root_seed"], use="weights", seed=axes["seed"], order=axes["order"]))
        return resnet18(order=axes["order"], **options)


def _batches(samples: Samples, spec: dict[str, Any], accelerator: Accelerator) -> list[torch.Tensor]:
    """Draw the training images or clips that BatchNorm statistics are estimated from."""
    options, axes = spec["training"], spec["axes"]
    batches = training_batches(samples, axes["order"], options, spec["root_seed"], axes["seed"], -1, augment=False)
    chosen = zip(range(options["reestimation_batches"]), batches, strict=False)
    return [inputs.to(accelerator.device) for _, (inputs, _) in chosen]


def _shape(network: ResNet, spec: dict[str, Any], size: int, batch: int) -> tuple[int, ...]:
    time = (spec["training"]["clip_length"],) if network.config.order == 3 else ()
    return (batch, 3, *time, size, size)


def _cost(network: ResNet, spec: dict[str, Any], size: int, outcome: Outcome, started: float) -> dict[str, Any]:
    frames = 1 if network.config.order == 2 else spec["training"]["clip_length"]
    cuda = torch.cuda.is_available()
    return {
        "parameters": parameter_count(network),
        "multiply_adds": multiply_adds(network, _shape(network, spec, size, 1)) // frames,
        "training_cpu_s": time.process_time() - started,
        "gpu_s": outcome.wall_s if cuda else 0.0,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "peak_gpu_memory_mib": torch.cuda.max_memory_allocated() / 2**20 if cuda else 0.0,
        "samples_per_s": outcome.samples / outcome.wall_s if outcome.wall_s else 0.0,
        "epochs": spec["axes"]["epochs"],
    }
