"""Removal of components whose CP weight is zero."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.layers import cp_layers
from hocbench.nn.plain import ITSELF, Network, copied, norm_of_channels, peculiarity, replace_modules
from hocbench.nn.resnet import config_of


def compact(network: Network) -> Network:
    """Return a smaller network with the same outputs: without the components whose λ is exactly zero.

    The network stays untouched. A layer in which all λ are zero keeps its first component.

    Raises
    ------
    NetworkError
        If there are no factorized layers, or Tucker or tensor-train ones: those have no λ; or naming a layer that is
        parametrized, or shares factors but not the places of its zeros.
    """
    smaller: Any = copied(network)
    layers = cp_layers(smaller)
    # What stands in for a parameter, so that layers with the same ones have the same ones afterwards.
    made: dict[int, Any] = {}

    def make(name: str, module: nn.Module) -> nn.Module | None:
        return _compact_layer(name or ITSELF, module, made) if isinstance(module, FactorizedConv) else None

    smaller = replace_modules(smaller, make)
    config = config_of(network)
    if config is not None:
        ranks = config.ranks | {name: smaller.get_submodule(name).rank for name in layers}
        smaller.config = replace(config, ranks=ranks)
    return smaller


def _compact_layer(name: str, layer: FactorizedConv, made: dict[int, Any]) -> FactorizedConv:
    if (strange := peculiarity(layer, layer.parameter_names)) is not None:
        raise NetworkError(f"compact: layer {name!r} cannot lose components: {strange}")
    left = torch.nonzero(layer.weights).flatten()
    if len(left) == 0:
        left = torch.zeros(1, dtype=torch.long, device=layer.weights.device)
    tensors = {key: tensor.detach()[..., left] for key, tensor in layer.tensors.items()}
    result = layer.with_tensors(tensors)
    result.bias = layer.bias
    tied = {key: made.setdefault(id(old), result.tensors[key]) for key, old in layer.tensors.items()}
    if any(not torch.equal(parameter, tensors[key]) for key, parameter in tied.items()):
        raise NetworkError(f"compact: layer {name!r} shares factors with one that has its zeros elsewhere; untie them")
    result.hold(tied)
    if layer.inner_norm is not None:
        result.inner_norm = norm_of_channels(layer.inner_norm, left)
    return result
