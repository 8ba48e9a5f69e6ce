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
    found = []
    for order in (2, 3):
        for pixels in bench.scale.network_pixels:
            own, x = make_network(bench, order, pixels)
            networks = {OWN_TRAINING: own, **rivals(own)}
            steps = [Step(name, net, x, bench.setting, trained(net)) for name, net in networks.items()]
            if order == 3:
                other = _two_plus_one(bench)
                steps.append(Step(TWO_PLUS_ONE, other, x, bench.setting, trained(other), same=False))
            found += bench.compare(TRAINING, f"{order}-D training", steps)
    return found


def measure_inference(bench: Bench) -> list[Measurement]:
    """Time inference of the exported 3-D network: λ and BatchNorm folded, the fastest implementation of each layer.

    The rivals are in evaluation mode; the dense network is there folded, too.

    Raises
    ------
    BenchmarkError
        If a network computes something else.
    """
    found = []
    for pixels in bench.scale.network_pixels:
        own, x = make_network(bench, 3, pixels)
        own.eval()
        with bench.setting.autocast():
            implementations = choose_implementations(own, tuple(x.shape))
        others = rivals(own)
        rebuilt = sum(name == "reconstructed" for name in implementations.values())
        networks: dict[str, nn.Module] = {
            OWN_INFERENCE: fold(own, implementations),
            "hocbench, not folded": own,
            **others,
            f"{DENSE[3]}, folded": fold(_as_dense(own)),
            TWO_PLUS_ONE: _two_plus_one(bench).eval(),
        }
        notes = {OWN_INFERENCE: f"{rebuilt} of {len(implementations)} layers reconstructed"}
        steps = [
            Step(name, net, x, bench.setting, same=name != TWO_PLUS_ONE, note=notes.get(name, ""))
            for name, net in networks.items()
        ]
        found += bench.compare(INFERENCE, "3-D", steps)
    return found


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


def rivals(own: ResNet) -> dict[str, ResNet]:
    """Make networks that compute the same as ours with other layers, in the same mode."""
    networks = {label: as_tltorch(own, name) for name, label in TLTORCH.items()}
    return networks | {DENSE[own.config.order]: _as_dense(own)}


def as_tltorch(own: ResNet, implementation: str) -> ResNet:
    """Put tensorly-torch's layers in the place of ours."""
    return _with_layers(own, "tltorch", lambda layer: TltorchConv(layer.to_tltorch(implementation)))


def _as_dense(own: ResNet) -> ResNet:
    return _with_layers(own, "dense", dense_layer)


def _with_layers(own: ResNet, kind: str, make: Callable[[FactorizedConv], nn.Module]) -> ResNet:
    network = copy.deepcopy(own)
    for name, module in list(network.named_modules()):
        if isinstance(module, FactorizedConv):
            network.set_submodule(name, make(module).train(module.training))
    network.config = replace(own.config, kind=kind)
    return network


def trained(network: nn.Module) -> dict[str, Tensor]:
    """Name the parameters that gradients are computed of."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def time_factors(network: nn.Module) -> Mapping[str, Tensor]:
    """Name the temporal factors of a 3-D network of ours, or of tensorly-torch's layers, alike."""
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, FactorizedConv):
            found[f"{name}.factors.time"] = module.factors["time"]
        elif isinstance(module, TltorchConv):
            # Its factors are numbered: out, in, time.
            found[f"{name}.factors.time"] = module.conv.weight.factors[2]
    return found


def train_only(network: nn.Module, tensors: Mapping[str, Any]) -> None:
    """Freeze all other parameters."""
    network.requires_grad_(False)
    for tensor in tensors.values():
        tensor.requires_grad_(True)
