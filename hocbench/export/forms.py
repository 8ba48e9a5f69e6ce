"""The two files of an exported network, written and loaded again."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from hocbench.errors import ExportError
from hocbench.nn.folding import FoldedResNet

PROGRAM, GRAPH = "network.pt2", "network.onnx"
OPSET = 20
INPUT, OUTPUT = "crops", "predictions"

# A way to compute a network.
Form = Callable[[Tensor], Tensor]


def write_forms(folder: Path, folded: FoldedResNet, size: int, label: dict[str, str]) -> dict[str, Form]:
    """Write network.pt2 and network.onnx, and return both as read from the files, "pt2" and "onnx".

    Parameters
    ----------
    folder, folded : Path, FoldedResNet
        Where to, and the network, on the CPU.
    size : int
        Pixels per side; samples, and frames per clip, stay open.
    label : dict of str to str
        Kept in both files: what the network is.
    """
    names = dynamic_dimensions(folded.order)
    # Sizes of 1, and equal ones, might be taken for constants.
    example = torch.zeros(2, 3, *([3] if folded.order == 3 else []), size, size)
    with _quiet():
        dimensions = {axis: Dim(name, min=1) for axis, name in names.items()}
        program = torch.export.export(folded, (example,), dynamic_shapes=(dimensions,))
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # names folders of this machine
        torch.export.save(program, folder / PROGRAM, extra_files={"label.json": json.dumps(label)})
        onnx.save(_graph(program, names, label), folder / GRAPH)
        loaded = torch.export.load(folder / PROGRAM).module()
    return {"pt2": loaded, "onnx": _session(folder / GRAPH)}


def dynamic_dimensions(order: int) -> dict[int, str]:
    """Name the dimensions of the input that may have any size, by their place."""
    return {0: "batch"} if order == 2 else {0: "batch", 2: "time"}


def _graph(program: ExportedProgram, names: dict[int, str], label: dict[str, str]) -> onnx.ModelProto:
    translated = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=(names,),
    )
    if translated is None:
        raise ExportError("torch's ONNX exporter returned no graph; install the versions of constraints.txt")
    model = translated.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")  # traces that no runtime reads, a third of a small file
    onnx.helper.set_model_props(model, label)
    return model


def _session(file: Path) -> Form:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters, which report their internals."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
