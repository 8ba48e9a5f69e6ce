"""What a factorization of a convolution kernel offers to the layer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

from torch import Tensor

from hocbench.errors import NetworkError
from hocbench.nn.contraction import Kernels, Planes, convolve_kernels, pointwise
from hocbench.nn.geometry import Geometry, is_whole

Rank = Literal["same"] | int | float | tuple[int, ...]
# Modes of the kernel in the order output, input, then the dimensions convolved, with their sizes.
Sizes = Mapping[str, int]
Tensors = Mapping[str, Tensor]
Activation = Callable[[Planes], Planes]

# A dense convolution runs near peak speed, a chain of small ones does not (measured on CPUs).
CHAIN_EFFORT = 2


@dataclass(frozen=True)
class Cost:
    """Multiply-adds of the ways to apply a kernel.

    Attributes
    ----------
    chain, dense : int
        One contraction after the other, and one dense convolution, of the whole input.
    effort : int
        Multiply-adds of a dense convolution that take as long as the chain (see `Factorization.effort`).
    rebuild : int
        Making the dense kernel from the factors, once.
    """

    chain: int
    effort: int
    dense: int
    rebuild: int


class Factorization(ABC):
    """A way to write a kernel ``(out, in, *kernel_size)`` by smaller tensors, which carry the names of its modes."""

    name: str
    # The tensor beside the factors, if there is one.
    core_name: str | None

    @abstractmethod
    def resolve_rank(self, rank: Rank, sizes: Sizes) -> int | tuple[int, ...]:
        """Turn a rank as the user writes it into numbers; "same" matches the parameters of the dense kernel."""

    @abstractmethod
    def shapes(self, rank: Any, sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor."""

    @abstractmethod
    def rank_of(self, tensors: Tensors) -> int | tuple[int, ...]:
        """Read the rank off the tensors."""

    @abstractmethod
    def initial(self, rank: Any, sizes: Sizes) -> dict[str, Tensor]:
        """Draw tensors whose kernel entries have the variance 2 / (in · ΠK) of a He-initialised one."""

    @abstractmethod
    def kernel(self, tensors: Tensors, sizes: Sizes) -> Tensor:
        """Rebuild the dense kernel, shape ``(out, in, *kernel_size)``."""

    @abstractmethod
    def parts(self, tensors: Tensors, geometry: Geometry) -> tuple[Tensor, Kernels, Tensor]:
        """Return the chain: a projection (R, in), kernels from R to R' channels, a projection (out, R')."""

    def convolve(
        self, x: Planes, tensors: Tensors, geometry: Geometry, activation: Activation, bias: Tensor | None
    ) -> Planes:
        """Go along the chain; ``activation`` comes after the first projection."""
        first, kernels, last = self.parts(tensors, geometry)
        return pointwise(convolve_kernels(activation(pointwise(x, first)), kernels), last, bias)

    @abstractmethod
    def multiply_adds(self, rank: Any, sizes: Sizes, before: Sequence[int], after: Sequence[int]) -> tuple[int, int]:
        """Count chain and rebuilding for one sample of ``before`` positions in and ``after`` positions out."""

    def effort(self, rank: Any, sizes: Sizes, before: Sequence[int], after: Sequence[int]) -> int:
        """Weigh the chain of one sample: multiply-adds of a dense convolution that take about as long (measured)."""
        return CHAIN_EFFORT * self.multiply_adds(rank, sizes, before, after)[0]

    @abstractmethod
    def add_mode(self, tensors: Tensors, sizes: Sizes, name: str, taps: Tensor) -> dict[str, Tensor]:
        """Return the tensors of a kernel with one mode more, ``name``: each old entry times ``taps`` (k,) along it.

        ``sizes`` are those of the larger kernel, in which ``name`` has its place.
        """

    def zeros(self, rank: Any, sizes: Sizes) -> dict[str, Tensor]:
        """Draw tensors of the kernel of zeros that can be trained: one of them is zero, λ or the core if there is."""
        tensors = self.initial(rank, sizes)
        tensors[self.core_name or "output"].zero_()
        return tensors

    @abstractmethod
    def decompose(self, kernel: Tensor, rank: Any, seed: int, iterations: int) -> list[Tensor]:
        """Approximate a dense kernel in float64, not all zero, by tensorly; the tensors in the order of `shapes`."""


def positive_multiple(rank: Rank) -> float | None:
    """Return the multiple of "same" that a rank means, None for explicit numbers; refuse what is not positive."""
    if isinstance(rank, str):
        if rank != "same":
            raise NetworkError(f"rank {rank!r} of a factorized convolution: give 'same', a multiple of it or a number")
        return 1.0
    if is_whole(rank):
        if rank < 1:
            raise NetworkError(f"rank {rank} of a factorized convolution: give at least 1, a multiple or 'same'")
        return None
    if isinstance(rank, tuple | list):
        return None
    if isinstance(rank, bool) or not isinstance(rank, Real) or not 0 < float(rank) < float("inf"):
        raise NetworkError(f"rank {rank!r} of a factorized convolution: a multiple of 'same' must be above 0")
    return float(rank)


def check_ranks(rank: Sequence[int], wanted: Sequence[str], name: str) -> tuple[int, ...]:
    """Return one rank for each wanted place; refuse more, fewer, and what is not a positive whole number."""
    if len(rank) != len(wanted) or not all(is_whole(number) and number >= 1 for number in rank):
        raise NetworkError(
            f"rank {tuple(rank)} of a {name} convolution: give {len(wanted)} numbers of at least 1, "
            f"for {', '.join(wanted)}"
        )
    return tuple(int(number) for number in rank)


def matched_sizes(sizes: Sizes) -> dict[str, int]:
    """Leave out time at order 3: a clip layer has the ranks of the image layer it can be transducted from."""
    return {name: size for name, size in sizes.items() if name != "time" or len(sizes) < 5}
