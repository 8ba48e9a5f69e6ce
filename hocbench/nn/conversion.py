"""Layers of one order more: factors for factorized ones, inflated kernels for dense ones."""

from collections.abc import Callable, Container
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from hocbench.errors import NetworkError
from hocbench.nn.contraction import channels_last
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import DIMENSIONS
from hocbench.nn.layers import factorized_layers
from hocbench.nn.plain import ITSELF, Network, peculiarity, replace_modules

Init = Literal["ones", "average", "centre"]
INITS = ("ones", "average", "centre")


def _raised(*kinds: str) -> dict[type, type]:
    """Map layers of torch for one and two dimensions to those for one more, given the names without the number."""
    return {getattr(nn, f"{kind}{order}d"): getattr(nn, f"{kind}{order + 1}d") for kind in kinds for order in (1, 2)}


_CONVOLUTIONS = _raised("Conv")
_NORMS = _raised("BatchNorm")
_DROPOUTS = _raised("Dropout")
_POOLS = _raised("MaxPool", "AvgPool")
_ADAPTIVE = _raised("AdaptiveAvgPool", "AdaptiveMaxPool")
# Positions and channels are dealt with alike however many dimensions there are.
_UNCHANGED = (
    nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict,
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Threshold,
    nn.Hardtanh, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish,
    nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.ChannelShuffle, nn.LocalResponseNorm,
)  # fmt: skip
# Act along one dimension, whose number they have.
_ALONG = (nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.GLU)
# No layers: losses, and what belongs to the parametrization of another module.
_BESIDE = ("torch.nn.modules.loss", "torch.nn.utils")


def _trailing(module: nn.Module) -> int | None:
    """Count the last dimensions that a module acts on, None if it is of another kind."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return len(module.normalized_shape)
    return 1 if isinstance(module, nn.Linear) else None


def _own_tensors(module: nn.Module) -> list[str]:
    """Name the parameters and buffers of a module itself that have more than one entry."""
    tensors = [*module._parameters.items(), *module._buffers.items()]
    lazy = nn.parameter.UninitializedParameter | nn.parameter.UninitializedBuffer
    return [name for name, tensor in tensors if tensor is not None and (isinstance(tensor, lazy) or tensor.numel() > 1)]


def _of_torch(module: nn.Module) -> type:
    """Return the nearest class of torch that a module is an instance of."""
    return next(
        base for base in type_before_parametrizations(module).__mro__ if base.__module__.partition(".")[0] == "torch"
    )


def _order_of(module: Any) -> int | None:
    """Return the dimensions that a layer is for, by its type, None where that does not say."""
    if isinstance(module, FactorizedConv):
        return module.order
    ending = _of_torch(module).__name__[-2:]
    return int(ending[0]) if ending in ("1d", "2d", "3d") else None


def temporal_taps(size: int, init: Init) -> Tensor:
    """Return the start of one filter along a new dimension, shape ``(size,)``, in float64; ``size`` is odd.

    "ones" is a constant of one, as published, "average" one over the size, "centre" each position as before.
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

    def __init__(
        self, kernel: int, init: Init, padding: str, position: int, remaining: int, skip: frozenset[str] = frozenset()
    ) -> None:
        self.kernel, self.init, self.padding = kernel, init, padding
        self.position, self.remaining, self.skip = position, remaining, skip
        self.order: int | None = None
        # What stands in for a parameter; layers with the same one have the same one afterwards.
        self.made: dict[Any, Any] = {}

    def whole(self, network: Network) -> Network:
        """Replace every layer that counts dimensions."""
        orders = {_order_of(module) for module in network.modules()} - {None}
        self.order = orders.pop() if len(orders) == 1 else None
        # What a factorized layer is made of has its meaning there; its inner BatchNorm sees planes at every order.
        layers = factorized_layers(network).values()
        inner = {id(part) for layer in layers for part in layer.children()}

        def make(name: str, module: nn.Module) -> nn.Module | None:
            return None if id(module) in inner else self.layer(name or ITSELF, module)

        return replace_modules(network, make, self.skip)  # type: ignore[return-value]

    def layer(self, name: str, module: nn.Module) -> nn.Module | None:
        """Return what stands in for a layer, None where it stays."""
        kinds: list[tuple[Container[type], Callable[[str, Any], nn.Module]]] = [
            (_CONVOLUTIONS, self._convolution),
            (_NORMS, self._norm),
            (_POOLS, self._pool),
            (_ADAPTIVE, self._adaptive),
            (_ALONG, self._along),
            (_DROPOUTS, lambda name, module: _DROPOUTS[type(module)](module.p)),
            ((nn.Softmax2d,), lambda name, module: nn.Softmax(dim=1)),
        ]
        if isinstance(module, FactorizedConv):
            return self._factorized(name, module)
        for known, make in kinds:
            if type(module) in known and not getattr(module, "return_indices", False):
                if (strange := peculiarity(module, ("weight", "bias"))) is not None:
                    raise self._refusal(name, module, strange)
                return make(name, module).train(module.training)
        self._check_unchanged(name, module)
        return None

    def _check_unchanged(self, name: str, module: nn.Module) -> None:
        """Refuse a module that would do something else to one dimension more, for all that can be known."""
        torch_class = _of_torch(module)
        derived = torch_class is not type(module)
        if (last := _trailing(module)) is not None:
            # Which are still the last ones unless the new dimension is among them.
            if self.position > (self.order or 1) - last:
                raise self._refusal(name, module, "it acts on the last dimensions")
        elif derived and (torch_class is nn.Module or torch_class in _UNCHANGED):
            if tensors := _own_tensors(module):
                raise self._refusal(name, module, f"it has tensors of its own ({', '.join(tensors)})")
            if type(module).__module__.startswith("tltorch"):
                raise self._refusal(name, module)
        elif torch_class not in _UNCHANGED and not torch_class.__module__.startswith(_BESIDE):
            raise self._refusal(name, module)

    def _refusal(self, name: str, module: nn.Module, reason: str = "") -> NetworkError:
        return NetworkError(
            f"transduct: layer {name!r} is a {type(module).__name__}, which has no form of one order more"
            f"{f' ({reason})' if reason else ''}; replace it, or name it in skip if it is right as it is"
        )

    def _along(self, name: str, module: Any) -> nn.Module:
        dim, place = module.dim, 2 + self.position
        if dim is None or (dim < 0 and self.order is None):
            raise self._refusal(name, module, f"dim={dim} may mean any dimension")
        if dim < 0:
            after = dim + 2 + (self.order or 0) >= place
            return type(module)(dim if after else dim - 1)
        return type(module)(dim + 1 if dim >= place else dim)

    def _order(self, name: str, module: nn.Module) -> int:
        """Return the dimensions that a layer is for, if the new one has a place among them."""
        order = _order_of(module) or 0
        if not 0 <= self.position <= order:
            raise NetworkError(
                f"transduct: layer {name!r} of order {order} has no place {self.position}; "
                f"give a position of 0 to {order}"
            )
        return order

    def _extended(self, layer: Any, order: int, **added: int) -> dict[str, tuple[int, ...]]:
        """Return options of a layer, as far as it has them, with a value for the new dimension."""
        old = {key: getattr(layer, key) for key in added if hasattr(layer, key)}
        values = {key: (value,) * order if isinstance(value, int) else tuple(value) for key, value in old.items()}
        place = self.position
        return {key: (*value[:place], added[key], *value[place:]) for key, value in values.items()}

    def _factorized(self, name: str, layer: FactorizedConv) -> FactorizedConv:
        unused = [dimension for dimension in DIMENSIONS if dimension not in layer.dimensions]
        if layer.order == 3 or len(unused) < self.remaining:
            raise NetworkError(f"transduct: layer {name!r} has order {layer.order}; three dimensions are the most")
        dimension = unused[-self.remaining]
        self._order(name, layer)
        size = self.kernel if max(layer.kernel_size) > 1 else 1
        geometry = layer.geometry.insert(self.position, size, self.padding)
        dimensions = (*layer.dimensions[: self.position], dimension, *layer.dimensions[self.position :])
        channels = {"output": layer.out_channels, "input": layer.in_channels}
        sizes = channels | dict(zip(dimensions, geometry.kernel_size, strict=True))
        if (strange := peculiarity(layer, layer.parameter_names)) is not None:
            raise self._refusal(name, layer, strange)
        tensors = {key: tensor.detach() for key, tensor in layer.tensors.items()}
        taps = temporal_taps(size, self.init).to(tensors["output"])
        result = layer.with_tensors(layer.scheme.add_mode(tensors, sizes, dimension, taps), geometry, dimensions)
        result.bias, result.inner_norm = layer.bias, layer.inner_norm
        before = layer.tensors
        # The new factor is that of layers which share all others.
        keys = {key: id(tensor) for key, tensor in before.items()} | {dimension: (dimension, *map(id, before.values()))}
        result.hold({key: self.made.setdefault(keys[key], tensor) for key, tensor in result.tensors.items()})
        return result

    def _convolution(self, name: str, layer: Any) -> nn.Module:
        order, size = self._order(name, layer), self.kernel if max(layer.kernel_size) > 1 else 1
        if layer.padding_mode != "zeros" or (self.padding == "replicate" and size > 1):
            raise NetworkError(
                f"transduct: layer {name!r} is dense; replicate padding is offered for factorized networks only"
            )
        if isinstance(layer.padding, str):
            raise NetworkError(f"transduct: layer {name!r} has padding {layer.padding!r}; give it in numbers")
        options: dict[str, Any] = {"groups": layer.groups, "bias": layer.bias is not None}
        options |= self._extended(layer, order, kernel_size=size, stride=1, padding=size // 2, dilation=1)
        with torch.device("meta"):
            result = _CONVOLUTIONS[type(layer)](layer.in_channels, layer.out_channels, **options)
        weight, place = layer.weight.detach(), 2 + self.position
        taps = temporal_taps(size, self.init).to(weight).reshape(-1, *[1] * (order - self.position))
        kernel = (weight.unsqueeze(place) * taps).contiguous()
        if weight.movedim(1, -1).is_contiguous() and not weight.is_contiguous():
            kernel = channels_last(kernel)
        made = nn.Parameter(kernel, requires_grad=layer.weight.requires_grad)
        result.weight, result.bias = self.made.setdefault(id(layer.weight), made), layer.bias
        return result

    def _norm(self, name: str, layer: Any) -> nn.Module:
        if layer.running_mean is None:
            raise self._refusal(name, layer, "without running statistics it would take those of all positions at once")
        result = _NORMS[type(layer)](
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
        result._parameters.update(layer._parameters)
        result._buffers.update(layer._buffers)
        return result

    def _pool(self, name: str, layer: Any) -> nn.Module:
        options: dict[str, Any] = {
            key: getattr(layer, key)
            for key in ("ceil_mode", "count_include_pad", "divisor_override")
            if getattr(layer, key, None) is not None
        }
        order = self._order(name, layer)
        options |= self._extended(layer, order, kernel_size=1, stride=1, padding=0, dilation=1)
        return _POOLS[type(layer)](**options)

    def _adaptive(self, name: str, layer: Any) -> nn.Module:
        order, size = self._order(name, layer), layer.output_size
        sizes: list[int | None] = list(size) if isinstance(size, tuple) else [size] * order
        sizes.insert(self.position, None)  # as many positions out as in
        return _ADAPTIVE[type(layer)](tuple(sizes))
