import copy
import json

import pytest
import torch

from hocbench.errors import NetworkError
from hocbench.nn import NetworkConfig, ResNet, compact, parameter_count, resnet18, transduct
from hocbench.nn.lasso import count_zeros, factorized_layers
from tests.nn.oracles import aged, assert_same, images

SHAPES = {2: (2, 3, 20, 20), 3: (2, 3, 4, 20, 20)}


def sparse(order, share=0.4, **options):
    """Make a network in which a share of all λ is zero, in places drawn at random."""
    network = aged(resnet18(order, "cp", 4, stem="small", **options))
    with torch.no_grad():
        for layer in factorized_layers(network).values():
            layer.weights[torch.rand(layer.rank) < share] = 0
    return network


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_a_compacted_network_gives_the_same_outputs(order, share):
    network, x = sparse(order, share), images(*SHAPES[order])
    assert_same(compact(network)(x), network(x))


@pytest.mark.parametrize("order", [2, 3])
def test_just_the_components_with_lambda_zero_are_gone(order):
    network = sparse(order)
    smaller, removed = compact(network), 0
    for name, layer in factorized_layers(network).items():
        kept = layer.weights != 0
        assert torch.equal(smaller.get_submodule(name).weights, layer.weights[kept])
        for mode, factor in layer.factors.items():
            assert torch.equal(smaller.get_submodule(name).factors[mode], factor[:, kept])
        component = 1 + layer.in_channels + layer.out_channels + sum(layer.kernel_size)
        removed += int((~kept).sum()) * component
    assert removed > 0
    assert parameter_count(smaller) == parameter_count(network) - removed
    assert all(zeros == 0 for zeros, _ in count_zeros(smaller).values())


def test_gradients_of_what_is_left_are_the_same():
    network, x = sparse(2), images(*SHAPES[2])
    smaller = compact(network)
    for made in (network, smaller):
        made(x).square().sum().backward()
    for name, layer in factorized_layers(network).items():
        kept = layer.weights != 0
        assert_same(smaller.get_submodule(name).weights.grad, layer.weights.grad[kept])
    assert_same(smaller.head.weight.grad, network.head.weight.grad)


@pytest.mark.parametrize("order", [2, 3])
def test_a_layer_in_which_all_are_zero_keeps_its_first_component(order):
    network, x = sparse(order), images(*SHAPES[order])
    network.layer2[0].conv2.weights.data.zero_()
    smaller = compact(network)
    assert smaller.layer2[0].conv2.rank == 1
    assert smaller.layer2[0].conv2.weights.item() == 0
    assert torch.equal(smaller.layer2[0].conv2.factors["in"], network.layer2[0].conv2.factors["in"][:, :1])
    assert_same(smaller(x), network(x))


def test_a_network_without_zeros_is_copied():
    network = sparse(2, share=0)
    copied = compact(network)
    assert all(torch.equal(value, copied.state_dict()[name]) for name, value in network.state_dict().items())
    copied.stem.weights.data.zero_()
    assert network.stem.weights.all()


@pytest.mark.parametrize("training", [True, False])
def test_the_large_network_stays_untouched_and_its_mode_and_precision_are_kept(training):
    network = sparse(2).float().train(training)
    before, config = copy.deepcopy(network.state_dict()), network.config
    smaller = compact(network)
    assert all(module.training == training for module in smaller.modules())
    assert {parameter.dtype for parameter in smaller.parameters()} == {torch.float32}
    assert network.config == config
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_config_and_state_rebuild_a_compacted_network():
    network, x = compact(sparse(3, temporal_kernel=5, temporal_padding="replicate")), images(*SHAPES[3])
    assert network.config.ranks == {name: layer.rank for name, layer in factorized_layers(network).items()}
    config = NetworkConfig(**json.loads(json.dumps(network.config.as_dict())))
    again = ResNet(config).double().eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(x), network(x))


def test_compacting_goes_on_where_it_stopped():
    network, x = sparse(2, share=0.2), images(*SHAPES[2])
    once = compact(network)
    with torch.no_grad():
        once.layer3[0].conv1.weights[::2] = 0
    twice = compact(once)
    assert twice.layer3[0].conv1.rank == once.layer3[0].conv1.rank // 2
    assert twice.stem.rank == once.stem.rank
    assert_same(twice(x), once(x))


@pytest.mark.parametrize("init", ["ones", "average", "centre"])
def test_compaction_and_transduction_may_change_places(init):
    network, clip = sparse(2), images(*SHAPES[3])
    first, last = transduct(compact(network), 3, init), compact(transduct(network, 3, init))
    assert first.config == last.config
    assert all(torch.equal(value, last.state_dict()[name]) for name, value in first.state_dict().items())
    assert torch.equal(first(clip), last(clip))
    assert_same(first(clip), transduct(network, 3, init)(clip))


def test_a_dense_network_is_refused():
    with pytest.raises(NetworkError, match="this network has none"):
        compact(resnet18(2, "dense", 4))
