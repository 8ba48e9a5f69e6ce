"""The step of the temporal stage, in which the temporal factors alone are trained."""

import copy

import torch
from torch import Tensor, nn

from hocbench.nn import ResNet
from studies.speed.layers import TLTORCH
from studies.speed.measurements import DIFFERENCE, Measurement, by_shape
from studies.speed.networks import as_tltorch, make_network, time_factors, train_only, trained
from studies.speed.steps import Bench, Step, drawn, relative_difference

GROUP, CASE, GRADIENTS = "temporal step", "3-D", "gradients"
TEMPORAL, FULL = "hocbench, temporal factors only", "hocbench, full step"


def measure_temporal(bench: Bench) -> list[Measurement]:
    """Time the temporal-only step with BatchNorm frozen, against full steps and tensorly-torch's frozen networks.

    The difference of the temporal gradients from those of the full graph is measured too.

    Raises
    ------
    BenchmarkError
        If tensorly-torch's temporal gradients are others.
    """
    measurements = []
    for pixels in bench.scale.network_pixels:
        ours, x = make_network(bench, 3, pixels)
        evaluating = copy.deepcopy(ours).eval()
        steps = [
            _temporal_step(bench, TEMPORAL, frozen(ours), x),
            Step(FULL, ours, x, bench.setting, trained(ours)),
            Step(f"{FULL}, BatchNorm frozen", evaluating, x, bench.setting, trained(evaluating)),
            _temporal_step(bench, f"{TEMPORAL}, BatchNorm in training mode", frozen(ours).train(), x),
            *(_temporal_step(bench, name, frozen(as_tltorch(ours, kind)), x) for kind, name in TLTORCH.items()),
        ]
        measurements += bench.compare(GROUP, CASE, steps)
        measurements.append(_difference(bench, ours, x))
    return measurements


def frozen(network: ResNet) -> ResNet:
    """Copy a network, leave its temporal factors alone to train, and freeze BatchNorm."""
    result = copy.deepcopy(network).eval()
    train_only(result, time_factors(result))
    return result


def _temporal_step(bench: Bench, name: str, network: nn.Module, x: Tensor) -> Step:
    return Step(name, network, x, bench.setting, time_factors(network))


def _difference(bench: Bench, ours: ResNet, x: Tensor) -> Measurement:
    """Compare temporal gradients, in float64 on one clip, with those of a graph in which all is trained."""
    clip = drawn((1, *x.shape[1:]), x.device, use="temporal").double()
    slopes = []
    for network in (frozen(ours), copy.deepcopy(ours).eval()):
        network.double()
        slopes.append(torch.autograd.grad(network(clip).square().sum(), list(time_factors(network).values())))
    difference = relative_difference(*slopes)
    return Measurement(bench.setting, GROUP, GRADIENTS, by_shape(x.shape), TEMPORAL, DIFFERENCE, (difference,))
