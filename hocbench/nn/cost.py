"""Exact counts of parameters and multiply-adds."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hocbench.nn.baselines import TltorchConv
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.layers import set_implementation


def parameter_count(network: nn.Module) -> int:
    """Count the trainable numbers of a network: kernels or factors, λ, BatchNorm affine, head."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, input_shape: Sequence[int]) -> int:
    """Count the multiply-adds of convolutions and matrix products in one forward pass of any network.

    A CP layer is counted as the published chain: 1×1, one 1-D convolution per dimension, 1×1; Tucker and tensor-train
    layers as the chain of their contractions, however they are computed. ``input_shape`` includes the batch dimension,
    for example ``(1, 3, 224, 224)`` or ``(1, 3, 8, 224, 224)``.
    """
    counter = FlopCounterMode(display=False)
    chains, before = 0, 0

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal before
        before = counter.get_total_flops()

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal chains
        layer = module if isinstance(module, FactorizedConv) else FactorizedConv.from_tltorch(module.conv)
        # In the place of what was computed, in whatever way.
        chains += 2 * layer.cost(inputs[0].shape).chain - (counter.get_total_flops() - before)

    # On the meta device shapes flow through the network without any arithmetic.
    shadow = copy.deepcopy(network).to("meta").eval()
    set_implementation(shadow, "factorized")
    for module in shadow.modules():
        if isinstance(module, FactorizedConv | TltorchConv):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave)
    with counter:
        shadow(torch.empty(*input_shape, device="meta"))
    return (counter.get_total_flops() + chains) // 2
