"""Removal of components whose CP weight is zero."""

import copy
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.lasso import factorized_layers
from hocbench.nn.resnet import config_of

Network = TypeVar("Network", bound=nn.Module)


def compact(network: Network) -> Network:
    """Return a smaller network with the same outputs.

    Parameters
    ----------
    network : module
        With CP-factorized layers; it stays untouched.

    Returns
    -------
    module
        Without the components whose λ is exactly zero. A layer in which all are zero keeps its first one.

    Raises
    ------
    NetworkError
        If there are no factorized layers, or Tucker or tensor-train ones: those have no λ.
    """
    layers = factorized_layers(network)
    if isinstance(network, FactorizedConv):
        return _compact_layer(network)
    smaller = copy.deepcopy(network)
    done = {id(layer): _compact_layer(layer) for layer in layers.values()}
    # A layer that is used at several places stays one layer.
    for name, module in network.named_modules(remove_duplicate=False):
        if id(module) in done:
            smaller.set_submodule(name, done[id(module)])
    config = config_of(network)
    if config is not None:
        ranks = {name: done[id(layer)].rank for name, layer in layers.items()}
        smaller.config = replace(config, ranks=ranks)  # type: ignore[assignment]
    return smaller


def _compact_layer(layer: Any) -> Any:
    kept = torch.nonzero(layer.weights).flatten()
    if len(kept) == 0:
        kept = torch.zeros(1, dtype=torch.long, device=layer.weights.device)
    tensors = {name: tensor.detach()[..., kept] for name, tensor in layer.tensors.items()}
    result = layer.with_tensors(tensors)
    if layer.inner_norm is not None:
        result.inner_norm = _compact_norm(layer.inner_norm, kept)
    return result


def _compact_norm(norm: nn.BatchNorm2d, kept: Tensor) -> nn.BatchNorm2d:
    result = copy.deepcopy(norm)
    result.num_features = len(kept)
    for name in ("weight", "bias"):
        old = getattr(norm, name)
        setattr(result, name, nn.Parameter(old.detach()[kept], requires_grad=old.requires_grad))
    for name in ("running_mean", "running_var"):
        setattr(result, name, getattr(norm, name)[kept].clone())
    return result
