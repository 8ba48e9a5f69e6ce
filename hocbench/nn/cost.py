"""Exact counts of parameters and multiply-adds."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.nn.baselines import TltorchConv
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.layers import set_implementation


def parameter_count(network: nn.Module) -> int:
    """Count the trainable numbers of a network: kernels or factors, λ, BatchNorm affine, head."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of convolutions and linear layers in one forward pass of any network of this package.

    A CP layer is counted as the published chain: 1×1, one 1-D convolution per dimension, 1×1; Tucker and tensor-train
    layers as the chain of their contractions, however they are computed. ``input_shape`` includes the batch dimension,
    for example ``(1, 3, 224, 224)`` or ``(1, 3, 8, 224, 224)``.
    """
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        if isinstance(module, FactorizedConv):
            total += module.cost(inputs[0].shape).chain
        elif isinstance(module, TltorchConv):
            total += FactorizedConv.from_tltorch(module.conv).cost(inputs[0].shape).chain
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            total += output.numel() * math.prod(module.weight.shape[1:])
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    # On the meta device shapes flow through the network without any arithmetic.
    shadow = copy.deepcopy(network).to("meta").eval()
    set_implementation(shadow, "factorized")
    for module in shadow.modules():
        module.register_forward_hook(count)
    shadow(torch.empty(*input_shape, device="meta"))
    return total
