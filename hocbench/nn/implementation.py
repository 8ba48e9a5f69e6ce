"""How a factorized convolution is computed: by a fixed rule, or by what was measured to be fastest."""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from hocbench.errors import NetworkError
from hocbench.nn.factorizations import Cost

# What "rule" and "measured" choose between.
CANDIDATES = ("factorized", "reconstructed")
COMPUTED = (*CANDIDATES, "recompute")
IMPLEMENTATIONS = ("rule", "measured", *COMPUTED)
ROUNDS = 5
# Positions of a large input per dimension, in spans of the kernel.
LARGE = 32
# A candidate that is so many times slower than the best in the first round is not timed again.
HOPELESS = 4


def check_implementation(name: str) -> None:
    """Refuse an implementation that does not exist, by a NetworkError."""
    if name not in IMPLEMENTATIONS:
        raise NetworkError(
            f"implementation {name!r} of a factorized convolution: choose from {', '.join(IMPLEMENTATIONS)}"
        )


def choose_by_rule(cost: Cost, temporal_only: bool) -> str:
    """Decide by counts alone whether to rebuild the dense kernel and convolve once, or to go along the chain.

    The same counts give the same answer on every machine, so that a training run is reproducible. ``temporal_only``
    says that the temporal factor alone is trained: then the chain needs no gradients of its projections, a third of its
    effort, while a rebuilt kernel needs its whole gradient.
    """
    chain = cost.effort * 2 / 3 if temporal_only else cost.effort
    return "reconstructed" if cost.dense + cost.rebuild < chain else "factorized"


def computes_eagerly() -> bool:
    """Return whether operations are computed as they come, and differentiated by autograd alone if at all.

    Otherwise they are written into a graph (torch.compile, torch.export, torch.jit), where nothing can be timed and any
    number of samples may come, or transformed by torch.func.
    """
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transformed())


def is_transformed() -> bool:
    """Return whether a transform of torch.func is at work, such as vmap, which hides the dimension it maps over."""
    return bool(torch._C._are_functorch_transforms_active())


def situation(x: Tensor, training: bool) -> str:
    """Write down all that a measured choice depends on."""
    shape = "x".join(map(str, x.shape))
    mode = "training" if training else "inference"
    dtype = torch.get_autocast_dtype(x.device.type) if torch.is_autocast_enabled(x.device.type) else x.dtype
    device = torch.cuda.get_device_name(x.device) if x.device.type == "cuda" else x.device.type
    return f"{shape} {str(dtype).removeprefix('torch.')} {device} {torch.get_num_threads()} threads {mode}"


def measure(compute: Callable[[Tensor, str], Tensor], x: Tensor, trained: Sequence[Tensor]) -> str:
    """Time both candidates on an input, which stays untouched, with the backward pass where one would follow.

    ``compute`` maps an input and the name of an implementation to the output; ``trained`` are the tensors that
    gradients are computed of, beside the input if that wants one. Returns the fastest of `CANDIDATES`.
    """

    def run(name: str) -> None:
        inputs = x.detach().requires_grad_(x.requires_grad)
        y = compute(inputs, name)
        if y.requires_grad:
            # What makes the tensors before the layer is called, pruning say, is passed more than once.
            wanted = [*trained, inputs] if x.requires_grad else trained
            torch.autograd.grad(y, wanted, torch.ones_like(y), retain_graph=True)

    return fastest({name: partial(run, name) for name in CANDIDATES}, x.device)


def fastest(candidates: dict[str, Callable[[], None]], device: torch.device) -> str:
    """Run the candidates in turn, A B A B, after one run to warm up; return the one with the smallest median time.

    Those that are `HOPELESS` times slower than the best in the first round are not run again.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(ROUNDS + 1):
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
