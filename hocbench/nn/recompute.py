"""The implementation that saves memory: nothing but the input is kept for the backward pass.

That is a matter of plain autograd. Exported and traced programs, and the transforms of torch.func, which have no such
thing, get the same operations without it; torch.compile gets it wherever no statistics are updated inside.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hocbench.nn.implementation import computes_eagerly


def recomputed(chain: Callable[[Tensor], Tensor], x: Tensor, norm: nn.BatchNorm2d | None) -> Tensor:
    """Apply a chain of contractions, and apply it again in the backward pass instead of keeping what lies between.

    The chain maps ``(N, C, ...)`` to ``(N, T, ...)``. Samples, one at least, pass one by one, unless ``norm``, a
    BatchNorm inside the chain, takes its statistics over all of them; these are updated in the forward pass alone.
    """
    whole = norm is not None and norm.training
    norms = [] if norm is None else [norm]
    # A graph is to hold for any number of samples.
    parts = (x,) if whole or not computes_eagerly() else x.split(1)
    outputs = [_twice(chain, part, norms) for part in parts]
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


def recomputed_module(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module, and apply it again in the backward pass; its BatchNorm statistics are updated once."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    return _twice(module, x, norms)


def _twice(function: Callable[[Tensor], Tensor], x: Tensor, norms: Sequence[nn.Module]) -> Tensor:
    again: Callable[..., Tensor] = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
    if computes_eagerly():
        contexts: Callable[[], Any] = lambda: (nullcontext(), _StatisticsKept(norms))  # noqa: E731
        return again(function, x, context_fn=contexts)
    compiled = torch.compiler.is_compiling() and not torch.compiler.is_exporting()
    if compiled and not any(norm.training for norm in norms):
        return again(function, x)
    return function(x)


class _StatisticsKept:
    """Keeps running statistics as they are while a batch passes again, which may happen for several backward passes.

    The second pass must save the same tensors as the first, so it gets copies of the buffers rather than none.
    """

    def __init__(self, norms: Sequence[nn.Module]) -> None:
        self.norms = norms
        self.saved: list[dict[str, Any]] = []

    def __enter__(self) -> None:
        self.saved = [dict(norm._buffers) for norm in self.norms]
        for norm, buffers in zip(self.norms, self.saved, strict=True):
            norm._buffers.update({name: buffer.clone() for name, buffer in buffers.items() if buffer is not None})

    def __exit__(self, *error: object) -> None:
        for norm, buffers in zip(self.norms, self.saved, strict=True):
            norm._buffers.update(buffers)
