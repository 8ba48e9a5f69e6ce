"""Decomposing the trained kernel of a dense convolution."""

import math
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor

from hocbench.errors import NetworkError
from hocbench.nn.factorizations import Factorization, Rank, Sizes, find_factorization
from hocbench.nn.geometry import DIMENSIONS


@dataclass(frozen=True)
class Fit:
    """How well a factorized kernel fits the dense one.

    Attributes
    ----------
    relative_error : float
        ``‖W - Ŵ‖ / ‖W‖``, Frobenius norms, float64; 0 for a layer that was left as it was.
    rank : int, tuple of int or None
        Of the factorized kernel; None for a layer that was left.
    left : str or None
        Why the layer was left as it was, None if it was factorized.
    """

    relative_error: float
    rank: Any
    left: str | None = None


@torch.no_grad()
def decompose(
    kernel: Tensor, rank: Rank, factorization: str, seed: int, iterations: int, name: str
) -> dict[str, Tensor]:
    """Approximate a dense kernel ``(out, in, *kernel_size)`` by the tensors of a factorized one.

    ``rank``, ``seed`` and ``iterations`` are those of `FactorizedConv.from_dense`; ``name`` is what errors call the
    layer. The tensors are weights or core, then the factors by mode, with the kernel's precision and device.

    Raises
    ------
    NetworkError
        For NaN, an unknown factorization or rank, or more memory than the machine has free.
    """
    if not torch.isfinite(kernel).all():
        raise NetworkError(f"layer {name!r} holds NaN or infinity; it cannot be decomposed")
    scheme = find_factorization(factorization)
    sizes = dict(zip(("output", "input", *DIMENSIONS[2 - kernel.ndim :]), kernel.shape, strict=True))
    numbers = scheme.resolve_rank(rank, sizes)
    _check_memory(scheme, numbers, sizes, name)
    if kernel.any():
        results = scheme.decompose(kernel.double().cpu(), numbers, seed, iterations)
        tensors = dict(zip(scheme.shapes(numbers, sizes), results, strict=True))
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tensors = scheme.zeros(numbers, sizes)
    return {key: tensor.to(kernel) for key, tensor in tensors.items()}


def relative_error(kernel: Tensor, approximation: Tensor) -> float:
    """Return ``‖W - Ŵ‖ / ‖W‖``; 0 for two empty or zero kernels."""
    exact, close = kernel.detach().double(), approximation.detach().double()
    norm = exact.norm().item()
    distance = (exact - close).norm().item()
    return distance / norm if norm else (0.0 if distance == 0 else math.inf)


def _check_memory(scheme: Factorization, rank: Any, sizes: Sizes, name: str) -> None:
    """Refuse what would not fit: the Khatri-Rao product of all modes but the smallest, and the unfolded kernel."""
    kernel = math.prod([*sizes.values()])
    widest = kernel // min(sizes.values()) * rank + rank**2 if scheme.name == "cp" else 1
    needed, free = 8 * (3 * kernel + widest), psutil.virtual_memory().available
    if needed > free:
        raise NetworkError(
            f"layer {name!r}: a {scheme.name} decomposition of rank {rank} needs about "
            f"{needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; choose a smaller rank"
        )
