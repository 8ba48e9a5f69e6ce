"""Kernel size, stride, padding and dilation of a convolution, checked once."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, TypeGuard

from torch import Tensor
from torch.nn import functional

from hocbench.errors import NetworkError

PADDING_MODES = ("zeros", "replicate")
# From the last dimension backwards: a 1-D layer has a width, a 2-D one a height as well.
DIMENSIONS = ("time", "height", "width")


@dataclass(frozen=True)
class Geometry:
    """Where a kernel is applied, one entry per dimension of the convolution.

    Attributes
    ----------
    kernel_size, stride, padding, dilation : tuple of int
        As in torch; padding is on each side.
    padding_mode : tuple of {"zeros", "replicate"}
        What stands beyond the two ends of a dimension.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    padding_mode: tuple[str, ...]

    @property
    def order(self) -> int:
        """Number of dimensions convolved."""
        return len(self.kernel_size)

    @property
    def span(self) -> tuple[int, ...]:
        """Positions from the first to the last that the kernel sees, per dimension."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True))

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """Return the positions of the output for an input of ``size`` positions, which the kernel must fit into."""
        result = []
        for d, (n, span) in enumerate(zip(size, self.span, strict=True)):
            if n == 0 or n + 2 * self.padding[d] < span:
                raise NetworkError(
                    f"convolution over {tuple(size)} positions: a kernel that spans {span} does not fit into dimension "
                    f"{d} with {n} positions and padding {self.padding[d]}; give a larger input or more padding"
                )
            result.append((n + 2 * self.padding[d] - span) // self.stride[d] + 1)
        return tuple(result)

    def only(self, dimension: int) -> "Geometry":
        """Return the geometry of a kernel that extends along one dimension alone."""

        def keep(values: tuple, other: int | str) -> tuple:
            return tuple(value if d == dimension else other for d, value in enumerate(values))

        return Geometry(
            keep(self.kernel_size, 1),
            keep(self.stride, 1),
            keep(self.padding, 0),
            keep(self.dilation, 1),
            keep(self.padding_mode, "zeros"),
        )

    def insert(self, position: int, kernel_size: int, padding_mode: str) -> "Geometry":
        """Add a dimension that is not strided and keeps its length; ``kernel_size`` is odd."""

        def put(values: tuple, value: int | str) -> tuple:
            return (*values[:position], value, *values[position:])

        return Geometry(
            put(self.kernel_size, kernel_size),
            put(self.stride, 1),
            put(self.padding, kernel_size // 2),
            put(self.dilation, 1),
            put(self.padding_mode, padding_mode),
        )


def make_geometry(
    kernel_size: Sequence[int],
    stride: int | Sequence[int] = 1,
    padding: Literal["same"] | int | Sequence[int] = "same",
    dilation: int | Sequence[int] = 1,
    padding_mode: str | Sequence[str] = "zeros",
) -> Geometry:
    """Check and complete what a user gives: one value for all dimensions, of which there are one to three, or one each.

    Padding "same" is dilation·(kernel-1)/2 on each side, so that ``ceil(in / stride)`` positions come out. Every other
    value than those of the signature, and of `PADDING_MODES`, raises a NetworkError.
    """
    kernel = tuple(kernel_size) if isinstance(kernel_size, Sequence) else ()
    if not 1 <= len(kernel) <= 3 or not all(is_whole(k) and k >= 1 for k in kernel):
        raise NetworkError(
            f"kernel size {kernel_size} of a convolution: give one to three positive numbers, for example (3, 3)"
        )
    kernel = tuple(int(k) for k in kernel)
    steps = _per_dimension("stride", stride, len(kernel), 1)
    spacing = _per_dimension("dilation", dilation, len(kernel), 1)
    if isinstance(padding, str):
        if padding != "same":
            raise NetworkError(
                f"padding {padding!r} of a convolution: give 'same', a number or one number per dimension"
            )
        if any(k % 2 == 0 for k in kernel):
            raise NetworkError(f"kernel size {kernel}: padding 'same' wants odd numbers; give the padding in numbers")
        pads = tuple(d * (k // 2) for d, k in zip(spacing, kernel, strict=True))
    else:
        pads = _per_dimension("padding", padding, len(kernel), 0)
    modes = (padding_mode,) * len(kernel) if isinstance(padding_mode, str) else tuple(padding_mode or ())
    if len(modes) != len(kernel) or any(mode not in PADDING_MODES for mode in modes):
        raise NetworkError(f"padding_mode {padding_mode!r} of a convolution: choose from {', '.join(PADDING_MODES)}")
    return Geometry(kernel, steps, pads, spacing, modes)


def geometry_of(conv: Any) -> Geometry:
    """Return the geometry of a convolution of torch."""
    return make_geometry(conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.padding_mode)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _per_dimension(name: str, value: int | Sequence[int], order: int, least: int) -> tuple[int, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * order
    if len(values) != order or not all(is_whole(v) and v >= least for v in values):
        raise NetworkError(
            f"{name} {value!r} of a convolution of order {order}: give a number of at least {least}, or {order} of them"
        )
    return tuple(int(v) for v in values)


def pad_replicated(x: Tensor, padding: Sequence[int], modes: Sequence[str]) -> tuple[Tensor, tuple[int, ...]]:
    """Repeat the edge positions where the mode is "replicate".

    ``padding`` and ``modes`` belong to the last dimensions of ``x``, shape (N, C, ...). Returns the padded tensor, and
    the zero padding that is left to the convolution.
    """
    copied = [pad if mode == "replicate" else 0 for pad, mode in zip(padding, modes, strict=True)]
    if any(copied):
        # torch counts pairs of paddings from the last dimension, and refuses to replicate what is empty.
        pairs = [pad for pad in reversed(copied) for _ in range(2)]
        x = functional.pad(x, pairs, mode="replicate" if x.numel() else "constant")
    return x, tuple(pad - done for pad, done in zip(padding, copied, strict=True))
