"""Convolutions of networks that ours are compared with."""

from typing import Any

from torch import Tensor, nn

from hocbench.nn.contraction import convolve_lead, convolve_planes, from_planes, to_planes
from hocbench.nn.geometry import geometry_of


class TltorchConv(nn.Module):
    """tensorly-torch's convolution, the layer of a network of kind "tltorch".

    Parameters
    ----------
    conv : tltorch.FactorizedConv
        With initialised weights.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, C, ...)``; the library fails on empty batches and on channels-last input without copying."""
        return self.conv(x)


class FlatConv3d(nn.Conv3d):
    """A 3-D convolution in space or in time alone, as (2+1)-D has, computed as the 2-D one that it is.

    torch's own 3-D convolution of such kernels takes about twice as long on a CPU.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map ``(N, C, T, H, W)`` to ``(N, C', T', H', W')``."""
        geometry, planes = geometry_of(self), to_planes(input)
        if self.kernel_size[0] == 1:
            return from_planes(convolve_planes(planes, self.weight[:, :, 0], geometry), 3)
        return from_planes(convolve_lead(planes, self.weight[..., 0, 0], geometry), 3)
