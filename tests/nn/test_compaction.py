import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, NetworkConfig, ResNet, compact, parameter_count, resnet18, transduct
from hocbench.nn.layers import factorized_layers
from tests.nn.oracles import aged, assert_same, images, layer_of

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
@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_compacted_network_gives_the_same_outputs(order, share, active, training):
    network, x = sparse(order, share, inner_activation=active).train(training), images(*SHAPES[order])
    assert_same(compact(network)(x), network(x), 1e-12)


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
    assert all(layer.weights.all() for layer in factorized_layers(smaller).values())


@pytest.mark.parametrize("active", [False, True])
def test_gradients_of_what_is_left_are_the_same(active):
    network, x = sparse(2, inner_activation=active), images(*SHAPES[2])
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
    assert torch.equal(smaller.layer2[0].conv2.factors["input"], network.layer2[0].conv2.factors["input"][:, :1])
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


@pytest.mark.parametrize("active", [False, True])
def test_config_and_state_rebuild_a_compacted_network(active, tmp_path):
    options = {"temporal_kernel": 5, "temporal_padding": "replicate", "inner_activation": active}
    network, x = compact(sparse(3, **options)), images(*SHAPES[3])
    assert network.config.ranks == {name: layer.rank for name, layer in factorized_layers(network).items()}
    config = NetworkConfig(**json.loads(json.dumps(network.config.as_dict())))
    again = ResNet(config).double().eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
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


@pytest.mark.parametrize("active", [False, True])
def test_a_compacted_network_is_trained_further(active):
    network, x = compact(sparse(2, inner_activation=active)).train(), images(4, 3, 20, 20)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        losses.append((network(x) - 1).square().mean())
        losses[-1].backward()
        optimizer.step()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("init", ["ones", "average", "centre"])
def test_compaction_and_transduction_may_change_places(init, active):
    network, clip = sparse(2, inner_activation=active), images(*SHAPES[3])
    first, last = transduct(compact(network), 3, init), compact(transduct(network, 3, init))
    assert first.config == last.config
    assert all(torch.equal(value, last.state_dict()[name]) for name, value in first.state_dict().items())
    assert torch.equal(first(clip), last(clip))
    assert_same(first(clip), transduct(network, 3, init)(clip))


def test_a_dense_network_is_refused():
    with pytest.raises(NetworkError, match="this network has none"):
        compact(resnet18(2, "dense", 4))


@pytest.mark.parametrize("kind", ["tucker", "tt"])
def test_networks_without_lambda_are_refused_naming_a_layer(kind):
    with pytest.raises(NetworkError, match=rf"layer 'stem' is {kind}-factorized and has none"):
        compact(resnet18(2, kind, 4, stem="small"))
    with pytest.raises(NetworkError, match=rf"layer '1' is {kind}-factorized"):
        compact(nn.Sequential(FactorizedConv(3, 4, (3, 3)), FactorizedConv(4, 4, (3, 3), factorization=kind)))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_layer_alone_or_in_any_module_is_compacted(order):
    options = {"stride": 2, "padding_mode": "replicate", "bias": True, "inner_activation": True}
    layer = aged(layer_of(4, 5, (3,) * order, rank=9, implementation="recompute", **options))
    layer.weights.data[[1, 4, 8]] = 0
    layer.factors["output"].requires_grad_(False)
    layer.inner_norm.bias.requires_grad_(False)
    x = images(2, 4, *[7] * order)
    for network in (layer, nn.ModuleDict({"a": nn.Sequential(nn.Identity(), layer)})):
        smaller = compact(network)
        small = smaller if network is layer else smaller["a"][1]
        assert (small.rank, small.inner_norm.num_features, small.implementation) == (6, 6, "recompute")
        assert_same(small(x), layer(x), 1e-12)
        frozen = {name for name, parameter in small.named_parameters() if not parameter.requires_grad}
        assert frozen == {"factors.output", "inner_norm.bias"}
    assert layer.rank == layer.inner_norm.num_features == 9


def test_what_is_kept_of_the_inner_batchnorm_belongs_to_the_same_components():
    layer = aged(layer_of(4, 5, (3, 3), rank=5, inner_activation=True))
    layer.weights.data[[0, 3]] = 0
    small, kept = compact(layer), [1, 2, 4]
    for name in ("weight", "bias", "running_mean", "running_var"):
        assert torch.equal(getattr(small.inner_norm, name), getattr(layer.inner_norm, name)[kept])
    assert torch.equal(small.factors["input"], layer.factors["input"][:, kept])


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}], ids=str)
def test_an_inner_batchnorm_without_some_of_its_tensors_is_compacted(options):
    layer = layer_of(4, 5, (3, 3), rank=6, inner_activation=True)
    layer.inner_norm = nn.BatchNorm2d(6, **options).double()
    layer.weights.data[1::2] = 0
    x = images(2, 4, 6, 6)
    small = compact(layer.train())
    assert_same(small(x), layer(x), 1e-12)
    assert small.inner_norm.num_features == small.rank == 3
