"""How a factorized convolution is computed: by a fixed rule, or by what was measured to be fastest."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.files.write import write_text
from hocbench.nn.factorizations import Cost

if TYPE_CHECKING:
    from hocbench.nn.factorized import FactorizedConv

# What "rule" and "measured" choose between.
MEASURED = ("factorized", "reconstructed")
COMPUTED = (*MEASURED, "recompute")
PATHS = ("rule", "measured", *COMPUTED)
ROUNDS = 5
# Positions of a large input per dimension, in spans of the kernel.
LARGE = 32
# A candidate that is so many times slower than the best in the first round is not timed again.
HOPELESS = 4


def check_path(path: str) -> None:
    """Refuse a path that does not exist.

    Raises
    ------
    NetworkError
        Naming those that do.
    """
    if path not in PATHS:
        raise NetworkError(f"path {path!r} of a factorized convolution: choose from {', '.join(PATHS)}")


def rule_path(cost: Cost, temporal_only: bool) -> str:
    """Decide by counts alone whether to rebuild the dense kernel and convolve once, or to go along the chain.

    The same counts give the same answer on every machine, so that a training run is reproducible.

    Parameters
    ----------
    cost : Cost
        Multiply-adds for the whole batch.
    temporal_only : bool
        Whether the temporal factor alone is trained: then the chain needs no gradients of its projections, a third of
        its effort, while a rebuilt kernel needs its whole gradient.

    Returns
    -------
    {"factorized", "reconstructed"}
        The one with less effort.
    """
    chain = cost.effort * 2 / 3 if temporal_only else cost.effort
    return "reconstructed" if cost.dense + cost.rebuild < chain else "factorized"


def computes_eagerly() -> bool:
    """Tell whether operations are computed as they come, and differentiated by autograd alone if at all.

    Otherwise they are written into a graph (torch.compile, torch.export, torch.jit), where nothing can be timed and any
    number of samples may come, or transformed by torch.func.
    """
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transformed())


def is_transformed() -> bool:
    """Tell whether a transform of torch.func is at work, such as vmap, which hides the dimension it maps over."""
    return bool(torch._C._are_functorch_transforms_active())


def situation(x: Tensor, training: bool) -> str:
    """Write down all that a measured choice depends on."""
    shape = "x".join(map(str, x.shape))
    mode = "training" if training else "inference"
    dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    device = torch.cuda.get_device_name(x.device) if x.device.type == "cuda" else x.device.type
    return f"{shape} {str(dtype).removeprefix('torch.')} {device} {torch.get_num_threads()} threads {mode}"


def fastest(candidates: dict[str, Callable[[], None]], device: torch.device, rounds: int = ROUNDS) -> str:
    """Run the candidates in turn, A B A B, and return the one with the smallest median time.

    Parameters
    ----------
    candidates : dict of str to callable
        What to run.
    device : device
        CPU time is taken on a CPU, events on a GPU.
    rounds : int
        Runs of each behind one to warm up; those that are four times slower than the best have one.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, taken in times.items():
            seconds = elapsed(candidates[name], device)
            if turn:
                taken.append(seconds)
        if turn == 1:
            most = HOPELESS * min(taken[0] for taken in times.values())
            times = {name: taken for name, taken in times.items() if taken[0] <= most}
    return min(times, key=lambda name: statistics.median(times[name]))


def elapsed(run: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of CPU time, or of GPU time between two events, that a call takes."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000
    started = time.process_time()
    run()
    return time.process_time() - started


def layer_choices(network: nn.Module) -> dict[str, dict[str, str]]:
    """Collect the measured paths of a network: layer, situation, path."""
    return {name: dict(layer.choices) for name, layer in _measuring(network).items() if layer.choices}


def save_choices(network: nn.Module, file: Path) -> None:
    """Write the measured paths of a network as JSON."""
    write_text(json.dumps(layer_choices(network), indent=1, sort_keys=True) + "\n", file)


def load_choices(network: nn.Module, file: Path) -> None:
    """Take over measured paths, so that nothing is timed again in the same situations.

    Raises
    ------
    NetworkError
        If the file cannot be read, or names a layer or path that the network does not have; nothing is taken over then.
    """
    try:
        choices = json.loads(file.read_text(encoding="utf-8"))
        pairs = [(layer, dict(known)) for layer, known in choices.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise NetworkError(f"{file} holds no measured paths ({error}); write it with save_choices") from None
    layers = _measuring(network)
    for name, known in pairs:
        if name not in layers:
            raise NetworkError(f"{file}: layer {name!r} is not a factorized layer of this network; measure it anew")
        for path in known.values():
            if path not in COMPUTED:
                raise NetworkError(f"{file}: layer {name!r} has the path {path!r}; choose from {', '.join(COMPUTED)}")
            if path == "reconstructed" and layers[name].inner_norm is not None:
                raise NetworkError(f"{file}: layer {name!r} has the path {path!r}, but an inner activation; remove it")
    for name, known in pairs:
        layers[name].choices.update(known)


def set_path(network: nn.Module, path: str) -> None:
    """Set how every factorized layer of a network is computed.

    Layers with an inner activation have no reconstructed path; there the other paths apply.

    Raises
    ------
    NetworkError
        If the path is unknown.
    """
    check_path(path)
    for layer in _measuring(network).values():
        layer.path = "factorized" if path == "reconstructed" and layer.inner_norm is not None else path


def _measuring(network: nn.Module) -> dict[str, "FactorizedConv"]:
    from hocbench.nn.factorized import FactorizedConv

    return {name: module for name, module in network.named_modules() if isinstance(module, FactorizedConv)}
