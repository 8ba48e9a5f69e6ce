"""The physical limit: what peak arithmetic and memory bandwidth allow at best."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from hocbench.nn import FactorizedConv
from studies.speed.measurements import BANDWIDTH, FLOPS, LIMIT, Measurement, by_shape
from studies.speed.steps import drawn
from studies.speed.timing import DTYPES, Setting, interleave, spread

BY_COUNT, BY_ROOFLINE = "limit by multiply-adds", "limit by roofline"
ROUNDS = 5
# Side of the matrices multiplied, and bytes copied; the bytes are far more than a cache holds.
SIZES = {"cpu": (1536, 2**28), "cuda": (8192, 2**32)}
TINY_SIZES = (64, 2**16)


@dataclass(frozen=True)
class Machine:
    """What a processor can do at best, per second of the time that is measured.

    Attributes
    ----------
    flops, bandwidth : float
        Floating-point operations (two per multiply-add), and bytes read and written.
    """

    flops: float
    bandwidth: float


def measure_machine(setting: Setting, scale: str) -> tuple[Machine, list[Measurement]]:
    """Time a large matrix product and a copy larger than any cache."""
    side, size = TINY_SIZES if scale == "tiny" else SIZES[setting.device]
    dtype = DTYPES[setting.dtype]
    a, b = (drawn((side, side), setting.device, use="peak", number=k).to(dtype) for k in range(2))
    source = torch.ones(size // 4, device=setting.device)
    target = torch.zeros_like(source)

    def product() -> None:
        torch.mm(a, b)

    def copy() -> None:
        target.copy_(source)

    product()
    copy()
    times = interleave({"product": product, "copy": copy}, a.device, ROUNDS)
    # The CPU clock can be too coarse for the tiny scale.
    rates = {
        FLOPS: tuple(2 * side**3 / max(t, 1e-9) for t in times["product"]),
        BANDWIDTH: tuple(2 * size / max(t, 1e-9) for t in times["copy"]),
    }
    shapes = {FLOPS: by_shape((side, side, side)), BANDWIDTH: f"{size} bytes"}
    names = {FLOPS: "matrix product", BANDWIDTH: "copy"}
    rows = [
        Measurement(setting, "machine", names[quantity], shapes[quantity], "torch", quantity, values)
        for quantity, values in rates.items()
    ]
    return Machine(spread(rates[FLOPS]).median, spread(rates[BANDWIDTH]).median), rows


def limits(
    setting: Setting, like: Measurement, layer: FactorizedConv, shape: Sequence[int], machine: Machine
) -> list[Measurement]:
    """Bound the speed-up of a CP layer, of stride 1 and as many channels out as in, over the dense one it stands for.

    Parameters
    ----------
    setting : Setting
        Its dtype gives the bytes per number.
    like : Measurement
        Of the layer; place of the rows.
    layer, shape : FactorizedConv, sequence of int
        CP, and shape of its input.
    machine : Machine
        From `measure_machine`.

    Returns
    -------
    list of Measurement
        The ratio of multiply-adds, and of the times in which each step is limited by arithmetic or by memory. Forward
        and backward pass are three passes of the same counts, so the ratio is that of one.
    """
    width = torch.finfo(DTYPES[setting.dtype]).bits // 8
    dense, chain = dense_passes(layer, shape), chain_passes(layer, shape)

    def seconds(passes: list[tuple[int, int]]) -> float:
        return sum(max(2 * adds / machine.flops, width * moved / machine.bandwidth) for adds, moved in passes)

    bounds = {
        BY_COUNT: sum(adds for adds, _ in dense) / sum(adds for adds, _ in chain),
        BY_ROOFLINE: seconds(dense) / seconds(chain),
    }
    return [
        Measurement(setting, like.group, like.case, like.shape, name, LIMIT, (value,)) for name, value in bounds.items()
    ]


def dense_passes(layer: FactorizedConv, shape: Sequence[int]) -> list[tuple[int, int]]:
    """Count multiply-adds and numbers moved of a dense convolution: input, kernel, output."""
    positions, kernel = shape[0] * math.prod(shape[2:]), math.prod(layer.sizes.values())
    return [(positions * kernel, positions * (layer.in_channels + layer.out_channels) + kernel)]


def chain_passes(layer: FactorizedConv, shape: Sequence[int]) -> list[tuple[int, int]]:
    """Count the same of each step of the CP chain as it is computed: project, planes, lead, project."""
    positions, rank = shape[0] * math.prod(shape[2:]), layer.rank
    *lead, height, width = layer.kernel_size
    passes = [(positions * layer.in_channels * rank, positions * (layer.in_channels + rank) + layer.in_channels * rank)]
    for taps in (height * width, *lead):
        passes.append((positions * taps * rank, 2 * positions * rank + taps * rank))
    out = layer.out_channels
    return [*passes, (positions * rank * out, positions * (rank + out) + rank * out)]
