import copy

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, reestimate_batchnorm, resnet18
from tests.nn.oracles import aged, assert_same, images
from tests.nn.test_transduction import norms_of


@pytest.mark.parametrize(("order", "kind"), [(2, "cp"), (3, "cp"), (3, "tucker"), (3, "tt"), (3, "dense")])
def test_batchnorm_gets_the_mean_of_the_statistics_of_the_batches(order, kind):
    network = aged(resnet18(order, kind, 4, stem="small"))
    batches = images(3, 2, 3, *[2] * (order - 2), 20, 20)
    inputs = {norm: [] for norm in norms_of(network)}
    for norm in inputs:
        norm.register_forward_pre_hook(lambda module, arguments: inputs[module].append(arguments[0]))
    reestimate_batchnorm(network, iter(batches))
    axes = (0, *range(2, order + 2))
    for norm, seen in inputs.items():
        assert len(seen) == norm.num_batches_tracked == 3
        assert_same(norm.running_mean, torch.stack([x.mean(axes) for x in seen]).mean(0))
        # torch keeps unbiased variances.
        assert_same(norm.running_var, torch.stack([x.var(axes) for x in seen]).mean(0))
    # Each layer is fed by layers normalised with the statistics of their batch.
    first, second = inputs[network.stem_norm][0], inputs[network.layer1[0].norm1][0]
    normalised = nn.functional.batch_norm(
        first, None, None, network.stem_norm.weight, network.stem_norm.bias, training=True
    )
    assert_same(second, network.layer1[0].conv1(torch.relu(normalised)))


@pytest.mark.parametrize("training", [True, False])
def test_re_estimation_changes_running_statistics_only(training):
    network = aged(resnet18(2, "cp", 4, stem="small")).train(training)
    network.layer2.train(not training)
    network.layer3[0].norm1.momentum = 0.3
    modes, momenta = [m.training for m in network.modules()], [norm.momentum for norm in norms_of(network)]
    before = copy.deepcopy(network.state_dict())
    reestimate_batchnorm(network, [images(2, 3, 20, 20)])
    assert [m.training for m in network.modules()] == modes
    assert [norm.momentum for norm in norms_of(network)] == momenta
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, value in network.state_dict().items():
        is_statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(value, before[name]) != is_statistic, name


def test_re_estimation_forgets_what_was_there():
    network = aged(resnet18(2, "cp", 4, stem="small"))
    batches = images(2, 2, 3, 20, 20)
    reestimate_batchnorm(network, images(4, 2, 3, 20, 20))
    reestimate_batchnorm(network, batches)
    once = copy.deepcopy(network.state_dict())
    reestimate_batchnorm(network, batches)
    assert all(torch.equal(once[name], value) for name, value in network.state_dict().items())


def test_re_estimation_without_batches_is_refused_and_changes_nothing():
    network = aged(resnet18(2, "cp", 4, stem="small"))
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(NetworkError, match="re-estimating BatchNorm needs at least one batch"):
        reestimate_batchnorm(network, iter([]))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("implementation", ["factorized", "recompute"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_batchnorm_inside_factorized_layers_is_re_estimated_too(order, implementation):
    layer = (
        FactorizedConv(3, 4, (3,) * order, rank=5, inner_activation=True, implementation=implementation).double().eval()
    )
    batches = images(2, 4, 3, *[5] * order)
    reestimate_batchnorm(layer, batches)
    z = torch.einsum("nbi...,ir->nbr...", batches, layer.factors["input"]).transpose(1, 2).flatten(2).transpose(1, 2)
    assert layer.inner_norm.num_batches_tracked == 2
    assert_same(layer.inner_norm.running_mean, z.mean(1).mean(0).detach())
