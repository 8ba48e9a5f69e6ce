"""Slow and plain ways to compute what the package computes, and networks that look trained."""

import torch
from torch import nn
from torch.nn import functional

from hocbench.nn import FactorizedConv

LETTERS = {"out": "o", "in": "i", "time": "t", "height": "h", "width": "w"}


def layer_of(*arguments, **options):
    """Make a float64 layer whose λ differ in size and sign, as they do after training."""
    layer = FactorizedConv(*arguments, **options).double()
    with torch.no_grad():
        layer.weights.copy_(torch.randn(layer.rank))
    return layer


def kernel_of(layer):
    """Write the sum over components as one einsum."""
    axes = [LETTERS[name] for name in layer.factor_names]
    equation = f"r,{','.join(f'{axis}r' for axis in axes)}->{''.join(axes)}"
    return torch.einsum(equation, layer.weights, *(layer.factors[name] for name in layer.factor_names))


def convolve(x, kernel, stride=1, padding_mode="zeros"):
    """Convolve images or clips with a dense kernel; the frames beyond the ends are laid down by hand."""
    *time, height, width = kernel.shape[2:]
    if not time:
        return functional.conv2d(x, kernel, stride=stride, padding=(height // 2, width // 2))
    first, last = x[:, :, :1], x[:, :, -1:]
    if padding_mode == "zeros":
        first, last = torch.zeros_like(first), torch.zeros_like(last)
    half = time[0] // 2
    x = torch.cat([first] * half + [x] + [last] * half, dim=2)
    return functional.conv3d(x, kernel, stride=(1, stride, stride), padding=(0, height // 2, width // 2))


def frame_by_frame(network, clip):
    """Apply a network for images to each frame of a clip."""
    return torch.stack([network(clip[:, :, frame]) for frame in range(clip.shape[2])], dim=1)


def aged(network):
    """Turn a fresh network into a float64 one in evaluation mode with uneven BatchNorms and λ."""
    network.double().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
            elif isinstance(module, FactorizedConv):
                module.weights.mul_(torch.randn(module.rank))
    return network


def images(*shape):
    """Draw float64 inputs."""
    return torch.randn(*shape, dtype=torch.float64)


def assert_same(actual, expected, tolerance=1e-11):
    """Compare to a share of the largest entry."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    largest = expected.detach().abs().max().clamp_min(1).item()
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * largest)
