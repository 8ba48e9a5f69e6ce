"""Slow and plain ways to compute what the package computes, and networks that look trained."""

import torch
from torch import nn
from torch.nn import functional

from hocbench.nn import FactorizedConv

SCHEMES = ("cp", "tucker", "tt")
CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
# Ranks that differ from each other and from all sizes used in the tests, by order.
RANKS = {
    "cp": {1: 7, 2: 7, 3: 7},
    "tucker": {1: (3, 2, 2), 2: (3, 2, 2, 1), 3: (3, 2, 2, 1, 3)},
    "tt": {1: (2, 3), 2: (2, 3, 2), 3: (2, 3, 4, 2)},
}


def layer_of(*arguments, **options):
    """Make a float64 layer whose λ differ in size and sign and whose bias is not zero, as they are after training."""
    layer = FactorizedConv(*arguments, **options).double()
    with torch.no_grad():
        if layer.factorization == "cp":
            layer.weights.copy_(torch.randn(layer.rank))
        if layer.bias is not None:
            layer.bias.normal_()
    return layer


def kernel_of(layer):
    """Write the sum over all ranks as one einsum; the modes are o, i, then k, l, m."""
    return dense_tensor(layer.factorization, layer.tensors)


def dense_tensor(factorization, tensors):
    """Rebuild the kernel of tensors listed as weights or core, out, in, dimensions."""
    own = [tensors[name] for name in tensors if name in ("weights", "core")]
    out, first, *dimensions = [tensors[name] for name in tensors if name not in ("weights", "core")]
    modes = "oiklm"[: 2 + len(dimensions)]
    if factorization == "cp":
        equation = f"r,{','.join(f'{mode}r' for mode in modes)}->{modes}"
        return torch.einsum(equation, *own, out, first, *dimensions)
    if factorization == "tucker":
        ranks = "OIKLM"[: len(modes)]
        equation = f"{ranks},{','.join(map(''.join, zip(modes, ranks, strict=True)))}->{modes}"
        return torch.einsum(equation, *own, out, first, *dimensions)
    bonds = "ABCDE"
    chain = [f"z{modes[1]}A"] + [f"{bonds[d]}{mode}{bonds[d + 1]}" for d, mode in enumerate(modes[2:])]
    chain.append(f"{bonds[len(dimensions)]}oy")
    return torch.einsum(f"{','.join(chain)}->{modes}", first, *dimensions, out)


def error_of(conv, layer):
    """Measure how far a layer's kernel is from that of a dense convolution, as a share of the latter."""
    return ((conv.weight - kernel_of(layer)).norm() / conv.weight.norm()).item()


def per_dimension(value, order):
    """Repeat one value for all dimensions."""
    return tuple(value) if isinstance(value, tuple | list) else (value,) * order


def convolve(x, kernel, *, stride=1, padding="same", dilation=1, padding_mode="zeros", bias=None):
    """Convolve with a dense kernel; what stands beyond the ends is laid down by hand, dimension by dimension."""
    order = kernel.ndim - 2
    dilation, modes = per_dimension(dilation, order), per_dimension(padding_mode, order)
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel.shape[2:], strict=True))
    for axis, (pad, mode) in enumerate(zip(per_dimension(padding, order), modes, strict=True), start=2):
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
        if mode == "zeros":
            first, last = torch.zeros_like(first), torch.zeros_like(last)
        x = torch.cat([first] * pad + [x] + [last] * pad, dim=axis)
    return CONVOLUTIONS[order](x, kernel, bias, stride=stride, dilation=dilation)


def frame_by_frame(network, clip):
    """Apply a network for images to each frame of a clip."""
    return torch.stack([network(clip[:, :, frame]) for frame in range(clip.shape[2])], dim=1)


def aged(network):
    """Turn a fresh network into a float64 one in evaluation mode with uneven BatchNorms and λ."""
    network.double().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                if module.affine:
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.normal_(0, 0.3)
            elif isinstance(module, FactorizedConv) and module.factorization == "cp":
                module.weights.mul_(torch.randn(module.rank))
    return network


def images(*shape):
    """Draw float64 inputs."""
    return torch.randn(*shape, dtype=torch.float64)


def assert_same(actual, expected, tolerance=1e-11):
    """Compare to a share of the largest entry."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    largest = expected.detach().abs().max().item() if expected.numel() else 0.0
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * largest)


def assert_equals_the_dense_convolution(layer, x, **options):
    """Compare output to 1e-12 and the gradients of input, tensors and bias to 1e-10 with the rebuilt convolution."""
    x = x.detach().requires_grad_()
    y, expected = layer(x), convolve(x, kernel_of(layer), bias=layer.bias, **options)
    assert_same(y, expected, 1e-12)
    wanted = [x, *layer.parameters()]
    direction = torch.randn_like(expected)
    slopes = zip(gradients(y, wanted, direction), gradients(expected, wanted, direction), strict=True)
    for actual, right in slopes:
        assert_same(actual, right, 1e-10)


def gradients(y, wanted, direction):
    """Return the gradients along a direction of the output."""
    return torch.autograd.grad(y, wanted, direction)
