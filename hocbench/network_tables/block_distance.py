"""How far blocks of three convolutions are from the factorized convolutions that have their weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.special_cases import BLOCKS, bottleneck_to_tucker, inverted_residual_to_cp

# How many of the two inner activations, each a BatchNorm and a ReLU, a block keeps.
ACTIVATIONS = {"none": 0, "first": 1, "both": 2}
# Channels outside and inside: the first stage of ResNet-50, and a block of MobileNet-v2 that expands 24 channels by 6.
_CHANNELS = {"bottleneck": (256, 64), "inverted residual": (24, 144)}
# Images, rows and columns of the random inputs: enough positions for the statistics of BatchNorm.
_IMAGES, _SIDE = 2, 14


@dataclass(frozen=True)
class Distance:
    """How far a block is from a factorized convolution with its weights.

    Attributes
    ----------
    rank : int or tuple of int
        Of the factorized convolution; the largest over the seeds for CP.
    differences : tuple of float
        Relative difference ``‖y - ŷ‖ / ‖y‖`` for each seed.
    """

    rank: Any
    differences: tuple[float, ...]


def block_distance(block: str, kept: str, inner_activation: bool, seeds: Sequence[int]) -> Distance:
    """Measure how much the activations that a factorized convolution lacks change the output of a block.

    The block has the three convolutions, He-initialised, with BatchNorm and ReLU (bottleneck) or ReLU6 (inverted
    residual) after the first two, as far as they are kept. Inputs are Gaussian, BatchNorm is fresh and takes the
    statistics of the batch. In a network a BatchNorm follows either form; it takes scale and shift of each channel
    away, so the outputs are compared after it. Two unrelated outputs then differ by √2. All is float64.

    Parameters
    ----------
    block : {"bottleneck", "inverted residual"}
        The kind of block, at the size that networks have (256 and 64, 24 and 144 channels, 3×3).
    kept : {"none", "first", "both"}
        The activations of the block.
    inner_activation : bool
        Whether the factorized convolution has Ψ, with the BatchNorm of the first activation.
    seeds : sequence of int
        Of weights and inputs; nothing is drawn from the global generator.

    Raises
    ------
    NetworkError
        If the block or the activations are unknown.
    """
    if block not in BLOCKS or kept not in ACTIVATIONS:
        raise NetworkError(
            f"block {block!r} ({' or '.join(BLOCKS)}) with activations {kept!r} ({', '.join(ACTIVATIONS)})"
        )
    measured = [_one_distance(block, ACTIVATIONS[kept], inner_activation, seed) for seed in seeds]
    return Distance(max(rank for rank, _ in measured), tuple(difference for _, difference in measured))


@torch.no_grad()
def _one_distance(block: str, kept: int, inner_activation: bool, seed: int) -> tuple[Any, float]:
    generator = torch.Generator().manual_seed(seed)
    outside, inside = _CHANNELS[block]
    first = _draw_convolution(outside, inside, 1, 1, generator)
    middle = _draw_convolution(inside, inside, 3, inside if block == "inverted residual" else 1, generator)
    last = _draw_convolution(inside, outside, 1, 1, generator)
    x = torch.randn(_IMAGES, outside, _SIDE, _SIDE, generator=generator, dtype=torch.float64)
    norms = [nn.BatchNorm2d(inside, dtype=torch.float64) for _ in range(2)]
    convert = bottleneck_to_tucker if block == "bottleneck" else inverted_residual_to_cp
    factorized = convert(first, middle, last, norms[0] if inner_activation else None)
    # The dense kernel of the bottleneck would cost more than its chain.
    factorized.implementation = "factorized"
    activation = functional.relu if block == "bottleneck" else functional.relu6
    y = x
    for place, convolution in enumerate((first, middle)):
        y = convolution(y)
        if place < kept:
            y = activation(norms[place](y))
    y, close = _normalized(last(y)), _normalized(factorized(x))
    return factorized.rank, ((y - close).norm() / y.norm()).item()


def _draw_convolution(inputs: int, outputs: int, size: int, groups: int, generator: torch.Generator) -> nn.Conv2d:
    """Draw a float64 convolution without touching the global generator."""
    with torch.random.fork_rng(devices=[]):
        layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False, dtype=torch.float64)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
    return layer


def _normalized(y: Tensor) -> Tensor:
    return functional.batch_norm(y, None, None, training=True)
