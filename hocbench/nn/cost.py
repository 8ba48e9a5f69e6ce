"""Exact counts of parameters and multiply-adds."""

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.paths import set_path
from hocbench.nn.tltorch_exchange import TltorchConv, from_tltorch


def parameter_count(network: nn.Module) -> int:
    """Count the trainable numbers of a network: kernels or factors, λ, BatchNorm affine, head."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of convolutions and linear layers in one forward pass.

    A CP layer is counted as the published chain: 1×1, one 1-D convolution per dimension, 1×1; Tucker and tensor-train
    layers as the chain of their contractions.

    Parameters
    ----------
    network : module
        Any network of this package.
    input_shape : sequence of int
        With the batch dimension, for example ``(1, 3, 224, 224)`` or ``(1, 3, 8, 224, 224)``.
    """
    total = 0

    def count(_: str, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, FactorizedConv):
            total += _factorized(module, inputs[0])
        elif isinstance(module, TltorchConv):
            total += _factorized(from_tltorch(module.conv), inputs[0])
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            total += output.numel() * math.prod(module.weight.shape[1:])
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    _trace(network, input_shape, count)
    return total


def layer_paths(network: nn.Module, input_shape: Sequence[int]) -> dict[str, str]:
    """Name the path that the rule gives each factorized layer, with gradients where they are enabled.

    Parameters
    ----------
    network : module
        Any network of this package.
    input_shape : sequence of int
        With the batch dimension.

    Returns
    -------
    dict of str to str
        By layer, in the order of computation; empty for a dense network.
    """
    paths: dict[str, str] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], _: Tensor) -> None:
        if isinstance(module, FactorizedConv):
            module.path = "rule"
            paths[name] = module.chosen_path(inputs[0])

    _trace(network, input_shape, note)
    return paths


def _trace(network: nn.Module, input_shape: Sequence[int], note: Callable[[str, nn.Module, Any, Tensor], None]) -> None:
    """Call ``note`` for each module with its name, input and output."""
    # On the meta device shapes flow through the network without any arithmetic.
    shadow = copy.deepcopy(network).to("meta").eval()
    set_path(shadow, "factorized")
    for name, module in shadow.named_modules():
        module.register_forward_hook(partial(note, name))
    shadow(torch.empty(*input_shape, device="meta"))


def _factorized(layer: FactorizedConv, x: Tensor) -> int:
    """Count the chain, however the layer is computed."""
    return layer.cost(x.shape).chain
