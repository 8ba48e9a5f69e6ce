"""Ways to apply a CP-factorized convolution, and the fixed rule that chooses between them.

Symbols follow the paper: a kernel of shape ``(out T, in C, *K)`` is the rank-R CP tensor
``[[λ; U_T, U_C, U_K1 ... U_KN]]``.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# Below four positions per component, rebuilding the dense kernel costs more than it saves (measured, 2-D).
POSITIONS_PER_COMPONENT = 4


def cp_kernel(weights: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Rebuild the dense tensor of a CP decomposition.

    Parameters
    ----------
    weights : Tensor, shape (R,)
        The CP weights λ.
    factors : sequence of Tensor, shapes (n_i, R)
        One matrix per mode.

    Returns
    -------
    Tensor, shape (n_0, n_1, ...)
        ``Σ_r λ_r · f_0[:, r] ∘ f_1[:, r] ∘ ...``
    """
    columns = weights.unsqueeze(0)
    # Khatri-Rao product of all modes but the first, then one matrix product.
    for factor in factors[1:]:
        columns = (columns.unsqueeze(1) * factor.unsqueeze(0)).reshape(-1, weights.numel())
    return (factors[0] @ columns.t()).reshape([factor.shape[0] for factor in factors])


def prefers_reconstruction(
    positions: int, rank: int, in_channels: int, out_channels: int, spatial_taps: int, temporal_taps: int
) -> bool:
    """Decide by counts alone whether to rebuild the dense kernel and convolve once.

    The same counts give the same answer on every machine, so that a training run is reproducible.

    Parameters
    ----------
    positions : int
        Output positions of the whole batch, ``B · T · Hout · Wout``.
    rank : int
        Number of components R.
    in_channels, out_channels : int
        Channels C and T of the layer.
    spatial_taps, temporal_taps : int
        Number of spatial and temporal kernel positions (1 where there is no time).
    """
    factorized = rank * (in_channels + out_channels + spatial_taps + temporal_taps)
    dense = in_channels * out_channels * spatial_taps * temporal_taps
    # A dense convolution runs near peak speed, the depthwise part of the chain does not: factor 2, measured.
    return positions > POSITIONS_PER_COMPONENT * rank and dense < 2 * factorized


def depthwise_spatial(z: Tensor, kernel: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
    """Convolve each channel of images ``(N, R, H, W)`` with its own ``kernel`` of shape ``(kh, kw, R)``."""
    weight = kernel.permute(2, 0, 1).unsqueeze(1)
    return functional.conv2d(z, weight, stride=stride, padding=padding, groups=kernel.shape[-1])


def depthwise_temporal(z: Tensor, factor: Tensor, frames: int, mode: str) -> Tensor:
    """Convolve each channel of clips along time.

    Parameters
    ----------
    z : Tensor, shape (B·T, R, H, W)
        Frames of clips in channels-last memory, which makes the reshapes below views.
    factor : Tensor, shape (kt, R)
        Temporal factor; kt is odd.
    frames : int
        T, frames per clip.
    mode : {"zeros", "replicate"}
        What stands before the first and after the last frame.
    """
    images, rank, height, width = z.shape
    half = factor.shape[0] // 2
    plane = z.permute(0, 2, 3, 1).reshape(images // frames, frames, height * width, rank).permute(0, 3, 1, 2)
    if mode == "replicate" and half:
        plane = functional.pad(plane, (0, 0, half, half), mode="replicate")
    padding = (half, 0) if mode == "zeros" else (0, 0)
    plane = functional.conv2d(plane, factor.t()[:, None, :, None], padding=padding, groups=rank)
    return plane.permute(0, 2, 3, 1).reshape(images, height, width, rank).permute(0, 3, 1, 2)


def clips_to_frames(x: Tensor) -> Tensor:
    """Turn ``(B, C, T, H, W)`` into ``(B·T, C, H, W)``; a view when the memory is channels-last."""
    batch, channels, frames, height, width = x.shape
    return x.permute(0, 2, 1, 3, 4).reshape(batch * frames, channels, height, width)


def frames_to_clips(x: Tensor, frames: int) -> Tensor:
    """Turn ``(B·T, C, H, W)`` into ``(B, C, T, H, W)``, always a view."""
    return x.unflatten(0, (-1, frames)).permute(0, 2, 1, 3, 4)


def pointwise(x: Tensor, matrix: Tensor) -> Tensor:
    """Mix the channels of ``(N, C, H, W)`` by ``matrix`` of shape ``(out, C)``."""
    return functional.conv2d(x, matrix[:, :, None, None])


def unit_columns(rows: int, columns: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw a matrix whose columns are uniform on the unit sphere, shape ``(rows, columns)``."""
    return functional.normalize(torch.randn(rows, columns, generator=generator), dim=0)
