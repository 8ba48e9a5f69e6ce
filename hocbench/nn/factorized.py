"""The CP-factorized convolution (section 3 of the paper)."""

import math
from numbers import Integral
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.contraction import (
    clips_to_frames,
    cp_kernel,
    depthwise_spatial,
    depthwise_temporal,
    frames_to_clips,
    pointwise,
    prefers_reconstruction,
    unit_columns,
)

PATHS = ("rule", "factorized", "reconstructed")
PADDING_MODES = ("zeros", "replicate")
Rank = Literal["same"] | int | float


def resolve_rank(rank: Rank, out_channels: int, in_channels: int, kernel_size: tuple[int, ...]) -> int:
    """Turn a rank as the user writes it into a number of components.

    Parameters
    ----------
    rank : "same", int or float
        "same" matches the parameters of a dense convolution, R = round(C·T·ΠK / (C + T + ΣK)); a float is a
        multiple of that; an int is taken as it is.
    out_channels, in_channels : int
        T and C.
    kernel_size : tuple of int
        K, without time for a transducted layer.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    NetworkError
        If the rank is not positive.
    """
    if isinstance(rank, Integral) and not isinstance(rank, bool):
        if rank < 1:
            raise NetworkError(f"rank {rank} of a factorized convolution: give at least 1, a multiple or 'same'")
        return int(rank)
    multiple = 1.0 if rank == "same" else float(rank)
    if not multiple > 0:
        raise NetworkError(f"rank {rank!r} of a factorized convolution: a multiple of 'same' must be above 0")
    taps = math.prod(kernel_size)
    same = out_channels * in_channels * taps / (out_channels + in_channels + sum(kernel_size))
    return max(1, round(multiple * same))


class FactorizedConv(nn.Module):
    """A convolution over images or clips whose kernel is a CP tensor.

    Parameters
    ----------
    in_channels, out_channels : int
        C and T.
    kernel_size : tuple of int
        ``(height, width)`` or ``(time, height, width)``.
    rank : "same", int or float
        See `resolve_rank`. At order 3 "same" counts the spatial modes only, so that a network has the ranks of
        the 2-D one it can be transducted from.
    stride : int
        Of height and width; time is never strided.
    padding_mode : {"zeros", "replicate"}
        At the ends of time; space is padded with zeros, half a kernel on each side.
    path : {"rule", "factorized", "reconstructed"}
        How the convolution is computed; "rule" chooses by `prefers_reconstruction`.

    Attributes
    ----------
    weights : Parameter, shape (rank,)
        λ.
    factors : ParameterDict
        ``out (T, R)``, ``in (C, R)``, ``time (kt, R)`` at order 3, ``height (kh, R)``, ``width (kw, R)``.

    Notes
    -----
    Factor columns start on the unit sphere and λ² = 2·T/R, which gives each kernel entry the variance
    2 / (C·ΠK) of a He-initialised dense convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        *,
        rank: Rank = "same",
        stride: int = 1,
        padding_mode: Literal["zeros", "replicate"] = "zeros",
        path: str = "rule",
    ) -> None:
        super().__init__()
        if len(kernel_size) not in (2, 3) or any(k < 1 or k % 2 == 0 for k in kernel_size):
            raise NetworkError(f"kernel size {kernel_size}: give 2 or 3 odd numbers, (time,) height, width")
        if path not in PATHS:
            raise NetworkError(f"path {path!r} of a factorized convolution: choose from {', '.join(PATHS)}")
        if padding_mode not in PADDING_MODES:
            raise NetworkError(f"padding_mode {padding_mode!r} at the ends of time: choose from zeros, replicate")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.path = tuple(kernel_size), stride, path
        self.padding_mode = padding_mode
        modes = ("time", "height", "width")[-self.order :]
        self.factor_names: tuple[str, ...] = ("out", "in", *modes)
        sizes = dict(zip(self.factor_names, (out_channels, in_channels, *self.kernel_size), strict=True))
        components = resolve_rank(rank, out_channels, in_channels, self.kernel_size[-2:])
        self.factors = nn.ParameterDict({name: unit_columns(size, components) for name, size in sizes.items()})
        self.weights = nn.Parameter(torch.full((components,), math.sqrt(2 * out_channels / components)))

    @property
    def order(self) -> int:
        """Number of dimensions convolved: 2 for images, 3 for clips."""
        return len(self.kernel_size)

    @property
    def rank(self) -> int:
        """Number of components R."""
        return self.weights.numel()

    def dense_kernel(self) -> Tensor:
        """Rebuild the kernel, shape ``(out, in, *kernel_size)``."""
        return cp_kernel(self.weights, [self.factors[name] for name in self.factor_names])

    def forward(self, x: Tensor) -> Tensor:
        """Convolve images ``(N, C, H, W)`` or clips ``(N, C, T, H, W)``.

        Raises
        ------
        NetworkError
            If the input has another order or number of channels.
        """
        if x.ndim != self.order + 2 or x.shape[1] != self.in_channels:
            wanted = "(N, {}, {}H, W)".format(self.in_channels, "T, " if self.order == 3 else "")
            raise NetworkError(f"factorized convolution of order {self.order} wants {wanted}, got {tuple(x.shape)}")
        if self._reconstructs(x):
            return self._convolve_dense(x)
        if self.order == 2:
            return self._chain(x, None)
        return frames_to_clips(self._chain(clips_to_frames(x), x.shape[2]), x.shape[2])

    def _reconstructs(self, x: Tensor) -> bool:
        if self.path != "rule":
            return self.path == "reconstructed"
        frames = x.shape[2] if self.order == 3 else 1
        height, width = (-(-size // self.stride) for size in x.shape[-2:])
        return prefers_reconstruction(
            positions=x.shape[0] * frames * height * width,
            rank=self.rank,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            spatial_taps=math.prod(self.kernel_size[-2:]),
            temporal_taps=self.kernel_size[0] if self.order == 3 else 1,
        )

    def _convolve_dense(self, x: Tensor) -> Tensor:
        padding = [k // 2 for k in self.kernel_size]
        if self.order == 2:
            return functional.conv2d(x, self.dense_kernel(), stride=self.stride, padding=padding)
        if self.padding_mode == "replicate":
            x = functional.pad(x, (0, 0, 0, 0, padding[0], padding[0]), mode="replicate")
            padding[0] = 0
        stride = (1, self.stride, self.stride)
        return functional.conv3d(x, self.dense_kernel(), stride=stride, padding=padding)

    def _chain(self, x: Tensor, frames: int | None) -> Tensor:
        """Contract one factor after the other; height and width as one depthwise kernel that also carries λ."""
        height, width = self.factors["height"], self.factors["width"]
        spatial = self.weights * height.unsqueeze(1) * width.unsqueeze(0)
        z = pointwise(x.contiguous(memory_format=torch.channels_last), self.factors["in"].t())
        padding = (height.shape[0] // 2, width.shape[0] // 2)
        z = depthwise_spatial(z, spatial, (self.stride, self.stride), padding)
        if frames is not None:
            z = depthwise_temporal(z, self.factors["time"], frames, self.padding_mode)
        return pointwise(z, self.factors["out"])

    def extra_repr(self) -> str:
        """Describe the layer for ``print(network)``."""
        return f"{self.in_channels}, {self.out_channels}, {self.kernel_size}, rank={self.rank}, stride={self.stride}"
