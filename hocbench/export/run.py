"""The way from a run directory to a folder that holds an exported network."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hocbench.errors import ExportError
from hocbench.experiment.spec import RunSpec
from hocbench.experiment.tasks import Task
from hocbench.export.forms import GRAPH, OPSET, PROGRAM, Form, dynamic_dimensions, write_forms
from hocbench.export.inputs import Shape, crops_input, random_input
from hocbench.files.checksums import file_hash
from hocbench.files.staging import staged
from hocbench.files.write import write_json
from hocbench.nn import ResNet, compact, parameter_count
from hocbench.nn.folding import check_implementations, choose_implementations, fold
from hocbench.paths import prepared
from hocbench.runs.environment import environment
from hocbench.runs.manifest import manifest_values, spec_of
from hocbench.seeds import derive_seed
from hocbench.training.networks import load_network

PATHS, REPORT = "paths.json", "export.json"
TOLERANCE = 1e-4  # share of the largest output, float32

# Batches by what they are: "random", "crops".
Batches = dict[str, list[Tensor]]


@dataclass(frozen=True)
class Options:
    """What can be asked of an export.

    Attributes
    ----------
    batch : int
        Inputs per call that implementations are chosen for; the exported network takes any number.
    clip_length, size : int, optional
        Frames per clip and pixels per side, by default those of the run.
    paths : Path, optional
        The paths.json of an export, to be used again instead of choosing on this machine.
    crops : Path, optional
        Folder of the crop store to check with, by default that of the run's dataset.
    """

    batch: int = 2
    clip_length: int | None = None
    size: int | None = None
    paths: Path | None = None
    crops: Path | None = None


def export_run(run: Path, out: Path, options: Options | None = None) -> dict[str, Any]:
    """Write network.pt2, network.onnx, paths.json and, last, export.json of a finished run; return what that says.

    The run stays untouched, and ``out`` is left alone if anything fails.

    Raises
    ------
    RunError, DamageError
        If the run is not finished, or damaged.
    ExportError
        If an option does not fit the run, an exported form does not compute what the network does, or ``out`` cannot
        be written.
    """
    options = options or Options()
    if out.is_file():
        raise ExportError(f"{out} is a file; give a folder by --out")
    network = load_network(run)[0].eval()
    with manifest_values(run) as manifest:
        spec, weights = spec_of(manifest), manifest["files"]["weights.safetensors"]
        label = {"run": manifest["run"], "label": str(manifest["label"]).replace("synthetic", "SYNTHETIC")}
    if not isinstance(network, ResNet):
        raise ExportError(
            f"{run} has a network of your own, whose layers cannot be folded; load its weights.safetensors into your "
            "class and export that with torch.export"
        )
    shape = _input_shape(run, network, spec, options)
    inputs, note = _inputs(spec, options, shape)
    small = compact(network) if network.config.kind == "cp" else network
    if options.paths is None:
        implementations = choose_implementations(small, shape)
    else:
        implementations = read_implementations(options.paths, small)
    folded = fold(small, implementations)
    with torch.no_grad():
        expected = {name: [network(x) for x in batches] for name, batches in inputs.items()}
    differences = {"folded": _differences(run, "folded", folded, inputs, expected)}
    with _kept_if_complete(out) as folder:
        for name, form in write_forms(folder, folded, shape[-1], label).items():
            differences[name] = _differences(run, name, form, inputs, expected)
        write_json(implementations, folder / PATHS)
        report = _interface(network, spec.task, shape) | label
        report |= {
            "weights": weights,
            "paths": "measured" if options.paths is None else "given",
            "parameters": {"trained": parameter_count(network), "compacted": parameter_count(small)},
            "crops": note,
            "differences": differences,
            "files": {
                name: {"bytes": (folder / name).stat().st_size, "sha256": file_hash(folder / name)}
                for name in (PROGRAM, GRAPH, PATHS)
            },
        }
        write_json(report, folder / REPORT)
    return report


def _inputs(spec: RunSpec, options: Options, shape: Shape) -> tuple[Batches, dict[str, Any]]:
    """Choose what the exported network is checked on, with a note on the crops among it."""
    inputs = {"random": random_input(shape, derive_seed(spec.root_seed, use="export"))}
    crops, note = crops_input(options.crops, prepared(spec.profile, spec.key.dataset), shape, spec.task)
    return inputs | ({"crops": crops} if crops else {}), note


def _interface(network: ResNet, task: Task, shape: Shape) -> dict[str, Any]:
    """Describe what goes in and out, and what the export was made and checked with."""
    return {
        "config": network.config.as_dict(),
        "input": {"shape": [*shape], "dtype": "float32", "colours": "RGB", "values": "(pixel - 127.5) / 63.75"},
        "output": {"columns": [*task.output_columns], "dtype": "float32"},
        "dynamic": [*dynamic_dimensions(network.config.order).values()],
        "opset": OPSET,
        "threads": torch.get_num_threads(),
        "environment": environment(),
        "tolerance": TOLERANCE,
    }


def _input_shape(run: Path, network: ResNet, spec: RunSpec, options: Options) -> Shape:
    order = network.config.order
    if order == 2 and options.clip_length is not None:
        raise ExportError(f"--clip-length: run {run.name} has a network for single images; leave it out")
    length = spec.clip_length if options.clip_length is None else options.clip_length
    size = spec.data.crop.size if options.size is None else options.size
    for option, value in (("--batch", options.batch), ("--clip-length", length), ("--size", size)):
        if value < 1:
            raise ExportError(f"{option} {value}: give at least 1")
    return (options.batch, 3, *([length] if order == 3 else []), size, size)


def read_implementations(file: Path, network: ResNet) -> dict[str, str]:
    """Read the implementation of every factorized layer of a network.

    Raises
    ------
    ExportError
        If the file cannot be read, or holds the implementations of another network.
    """
    try:
        implementations: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        check_implementations(network, dict(implementations.items()))
    except (OSError, ValueError, AttributeError) as error:  # a NetworkError is a ValueError
        raise ExportError(f"{file} cannot be used ({error}); give the paths.json of an export of this run") from None
    return implementations


@torch.no_grad()
def _differences(run: Path, name: str, form: Form, inputs: Batches, expected: Batches) -> dict[str, dict[str, float]]:
    """Compare one form with the trained network, by input: largest difference, and its share of the largest output."""
    differences = {}
    for what, batches in inputs.items():
        wanted = torch.cat([y.flatten() for y in expected[what]])
        absolute = (torch.cat([form(x).flatten() for x in batches]) - wanted).abs().max().item()
        largest = wanted.abs().max().item()
        relative = absolute / largest if largest else absolute
        if not relative <= TOLERANCE:  # NaN too
            raise ExportError(
                f"{run}: on {what} input, the {name} network differs from the trained one by {relative:.1e} of the "
                f"largest output (allowed: {TOLERANCE:g}); nothing was written. Its weights magnify rounding errors: "
                "give --paths with other implementations, or train it again"
            )
        differences[what] = {"absolute": absolute, "relative": relative}
    return differences


@contextmanager
def _kept_if_complete(out: Path) -> Iterator[Path]:
    """Yield a folder for the files; they go to ``out`` if nothing fails, the report last."""
    try:
        with staged(out, "export", REPORT) as folder:
            yield folder
    except OSError as error:
        raise ExportError(f"{out} cannot be written ({error}); give another folder by --out") from None
