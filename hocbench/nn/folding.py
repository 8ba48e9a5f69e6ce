"""Networks for inference only: λ and every BatchNorm folded into the kernels, one path per layer.

In evaluation mode a BatchNorm is ``scale · y + shift`` per channel, so the linear map before it can carry both. A
folded network works on planes (see `hocbench.nn.contraction`) from its first layer to its head, holds buffers only,
and cannot be trained.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.contraction import (
    Kernels,
    Planes,
    convolve_dense,
    convolve_kernels,
    from_planes,
    pointwise,
    to_planes,
)
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import Geometry, make_geometry
from hocbench.nn.paths import fastest
from hocbench.nn.resnet import STAGE_MULTIPLES, ResNet

FOLDED_PATHS = ("factorized", "reconstructed")


@torch.no_grad()
def fold(network: ResNet, paths: Mapping[str, str] | None = None) -> "FoldedResNet":
    """Fold all that is constant in evaluation mode.

    Parameters
    ----------
    network : ResNet
        Of any kind but "tltorch", in training or evaluation mode; it stays untouched.
    paths : mapping of str to {"factorized", "reconstructed"}, optional
        How each factorized layer is computed, by its name; by default all are "factorized".

    Returns
    -------
    FoldedResNet
        With the same outputs as the network in evaluation mode.

    Raises
    ------
    NetworkError
        If ``paths`` leaves out a factorized layer or names another one, a path does not exist, a layer with an inner
        activation would be reconstructed, or the network has tensorly-torch's layers.
    """
    if network.config.kind == "tltorch":
        raise NetworkError("fold: a network of kind 'tltorch' has layers of another library; give one of kind 'cp'")
    paths = dict.fromkeys(factorized_names(network), "factorized") if paths is None else paths
    check_paths(network, paths)
    dtype = network.head.weight.dtype
    # Kernels are multiplied in float64, so that folding adds one rounding only.
    return FoldedResNet(copy.deepcopy(network).double(), paths).to(dtype).eval()


def factorized_names(network: nn.Module) -> list[str]:
    """Name the layers that have a path to choose, in the order of the network."""
    return [name for name, module in network.named_modules() if isinstance(module, FactorizedConv)]


def check_paths(network: nn.Module, paths: Mapping[str, str]) -> None:
    """Refuse paths that do not belong to a network; see `fold`."""
    names = factorized_names(network)
    for name in [*paths, *names]:
        if name not in names:
            raise NetworkError(f"paths: layer {name!r} is not a factorized layer of this network; choose them anew")
        if name not in paths:
            raise NetworkError(f"paths: nothing is said about the factorized layer {name!r}; choose them anew")
        if paths[name] not in FOLDED_PATHS:
            raise NetworkError(f"paths: {paths[name]!r} of layer {name!r} is not one of {', '.join(FOLDED_PATHS)}")
        if paths[name] == "reconstructed" and network.get_submodule(name).inner_norm is not None:
            raise NetworkError(f"paths: layer {name!r} has an inner activation and can only be 'factorized'")


@torch.no_grad()
def choose_paths(network: ResNet, input_shape: Sequence[int]) -> dict[str, str]:
    """Time both folded forms of each factorized layer on this machine, on the inputs that it gets in the network.

    Parameters
    ----------
    network : ResNet
        It stays untouched.
    input_shape : sequence of int
        With the batch dimension.

    Returns
    -------
    dict of str to {"factorized", "reconstructed"}
        The fastest path per factorized layer; one with an inner activation has no choice.
    """
    paths = dict.fromkeys(factorized_names(network), "factorized")
    free = [name for name in paths if network.get_submodule(name).inner_norm is None]
    folded = {path: fold(network, paths | dict.fromkeys(free, path)) for path in FOLDED_PATHS}

    def measure(name: str, planes: Planes) -> None:
        candidates: dict[str, Callable[[], None]] = {}
        for path in FOLDED_PATHS:
            layer: Any = folded[path].get_submodule(name)
            # Not through __call__, which would come back here.
            candidates[path] = partial(layer.forward, planes)
        paths[name] = fastest(candidates, planes.values.device)

    walked = folded["factorized"]
    for name in free:
        walked.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: measure(name, inputs[0]))
    random = torch.randn(*input_shape, generator=torch.Generator().manual_seed(0))
    walked(random.to(network.head.weight))
    return paths


class FoldedResNet(nn.Module):
    """A `ResNet` as `fold` makes it; layers have the names of those that they stand for."""

    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, network: ResNet, paths: Mapping[str, str]) -> None:
        super().__init__()
        self.order = network.config.order
        self.stem = _layer("stem", network.stem, network.stem_norm, paths)
        imagenet = network.config.stem == "imagenet"
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if imagenet else nn.Identity()
        for stage in range(1, len(STAGE_MULTIPLES) + 1):
            blocks = network.get_submodule(f"layer{stage}").named_children()
            folded = [_FoldedBlock(f"layer{stage}.{name}", block, paths) for name, block in blocks]
            self.add_module(f"layer{stage}", nn.Sequential(*folded))
        self.register_buffer("head_weight", network.head.weight.detach().clone())
        self.register_buffer("head_bias", network.head.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, 3, H, W)`` to ``(N, outputs)``, or ``(N, 3, T, H, W)`` to ``(N, T, outputs)``."""
        if x.ndim != self.order + 2 or x.shape[1] != 3:
            wanted = "(N, 3, T, H, W)" if self.order == 3 else "(N, 3, H, W)"
            raise NetworkError(f"a folded network of order {self.order} wants {wanted}, got {tuple(x.shape)}")
        planes = _rectify(self.stem(to_planes(x)))
        planes = planes.with_values(self.pool(planes.values))
        for stage in range(1, len(STAGE_MULTIPLES) + 1):
            planes = self.get_submodule(f"layer{stage}")(planes)
        y = functional.linear(planes.values.mean((-2, -1)), self.head_weight, self.head_bias)
        return y if self.order == 2 else y.unflatten(0, (planes.batch, planes.lead))


class _FoldedBlock(nn.Module):
    """A `hocbench.nn.resnet.BasicBlock`."""

    def __init__(self, name: str, block: Any, paths: Mapping[str, str]) -> None:
        super().__init__()
        self.conv1 = _layer(f"{name}.conv1", block.conv1, block.norm1, paths)
        self.conv2 = _layer(f"{name}.conv2", block.conv2, block.norm2, paths)
        self.shortcut: nn.Module = nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            subsample, conv, norm = block.shortcut
            self.shortcut = nn.Sequential(_OnValues(subsample), _layer(f"{name}.shortcut.1", conv, norm, paths))

    def forward(self, x: Planes) -> Planes:
        y = self.conv2(_rectify(self.conv1(x)))
        return _rectify(y.with_values(y.values + self.shortcut(x).values))


def _rectify(planes: Planes) -> Planes:
    return planes.with_values(functional.relu(planes.values))


class _OnValues(nn.Module):
    """A module for images, applied to planes."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Planes) -> Planes:
        return x.with_values(self.module(x.values))


def _layer(name: str, conv: Any, norm: Any, paths: Mapping[str, str]) -> nn.Module:
    """Make one layer of a convolution and the BatchNorm behind it."""
    if isinstance(conv, nn.Sequential):  # (2+1)-D
        space, middle, relu, time = conv
        return nn.Sequential(_layer(name, space, middle, paths), _OnValues(relu), _layer(name, time, norm, paths))
    scale, shift = _affine(norm)
    if conv.bias is not None:
        shift = shift + scale * conv.bias
    if not isinstance(conv, FactorizedConv):
        geometry = make_geometry(conv.kernel_size, conv.stride, conv.padding, conv.dilation)
        return _Dense(_scaled(conv.weight, scale), shift, geometry)
    if paths[name] == "reconstructed":
        return _Dense(_scaled(conv.dense_kernel(), scale), shift, conv.geometry)
    first, kernels, last = conv.scheme.parts(conv.tensors, conv.geometry)
    if conv.inner_norm is None:
        return _Chain(first, None, kernels, _scaled(last, scale), shift)
    inner_scale, inner_shift = _affine(conv.inner_norm)
    return _Chain(_scaled(first, inner_scale), inner_shift, kernels, _scaled(last, scale), shift)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - scale * norm.running_mean


def _scaled(kernel: Tensor, scale: Tensor) -> Tensor:
    """Multiply each output channel."""
    return kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))


class _Dense(nn.Module):
    """One convolution with a bias."""

    kernel: Tensor
    bias: Tensor

    def __init__(self, kernel: Tensor, bias: Tensor, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.register_buffer("kernel", _laid_out(kernel))
        self.register_buffer("bias", bias)

    def forward(self, x: Planes) -> Planes:
        if max(self.geometry.kernel_size + self.geometry.stride) == 1:
            return pointwise(x, self.kernel.flatten(1), self.bias)
        values = from_planes(x, self.geometry.order)
        return to_planes(convolve_dense(values, self.kernel, self.geometry, self.bias))


class _Chain(nn.Module):
    """A projection, with the bias and ReLU of the inner activation if there is one, kernels, a projection."""

    first: Tensor
    inner_bias: Tensor | None
    last: Tensor
    bias: Tensor

    def __init__(self, first: Tensor, inner_bias: Tensor | None, kernels: Kernels, last: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.geometries = [geometry for _, geometry in kernels]
        for number, (kernel, _) in enumerate(kernels):
            self.register_buffer(f"kernel{number}", _laid_out(kernel))
        self.register_buffer("first", first.contiguous())
        self.register_buffer("inner_bias", inner_bias)
        self.register_buffer("last", last.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, x: Planes) -> Planes:
        x = pointwise(x, self.first, self.inner_bias)
        if self.inner_bias is not None:
            x = _rectify(x)
        kernels = [(self.get_buffer(f"kernel{number}"), g) for number, g in enumerate(self.geometries)]
        return pointwise(convolve_kernels(x, kernels), self.last, self.bias)


def _laid_out(kernel: Tensor) -> Tensor:
    """Give a kernel the memory of the planes that it meets, which saves a copy in every call."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return kernel.clone(memory_format=formats.get(kernel.ndim, torch.contiguous_format))
