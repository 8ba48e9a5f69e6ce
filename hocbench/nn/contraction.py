"""The steps that a factorized convolution is made of, on channels-last memory.

A clip ``(B, C, D, H, W)`` in channels-last memory is, without a copy, a stack of *planes* ``(B·D, C, H, W)``, and its
leading dimension lies beside the H·W positions of a plane ``(B, C, D, H·W)``. So every step of every order is one
2-D convolution, which CPUs and GPUs do best: grouped 3-D convolutions are several times slower.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hocbench.nn.geometry import Geometry, pad_replicated

# Each with the geometry of which it uses its own dimensions; see `convolve_kernels`.
Kernels = list[tuple[Tensor, Geometry]]

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@dataclass(frozen=True)
class Planes:
    """Images, clips or signals as a stack of planes.

    Attributes
    ----------
    values : Tensor, shape (B·D, C, H, W)
        Channels-last memory.
    batch, lead : int
        B and D; D is 1 below order 3, H is 1 at order 1.
    """

    values: Tensor
    batch: int
    lead: int

    def with_values(self, values: Tensor) -> "Planes":
        """Return a stack of as many planes with other values."""
        return Planes(values, self.batch, self.lead)


def channels_last(x: Tensor) -> Tensor:
    """Return ``(B, C, ...)`` in channels-last memory; by permuting, which torch.vmap understands, unlike formats."""
    return x.movedim(1, -1).contiguous().movedim(-1, 1)


def to_planes(x: Tensor) -> Planes:
    """Turn ``(B, C, W)``, ``(B, C, H, W)`` or ``(B, C, D, H, W)`` into planes; a view where memory is channels-last."""
    if x.ndim == 3:
        x = x.unsqueeze(2)
    if x.ndim == 4:
        return Planes(channels_last(x), x.shape[0], 1)
    batch, channels, lead, height, width = x.shape
    values = x.permute(0, 2, 1, 3, 4).reshape(batch * lead, channels, height, width)
    return Planes(channels_last(values), batch, lead)


def from_planes(planes: Planes, order: int) -> Tensor:
    """Turn planes back into ``(B, C, W)``, ``(B, C, H, W)`` or ``(B, C, D, H, W)``, always a view."""
    values = planes.values
    if order == 1:
        return values.squeeze(2)
    if order == 2:
        return values
    return values.unflatten(0, (planes.batch, planes.lead)).permute(0, 2, 1, 3, 4)


def pointwise(planes: Planes, matrix: Tensor, bias: Tensor | None = None) -> Planes:
    """Mix the channels of each position by ``matrix`` of shape ``(out, C)``."""
    return planes.with_values(functional.conv2d(planes.values, matrix[:, :, None, None], bias))


def convolve_planes(planes: Planes, weight: Tensor, geometry: Geometry, groups: int = 1) -> Planes:
    """Convolve height and width of each plane by ``weight``, shape (out, C / groups, kh, kw).

    The geometry is that of the whole layer, of which the last two dimensions are used; at order 1, kh is 1.
    """
    if geometry.order == 1:
        geometry = geometry.insert(0, 1, "zeros")
    values, padding = pad_replicated(planes.values, geometry.padding[-2:], geometry.padding_mode[-2:])
    stride, dilation = geometry.stride[-2:], geometry.dilation[-2:]
    return planes.with_values(
        functional.conv2d(values, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    )


def convolve_lead(planes: Planes, weight: Tensor, geometry: Geometry, groups: int = 1) -> Planes:
    """Convolve the leading dimension of clips by ``weight``, shape (out, C / groups, kd).

    The geometry is that of the whole layer, of order 3, of which the first dimension is used.
    """
    _, channels, height, width = planes.values.shape
    lead, batch = planes.lead, planes.batch
    # A view: (B·D, H, W, C) memory read as (B, D, H·W, C).
    sheet = planes.values.permute(0, 2, 3, 1).reshape(batch, lead, height * width, channels).permute(0, 3, 1, 2)
    sheet, padding = pad_replicated(sheet, (geometry.padding[0], 0), (geometry.padding_mode[0], "zeros"))
    sheet = functional.conv2d(
        sheet,
        weight.unsqueeze(-1),
        stride=(geometry.stride[0], 1),
        padding=padding,
        dilation=(geometry.dilation[0], 1),
        groups=groups,
    )
    lead, channels = sheet.shape[2], sheet.shape[1]
    values = sheet.permute(0, 2, 3, 1).reshape(batch * lead, height, width, channels).permute(0, 3, 1, 2)
    return Planes(values, batch, lead)


def convolve_kernels(planes: Planes, kernels: Kernels) -> Planes:
    """Convolve by one kernel after the other.

    A kernel has shape ``(out, C / groups, kd)`` for the leading dimension, ``(out, C / groups, kh, kw)`` for planes, or
    ``(out, C, kd, kh, kw)`` for both at once.
    """
    for kernel, geometry in kernels:
        groups = planes.values.shape[1] // kernel.shape[1]
        if kernel.ndim == 5:
            planes = to_planes(convolve_dense(from_planes(planes, 3), kernel, geometry))
        elif kernel.ndim == 4:
            planes = convolve_planes(planes, kernel, geometry, groups)
        else:
            planes = convolve_lead(planes, kernel, geometry, groups)
    return planes


def convolve_dense(x: Tensor, kernel: Tensor, geometry: Geometry, bias: Tensor | None = None) -> Tensor:
    """Convolve ``(B, C, ...)`` with a dense kernel ``(out, C, *kernel_size)`` at order 1, 2 or 3."""
    x, padding = pad_replicated(x, geometry.padding, geometry.padding_mode)
    convolution = _CONVOLUTIONS[geometry.order]
    return convolution(x, kernel, bias, stride=geometry.stride, padding=padding, dilation=geometry.dilation)


def cp_kernel(weights: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Rebuild ``Σ_r λ_r · f_0[:, r] ∘ f_1[:, r] ∘ ...``, shape (n_0, n_1, ...).

    ``weights`` are the CP weights λ, shape (R,), and ``factors`` one matrix (n_i, R) per mode.
    """
    columns = khatri_rao([weights.unsqueeze(0), *factors[1:]])
    return (factors[0] @ columns.t()).reshape([factor.shape[0] for factor in factors])


def khatri_rao(factors: Sequence[Tensor]) -> Tensor:
    """Multiply matrices ``(n_i, R)`` out column by column, shape ``(Πn_i, R)``, the last mode running fastest."""
    columns = factors[0]
    for factor in factors[1:]:
        columns = (columns.unsqueeze(1) * factor.unsqueeze(0)).flatten(0, 1)
    return columns


def unit_columns(rows: int, columns: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw a matrix whose columns are uniform on the unit sphere, shape ``(rows, columns)``."""
    return functional.normalize(torch.randn(rows, columns, generator=generator), dim=0)
