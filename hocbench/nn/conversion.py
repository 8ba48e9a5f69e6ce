"""Layers of one order more: factors for factorized ones, inflated kernels for dense ones."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import DIMENSIONS

Init = Literal["ones", "average", "centre"]
INITS = ("ones", "average", "centre")
Network = TypeVar("Network", bound=nn.Module)

_CONVOLUTIONS: dict[type, type] = {nn.Conv1d: nn.Conv2d, nn.Conv2d: nn.Conv3d}
_NORMS: dict[type, type] = {nn.BatchNorm1d: nn.BatchNorm2d, nn.BatchNorm2d: nn.BatchNorm3d}
_DROPOUTS: dict[type, type] = {nn.Dropout1d: nn.Dropout2d, nn.Dropout2d: nn.Dropout3d}
_POOLS: dict[type, type] = {
    nn.MaxPool1d: nn.MaxPool2d,
    nn.MaxPool2d: nn.MaxPool3d,
    nn.AvgPool1d: nn.AvgPool2d,
    nn.AvgPool2d: nn.AvgPool3d,
}
_ADAPTIVE: dict[type, type] = {
    nn.AdaptiveAvgPool1d: nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool2d: nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d: nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool2d: nn.AdaptiveMaxPool3d,
}
# Right for one number of dimensions only, and without a form for another that would do the same frame by frame.
_BOUND_TO_ORDER = (
    nn.Flatten,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Unflatten,
    nn.Upsample,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.conv._ConvNd,
)


def _counts_dimensions(module: nn.Module) -> bool:
    """Tell whether an unknown layer would do something else to one dimension more."""
    home, ending = type(module).__module__, type(module).__name__[-2:]
    by_name = home.startswith("torch.nn") and ending in ("1d", "2d", "3d")
    return by_name or isinstance(module, _BOUND_TO_ORDER) or home.startswith("tltorch")


def temporal_taps(size: int, init: Init) -> Tensor:
    """Return the start of one filter along a new dimension, shape ``(size,)``, in float64.

    Parameters
    ----------
    size : int
        Odd number of positions.
    init : {"ones", "average", "centre"}
        A constant of one, as published; one over the size; or each position as before.
    """
    if init == "ones":
        return torch.ones(size, dtype=torch.float64)
    if init == "average":
        return torch.full((size,), 1.0 / size, dtype=torch.float64)
    taps = torch.zeros(size, dtype=torch.float64)
    taps[size // 2] = 1.0
    return taps


class Converter:
    """Makes the layers of one order more."""

    def __init__(self, kernel: int, init: Init, padding: str, position: int, remaining: int) -> None:
        self.kernel, self.init, self.padding = kernel, init, padding
        self.position, self.remaining = position, remaining

    def whole(self, network: Network) -> Network:
        """Replace every layer that counts dimensions."""
        if (replaced := self.layer("(itself)", network)) is not None:
            return replaced  # type: ignore[return-value]
        # The inner BatchNorm of a factorized layer sees planes at every order.
        inner = {id(module.inner_norm) for module in network.modules() if isinstance(module, FactorizedConv)}
        done: dict[int, nn.Module | None] = {}
        # A module that is used at several places stays one module.
        for name, module in list(network.named_modules(remove_duplicate=False)):
            if id(module) in inner:
                continue
            if id(module) not in done:
                done[id(module)] = self.layer(name, module)
            if (replaced := done[id(module)]) is not None:
                network.set_submodule(name, replaced)
        return network

    def layer(self, name: str, module: nn.Module) -> nn.Module | None:
        """Return what stands in for a layer, None where it stays."""
        kinds: list[tuple[dict[type, type], Callable[[str, Any], nn.Module]]] = [
            (_CONVOLUTIONS, self._convolution),
            (_NORMS, self._norm),
            (_POOLS, self._pool),
            (_ADAPTIVE, self._adaptive),
            (_DROPOUTS, lambda name, module: _DROPOUTS[type(module)](module.p)),
        ]
        if isinstance(module, FactorizedConv):
            return self._factorized(name, module)
        for known, make in kinds:
            if type(module) in known and not getattr(module, "return_indices", False):
                return make(name, module).train(module.training)
        if _counts_dimensions(module):
            raise NetworkError(
                f"transduct: layer {name!r} is a {type(module).__name__}, which has no form of one order more; "
                "replace it"
            )
        return None

    def _size(self, name: str, kernel: Sequence[int]) -> int:
        self._check_position(name, len(kernel))
        return self.kernel if max(kernel) > 1 else 1

    def _check_position(self, name: str, order: int) -> None:
        if not 0 <= self.position <= order:
            raise NetworkError(
                f"transduct: layer {name!r} of order {order} has no place {self.position}; "
                f"give a position of 0 to {order}"
            )

    def _put(self, values: int | Sequence[int], order: int, value: int) -> tuple[int, ...]:
        old = (values,) * order if isinstance(values, int) else tuple(values)
        return (*old[: self.position], value, *old[self.position :])

    def _factorized(self, name: str, layer: FactorizedConv) -> FactorizedConv:
        unused = [dimension for dimension in DIMENSIONS if dimension not in layer.dimensions]
        if layer.order == 3 or len(unused) < self.remaining:
            raise NetworkError(f"transduct: layer {name!r} has order {layer.order}; three dimensions are the most")
        dimension = unused[-self.remaining]
        size = self._size(name, layer.kernel_size)
        geometry = layer.geometry.insert(self.position, size, self.padding)
        dimensions = (*layer.dimensions[: self.position], dimension, *layer.dimensions[self.position :])
        sizes = dict(
            zip(("output", "input", *dimensions), (*list(layer.sizes.values())[:2], *geometry.kernel_size), strict=True)
        )
        tensors = {key: tensor.detach() for key, tensor in layer.tensors.items()}
        taps = temporal_taps(size, self.init).to(tensors["output"])
        return layer.with_tensors(layer.scheme.add_mode(tensors, sizes, dimension, taps), geometry, dimensions)

    def _convolution(self, name: str, layer: Any) -> nn.Module:
        order, size = len(layer.kernel_size), self._size(name, layer.kernel_size)
        if layer.padding_mode != "zeros" or (self.padding == "replicate" and size > 1):
            raise NetworkError(
                f"transduct: layer {name!r} is dense; replicate padding is offered for factorized networks only"
            )
        if isinstance(layer.padding, str):
            raise NetworkError(f"transduct: layer {name!r} has padding {layer.padding!r}; give it in numbers")
        with torch.device("meta"):
            result = _CONVOLUTIONS[type(layer)](
                layer.in_channels,
                layer.out_channels,
                self._put(layer.kernel_size, order, size),
                stride=self._put(layer.stride, order, 1),
                padding=self._put(layer.padding, order, size // 2),
                dilation=self._put(layer.dilation, order, 1),
                groups=layer.groups,
                bias=layer.bias is not None,
            )
        taps = temporal_taps(size, self.init).to(layer.weight)
        shape = [1] * (order + 3)
        shape[2 + self.position] = size
        kernel = layer.weight.detach().unsqueeze(2 + self.position) * taps.reshape(shape)
        result.weight = nn.Parameter(kernel, requires_grad=layer.weight.requires_grad)
        result.bias = layer.bias
        return result

    def _norm(self, name: str, layer: Any) -> nn.Module:
        result = _NORMS[type(layer)](
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
        result._parameters.update(layer._parameters)
        result._buffers.update(layer._buffers)
        return result

    def _pool(self, name: str, layer: Any) -> nn.Module:
        order = 1 if type(layer).__name__.endswith("1d") else 2
        self._check_position(name, order)
        options: dict[str, Any] = {
            "stride": self._put(layer.stride, order, 1),
            "padding": self._put(layer.padding, order, 0),
            "ceil_mode": layer.ceil_mode,
        }
        if hasattr(layer, "dilation"):
            options["dilation"] = self._put(layer.dilation, order, 1)
        else:
            options["count_include_pad"] = layer.count_include_pad
        if getattr(layer, "divisor_override", None) is not None:
            options["divisor_override"] = layer.divisor_override
        return _POOLS[type(layer)](self._put(layer.kernel_size, order, 1), **options)

    def _adaptive(self, name: str, layer: Any) -> nn.Module:
        order = 1 if type(layer).__name__.endswith("1d") else 2
        self._check_position(name, order)
        size = layer.output_size
        sizes: list[int | None] = list(size) if isinstance(size, tuple) else [size] * order
        sizes.insert(self.position, None)  # as many positions out as in
        return _ADAPTIVE[type(layer)](tuple(sizes))
