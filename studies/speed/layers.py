"""Single 3×3 convolutions of the four ResNet-18 stages, forward and backward."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.nn import FactorizedConv
from hocbench.nn.baselines import TltorchConv
from hocbench.nn.tltorch_exchange import IMPLEMENTATIONS
from studies.speed.measurements import Measurement
from studies.speed.roofline import Machine, limits
from studies.speed.steps import CHANNELS_LAST, Bench, Step, drawn, leaf, quicker_layout, seeded

MEASURED, RULE = "hocbench, measured path", "hocbench, rule"
OWN = {name: f"hocbench {name}" for name in ("factorized", "reconstructed", "recompute")}
TLTORCH = {name: f"tltorch {name}" for name in IMPLEMENTATIONS}
# The layers of an inflated network are those of a dense 3-D one, so they are measured once.
DENSE = {2: "dense 2-D", 3: "dense 3-D = inflated"}
TWO_PLUS_ONE = "(2+1)-D"
_CONVOLUTIONS: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}


def measure_layers(bench: Bench, order: int, machine: Machine) -> list[Measurement]:
    """Time every way to compute each layer of images (order 2) or clips (3), forward and backward.

    Returns
    -------
    list of Measurement
        Per input size and layer: our layer as measured to be fastest and as the rule has it (their times are
        those of the implementation taken), both implementations, the rivals, and the physical limits.

    Raises
    ------
    BenchmarkError
        If a rival computes something else.
    """
    measurements = []
    for pixels in bench.scale.pixels(order):
        for channels, side in bench.scale.layers(pixels):
            layer = make_layer(order, channels)
            x = drawn(bench.scale.layer_shape(order, channels, side), bench.setting.device, use="layer")
            steps = layer_steps(bench, layer, x)
            timed = bench.compare(f"layers {order}-D", f"{pixels} px", steps)
            measurements += [*chosen_implementations(bench, steps[0], timed), *timed]
            measurements += limits(bench.setting, timed[0], layer, x.shape, machine)
    return measurements


def make_layer(order: int, channels: int) -> FactorizedConv:
    """Make our layer, rank "same", as it is in a network."""
    with seeded(use="layer", order=order, channels=channels):
        return FactorizedConv(channels, channels, (3,) * order)


def layer_steps(
    bench: Bench, ours: FactorizedConv, x: Tensor, implementations: tuple[str, ...] = tuple(OWN)[:2]
) -> list[Step]:
    """Make the training steps of a layer: ours by some implementations, then those of the rivals.

    Ours gets its input channels-last, as its networks hand it on, and tensorly-torch's chains get it contiguous,
    because they copy it into that layout. Dense convolutions get it in the layout that is faster for them.
    """
    order, setting = ours.order, bench.setting
    ours = ours.to(x.device)
    steps = []
    for implementation in implementations:
        layer = copy.deepcopy(ours)
        layer.implementation = implementation
        inputs = leaf(x, CHANNELS_LAST[order])
        steps.append(
            Step(OWN[implementation], layer, inputs, setting, {"x": inputs, **layer.tensors}, note="channels-last")
        )
    dense, layout = quicker_layout(_convolution_step(bench, DENSE[order], lambda: (dense_layer(ours), True), x), order)
    for name in IMPLEMENTATIONS:
        inputs = leaf(x, layout if name == "reconstructed" else torch.contiguous_format)
        module = TltorchConv(ours.to_tltorch(name))
        tensor = module.conv.weight
        tensors = {"weights": tensor.weights, **dict(zip(ours.factor_names, tensor.factors, strict=True))}
        note = dense.note if name == "reconstructed" else "contiguous"
        steps.append(Step(TLTORCH[name], module, inputs, setting, {"x": inputs, **tensors}, note=note))
    steps.append(dense)
    if order == 3:
        make = _convolution_step(bench, TWO_PLUS_ONE, lambda: (_two_plus_one(ours), False), x)
        steps.append(quicker_layout(make, order)[0])
    return steps


def _convolution_step(
    bench: Bench, name: str, make: Callable[[], tuple[nn.Module, bool]], x: Tensor
) -> Callable[[torch.memory_format], Step]:
    def step(layout: torch.memory_format) -> Step:
        made, same = make()
        module: Any = made.to(x.device)
        module.to(memory_format=layout)
        inputs = leaf(x, layout)
        note = "contiguous" if layout == torch.contiguous_format else "channels-last"
        return Step(
            name, module, inputs, bench.setting, {"x": inputs, **dict(module.named_parameters())}, same=same, note=note
        )

    return step


def dense_layer(ours: FactorizedConv) -> nn.Module:
    """Make the dense convolution with the kernel of ours."""
    geometry = ours.geometry
    conv = _CONVOLUTIONS[ours.order](
        ours.in_channels, ours.out_channels, ours.kernel_size, geometry.stride, geometry.padding, bias=False
    )
    conv.weight = nn.Parameter(ours.dense_kernel().detach())
    return conv


def _two_plus_one(ours: FactorizedConv) -> nn.Module:
    """Make the two convolutions of (2+1)-D with the parameters of a dense one, without what networks put between."""
    channels = ours.in_channels
    middle = 27 * channels**2 // (9 * channels + 3 * channels)
    with seeded(use="2plus1d", channels=channels):
        return nn.Sequential(
            nn.Conv3d(channels, middle, (1, 3, 3), padding=(0, 1, 1), bias=False),
            nn.Conv3d(middle, channels, (3, 1, 1), padding=(1, 0, 0), bias=False),
        )


def chosen_implementations(bench: Bench, step: Step, timed: Sequence[Measurement]) -> list[Measurement]:
    """Name the implementations that the layer takes by measuring and by its rule; they have been timed before."""
    choices = []
    for method, implementation in ((MEASURED, "measured"), (RULE, "rule")):
        layer: Any = copy.deepcopy(step.module)
        layer.implementation = implementation
        with bench.setting.autocast():
            taken = layer.chosen_implementation(step.x)
        (times,) = (m for m in timed if m.method == OWN[taken])
        choices.append(replace(times, method=method, note=taken))
    return choices
