"""Networks for inference only: λ and every BatchNorm folded into the kernels, one implementation per layer.

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
from hocbench.nn.geometry import Geometry, geometry_of
from hocbench.nn.implementation import CANDIDATES, fastest
from hocbench.nn.layers import factorized_layers, misfit
from hocbench.nn.resnet import STAGE_MULTIPLES, ResNet


@torch.no_grad()
def fold(network: ResNet, implementations: Mapping[str, str] | None = None) -> "FoldedResNet":
    """Fold all that is constant in evaluation mode; the result has the outputs of the network in that mode.

    Parameters
    ----------
    network : ResNet
        Of any kind but "tltorch"; it stays untouched.
    implementations : mapping of str to {"factorized", "reconstructed"}, optional
        How each factorized layer is computed, by its name; by default all are "factorized".

    Raises
    ------
    NetworkError
        See `check_implementations`, or if the network has tensorly-torch's layers.
    """
    if network.config.kind == "tltorch":
        raise NetworkError("fold: a network of kind 'tltorch' has layers of another library; give one of kind 'cp'")
    if implementations is None:
        implementations = dict.fromkeys(factorized_layers(network), "factorized")
    check_implementations(network, implementations)
    dtype = network.head.weight.dtype
    # Kernels are multiplied in float64, so that folding adds one rounding only.
    return FoldedResNet(copy.deepcopy(network).double(), implementations).to(dtype).eval()


def check_implementations(network: nn.Module, implementations: Mapping[str, str]) -> None:
    """Refuse implementations that do not belong to a network.

    Raises
    ------
    NetworkError
        If a factorized layer is left out or another one is named, an implementation does not exist, or a layer with an
        inner activation would be reconstructed.
    """
    layers = factorized_layers(network)
    problems = [misfit(layers, name, chosen, CANDIDATES) for name, chosen in implementations.items()]
    problems += [f"the factorized layer {name!r} has none" for name in layers if name not in implementations]
    for problem in problems:
        if problem is not None:
            raise NetworkError(f"implementations: {problem}; choose them again")


@torch.no_grad()
def choose_implementations(network: ResNet, input_shape: Sequence[int]) -> dict[str, str]:
    """Time both folded forms of each factorized layer on this machine, on the inputs that it gets in the network.

    ``input_shape`` includes the batch dimension. Returns the fastest implementation, "factorized" or "reconstructed",
    of each factorized layer; one with an inner activation has no choice.
    """
    layers = factorized_layers(network)
    chosen = dict.fromkeys(layers, "factorized")
    free = [name for name, layer in layers.items() if layer.inner_norm is None]
    folded = {candidate: fold(network, chosen | dict.fromkeys(free, candidate)) for candidate in CANDIDATES}

    def measure(name: str, planes: Planes) -> None:
        # Not through __call__, which would come back here.
        candidates: dict[str, Callable[[], None]] = {
            candidate: partial(form.get_submodule(name).forward, planes) for candidate, form in folded.items()
        }
        chosen[name] = fastest(candidates, planes.values.device)

    walked = folded["factorized"]
    for name in free:
        walked.get_submodule(name).register_forward_pre_hook(lambda _, inputs, name=name: measure(name, inputs[0]))
    random = torch.randn(*input_shape, generator=torch.Generator().manual_seed(0))
    walked(random.to(network.head.weight))
    return chosen


class FoldedResNet(nn.Module):
    """A `ResNet` as `fold` makes it; layers have the names of those that they stand for."""

    head_weight: Tensor
    head_bias: Tensor

    def __init__(self, network: ResNet, implementations: Mapping[str, str]) -> None:
        super().__init__()
        self.order = network.config.order
        self.stem = _layer("stem", network.stem, network.stem_norm, implementations)
        imagenet = network.config.stem == "imagenet"
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if imagenet else nn.Identity()
        for stage in range(1, len(STAGE_MULTIPLES) + 1):
            blocks = network.get_submodule(f"layer{stage}").named_children()
            folded = [_FoldedBlock(f"layer{stage}.{name}", block, implementations) for name, block in blocks]
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

    def __init__(self, name: str, block: Any, implementations: Mapping[str, str]) -> None:
        super().__init__()
        self.conv1 = _layer(f"{name}.conv1", block.conv1, block.norm1, implementations)
        self.conv2 = _layer(f"{name}.conv2", block.conv2, block.norm2, implementations)
        self.shortcut: nn.Module = nn.Identity()
        if isinstance(block.shortcut, nn.Sequential):
            subsample, conv, norm = block.shortcut
            self.shortcut = nn.Sequential(
                _OnValues(subsample), _layer(f"{name}.shortcut.1", conv, norm, implementations)
            )

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


def _layer(name: str, conv: Any, norm: Any, implementations: Mapping[str, str]) -> nn.Module:
    """Make one layer of a convolution and the BatchNorm after it."""
    if isinstance(conv, nn.Sequential):  # (2+1)-D
        space, middle, relu, time = conv
        return nn.Sequential(
            _layer(name, space, middle, implementations), _OnValues(relu), _layer(name, time, norm, implementations)
        )
    scale, shift = _affine(norm)
    if conv.bias is not None:
        shift = shift + scale * conv.bias
    if not isinstance(conv, FactorizedConv):
        geometry = geometry_of(conv)
        return _Dense(_scaled(conv.weight, scale), shift, geometry)
    if implementations[name] == "reconstructed":
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
