"""Layers of one order more: factors for factorized ones, inflated kernels for dense ones."""

from collections.abc import Callable, Container, Sequence
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from hocbench.errors import NetworkError
from hocbench.nn.contraction import channels_last
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import DIMENSIONS
from hocbench.nn.plain import carry_hooks, peculiarity

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
# Positions and channels are dealt with alike however many dimensions there are.
_UNCHANGED = (
    *(nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.RReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Tanhshrink, nn.Softplus, nn.Softshrink, nn.Softsign, nn.Threshold),
    *(nn.Hardtanh, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish),
    *(nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.ChannelShuffle, nn.LocalResponseNorm),
)
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
    return [name for name, each in tensors if each is not None and (isinstance(each, lazy) or each.numel() > 1)]


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
        if "" not in self.skip and (replaced := self.layer("(itself)", network)) is not None:
            carry_hooks(network, replaced)
            return replaced  # type: ignore[return-value]
        # What a factorized layer is made of has its meaning there; its inner BatchNorm sees planes at every order.
        layers = [module for module in network.modules() if isinstance(module, FactorizedConv)]
        done: dict[int, nn.Module | None] = {id(part): None for layer in layers for part in layer.children()}
        # A module that is used at several places stays one module.
        for name, module in list(network.named_modules(remove_duplicate=False)):
            if name == "" or name in self.skip:
                continue
            if id(module) not in done:
                done[id(module)] = replaced = self.layer(name, module)
                if replaced is not None:
                    carry_hooks(module, replaced)
            if (replaced := done[id(module)]) is not None:
                network.set_submodule(name, replaced)
        return network

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
        own = torch_class is not type(module)
        if (last := _trailing(module)) is not None:
            # Which are still the last ones unless the new dimension is among them.
            if self.position > (self.order or 1) - last:
                raise self._refusal(name, module, "it acts on the last dimensions")
        elif own and (torch_class is nn.Module or torch_class in _UNCHANGED):
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
            behind = dim + 2 + (self.order or 0) >= place
            return type(module)(dim if behind else dim - 1)
        return type(module)(dim + 1 if dim >= place else dim)

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
        if (strange := peculiarity(layer, layer.parameter_names)) is not None:
            raise self._refusal(name, layer, strange)
        tensors = {key: tensor.detach() for key, tensor in layer.tensors.items()}
        taps = temporal_taps(size, self.init).to(tensors["output"])
        result = layer.with_tensors(layer.scheme.add_mode(tensors, sizes, dimension, taps), geometry, dimensions)
        result.bias, result.inner_norm = layer.bias, layer.inner_norm
        before = layer.tensors
        every = tuple(map(id, before.values()))
        result.hold(
            {
                key: self.made.setdefault(id(before[key]) if key in before else (dimension, every), new)
                for key, new in result.tensors.items()
            }
        )
        return result

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
        weight = layer.weight.detach()
        kernel = (weight.unsqueeze(2 + self.position) * taps.reshape(shape)).contiguous()
        if weight.movedim(1, -1).is_contiguous() and not weight.is_contiguous():
            kernel = channels_last(kernel)
        result.weight = self.made.setdefault(
            id(layer.weight), nn.Parameter(kernel, requires_grad=layer.weight.requires_grad)
        )
        result.bias = layer.bias
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
