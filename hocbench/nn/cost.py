"""Exact counts of parameters and multiply-adds."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.nn.factorized import FactorizedConv


def parameter_count(network: nn.Module) -> int:
    """Count the trainable numbers of a network: kernels or factors, λ, BatchNorm affine, head."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of convolutions and linear layers in one forward pass.

    A factorized layer is counted as the published chain: 1×1, one 1-D convolution per dimension, 1×1.

    Parameters
    ----------
    network : module
        Any network of this package.
    input_shape : sequence of int
        With the batch dimension, for example ``(1, 3, 224, 224)`` or ``(1, 3, 8, 224, 224)``.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, FactorizedConv):
            total += _factorized(module, inputs[0], output)
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            total += output.numel() * math.prod(module.weight.shape[1:])
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    # On the meta device shapes flow through the network without any arithmetic.
    shadow = copy.deepcopy(network).to("meta").eval()
    for module in shadow.modules():
        module.register_forward_hook(count)
    shadow(torch.empty(*input_shape, device="meta"))
    return total


def _factorized(layer: FactorizedConv, x: Tensor, y: Tensor) -> int:
    """Count the chain in the order time, height, width; each stride shrinks what follows it."""
    before, after = x.numel() // x.shape[1], y.numel() // y.shape[1]
    height, width = layer.kernel_size[-2:]
    halfway = before // x.shape[-2] * y.shape[-2]
    temporal = layer.kernel_size[0] * before if layer.order == 3 else 0
    per_component = layer.in_channels * before + temporal + height * halfway + width * after
    return layer.rank * (per_component + layer.out_channels * after)
