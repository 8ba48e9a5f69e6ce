"""Whole ResNet-18s: training steps, and inference of the exported network."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from hocbench.nn import FactorizedConv, ResNet, reestimate_batchnorm, resnet18
from hocbench.nn.baselines import TltorchConv
from hocbench.nn.folding import choose_implementations, fold
from studies.speed.layers import DENSE, TLTORCH, TWO_PLUS_ONE, dense_layer
from studies.speed.measurements import Measurement
from studies.speed.steps import Bench, Step, drawn, seeded

OWN_TRAINING, OWN_INFERENCE = "hocbench", "hocbench, exported"
TRAINING, INFERENCE = "networks", "inference"


def measure_networks(bench: Bench) -> list[Measurement]:
    """Time training steps of whole networks, 2-D and 3-D; ours takes its implementations by the rule, as in training.

    Raises
    ------
    BenchmarkError
        If a rival computes something else.
    """
    measurements = []
    for order in (2, 3):
        for pixels in bench.scale.network_pixels:
            ours, x = make_network(bench, order, pixels)
            networks = {OWN_TRAINING: ours, **rivals(ours)}
            steps = [Step(name, net, x, bench.setting, trained(net)) for name, net in networks.items()]
            if order == 3:
                other = _two_plus_one(bench)
                steps.append(Step(TWO_PLUS_ONE, other, x, bench.setting, trained(other), same=False))
            measurements += bench.compare(TRAINING, f"{order}-D training", steps)
    return measurements


def measure_inference(bench: Bench) -> list[Measurement]:
    """Time inference of the exported 3-D network: λ and BatchNorm folded, the fastest implementation of each layer.

    The rivals are in evaluation mode; the dense network is there folded, too.

    Raises
    ------
    BenchmarkError
        If a network computes something else.
    """
    measurements = []
    for pixels in bench.scale.network_pixels:
        ours, x = make_network(bench, 3, pixels)
        ours.eval()
        with bench.setting.autocast():
            implementations = choose_implementations(ours, tuple(x.shape))
        rebuilt = sum(name == "reconstructed" for name in implementations.values())
        networks: dict[str, nn.Module] = {
            OWN_INFERENCE: fold(ours, implementations),
            "hocbench, not folded": ours,
            **rivals(ours),
            f"{DENSE[3]}, folded": fold(_as_dense(ours)),
            TWO_PLUS_ONE: _two_plus_one(bench).eval(),
        }
        notes = {OWN_INFERENCE: f"{rebuilt} of {len(implementations)} layers reconstructed"}
        steps = [
            Step(name, net, x, bench.setting, same=name != TWO_PLUS_ONE, note=notes.get(name, ""))
            for name, net in networks.items()
        ]
        measurements += bench.compare(INFERENCE, "3-D", steps)
    return measurements


def make_network(bench: Bench, order: int, pixels: int) -> tuple[ResNet, Tensor]:
    """Make our network, in training mode with BatchNorm statistics of its input, and that input."""
    with seeded(use="network", order=order):
        network = resnet18(order=order, width=bench.scale.width).to(bench.setting.device)
    x = drawn(bench.scale.network_shape(order, pixels), bench.setting.device, use="network")
    reestimate_batchnorm(network, [x])
    return network, x


def _two_plus_one(bench: Bench) -> ResNet:
    """Make the (2+1)-D network, which computes another function."""
    with seeded(use="network", order=3):
        return resnet18(order=3, kind="2plus1d", width=bench.scale.width).to(bench.setting.device)


def rivals(ours: ResNet) -> dict[str, ResNet]:
    """Make networks that compute the same as ours with other layers, in the same mode."""
    networks = {label: as_tltorch(ours, name) for name, label in TLTORCH.items()}
    return networks | {DENSE[ours.config.order]: _as_dense(ours)}


def as_tltorch(ours: ResNet, implementation: str) -> ResNet:
    """Replace our layers by tensorly-torch's."""
    return _with_layers(ours, "tltorch", lambda layer: TltorchConv(layer.to_tltorch(implementation)))


def _as_dense(ours: ResNet) -> ResNet:
    return _with_layers(ours, "dense", dense_layer)


def _with_layers(ours: ResNet, kind: str, make: Callable[[FactorizedConv], nn.Module]) -> ResNet:
    network = copy.deepcopy(ours)
    for name, module in list(network.named_modules()):
        if isinstance(module, FactorizedConv):
            network.set_submodule(name, make(module).train(module.training))
    network.config = replace(ours.config, kind=kind)
    return network


def trained(network: nn.Module) -> dict[str, Tensor]:
    """Name the parameters that gradients are computed of."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def time_factors(network: nn.Module) -> Mapping[str, Tensor]:
    """Name the temporal factors of a 3-D network of ours, or of tensorly-torch's layers, alike."""
    factors = {}
    for name, module in network.named_modules():
        if isinstance(module, FactorizedConv):
            factors[f"{name}.factors.time"] = module.factors["time"]
        elif isinstance(module, TltorchConv):
            # Its factors are numbered: out, in, time.
            factors[f"{name}.factors.time"] = module.conv.weight.factors[2]
    return factors


def train_only(network: nn.Module, tensors: Mapping[str, Any]) -> None:
    """Freeze all other parameters."""
    network.requires_grad_(False)
    for tensor in tensors.values():
        tensor.requires_grad_(True)
