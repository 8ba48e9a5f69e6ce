"""The memory-saving path: nothing but the input is kept for the backward pass."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(chain: Callable[[Tensor], Tensor], x: Tensor, norm: nn.BatchNorm2d | None) -> Tensor:
    """Apply a chain of contractions, and apply it again in the backward pass instead of keeping what lies between.

    Parameters
    ----------
    chain : callable
        From ``(N, C, ...)`` to ``(N, T, ...)``.
    x : Tensor
        At least one sample; samples pass one by one, unless ``norm`` takes its statistics over all of them.
    norm : BatchNorm2d or None
        Inside the chain; its running statistics are updated in the forward pass alone.
    """
    whole = norm is not None and norm.training
    second: AbstractContextManager[Any] = nullcontext() if norm is None else _StatisticsKept(norm)
    options: dict[str, Any] = {
        "use_reentrant": False,
        "preserve_rng_state": False,
        "context_fn": lambda: (nullcontext(), second),
    }
    outputs = [checkpoint(chain, part, **options) for part in ((x,) if whole else x.split(1))]
    return torch.cat(outputs) if len(outputs) > 1 else outputs[0]


class _StatisticsKept:
    """Leaves running statistics alone while a batch passes again, which may happen for several backward passes.

    The second pass must save the same tensors as the first, so it gets copies of the buffers rather than none.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.kept: dict[str, Any] = {}

    def __enter__(self) -> None:
        self.kept = dict(self.norm._buffers)
        self.norm._buffers.update({name: buffer.clone() for name, buffer in self.kept.items() if buffer is not None})

    def __exit__(self, *error: object) -> None:
        self.norm._buffers.update(self.kept)
