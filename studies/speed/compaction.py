"""What the removal of components with λ = 0 gains. The zeros are SYNTHETIC: drawn, not found by LASSO."""

import copy

import torch
from torch import Tensor, nn

from hocbench.nn import FactorizedConv, ResNet, compact
from hocbench.seeds import derive_seed
from studies.speed.measurements import DIFFERENCE, Measurement, by_shape
from studies.speed.networks import make_network, trained
from studies.speed.steps import SEED, Bench, Step, drawn, relative_difference

GROUP = "compaction"
SHARES = (30, 50)  # per cent
COMPACT, WHOLE = "hocbench, compacted", "hocbench, zeros kept"


def measure_compaction(bench: Bench) -> list[Measurement]:
    """Time training and inference of a 3-D network with and without its zero components, implementations by the rule.

    The difference of the outputs, in float64 on one clip, is measured too.

    Raises
    ------
    BenchmarkError
        If the smaller network computes something else.
    """
    measurements = []
    for pixels in bench.scale.network_pixels:
        ours, x = make_network(bench, 3, pixels)
        for share in SHARES:
            sparse = with_zeros(ours, share)
            networks = {COMPACT: compact(sparse), WHOLE: sparse}
            # Copied first: training steps move BatchNorm's statistics apart by their rounding errors.
            evaluating = {name: copy.deepcopy(net).eval() for name, net in networks.items()}
            title = f"SYNTHETIC zeros {share} %"
            steps = [Step(name, net, x, bench.setting, _wanted(net)) for name, net in networks.items()]
            measurements += bench.compare(GROUP, f"{title}, training", steps)
            steps = [Step(name, net, x, bench.setting) for name, net in evaluating.items()]
            measurements += bench.compare(GROUP, f"{title}, inference", steps)
            measurements.append(_difference(bench, evaluating, x, f"{title}, outputs"))
    return measurements


def with_zeros(ours: ResNet, share: int) -> ResNet:
    """Copy a network and set a share of each layer's λ to zero, in per cent."""
    network = copy.deepcopy(ours)
    for name, layer in network.named_modules():
        if isinstance(layer, FactorizedConv):
            generator = torch.Generator().manual_seed(derive_seed(SEED, use="zeros", layer=name, share=share))
            removed = torch.randperm(layer.rank, generator=generator)[: round(layer.rank * share / 100)]
            layer.weights.data[removed.to(layer.weights.device)] = 0
    return network


def _wanted(network: nn.Module) -> dict[str, Tensor]:
    """Name trained parameters; those that differ in size carry it in their name, as they cannot be compared."""
    return {f"{name} {by_shape(parameter.shape)}": parameter for name, parameter in trained(network).items()}


@torch.no_grad()
def _difference(bench: Bench, networks: dict[str, ResNet], x: Tensor, case: str) -> Measurement:
    clip = drawn((1, *x.shape[1:]), x.device, use="compaction").double()
    small, whole = (copy.deepcopy(networks[name]).double()(clip) for name in (COMPACT, WHOLE))
    difference = relative_difference([small], [whole])
    return Measurement(bench.setting, GROUP, case, by_shape(x.shape), COMPACT, DIFFERENCE, (difference,))
