import copy

import pytest
import torch
from torch import nn

from hocbench.nn import FactorizedConv, compact, factorize, transduct
from tests.nn.oracles import SCHEMES, aged, assert_same, images
from tests.nn.test_transduction_layers import inserted, slice_by_slice


def own_network(order):
    """Make a network out of all layers that are offered."""
    conv, norm, dropout = (
        (nn.Conv1d, nn.BatchNorm1d, nn.Dropout1d) if order == 1 else (nn.Conv2d, nn.BatchNorm2d, nn.Dropout2d)
    )
    most, mean = (nn.MaxPool1d, nn.AvgPool1d) if order == 1 else (nn.MaxPool2d, nn.AvgPool2d)
    adaptive = nn.AdaptiveAvgPool1d if order == 1 else nn.AdaptiveAvgPool2d
    return nn.Sequential(
        conv(3, 8, 3, padding=1, stride=2),
        norm(8),
        nn.Sequential(nn.ReLU(), most(3, stride=2, padding=1, ceil_mode=True)),
        conv(8, 8, 5, padding=4, dilation=2, groups=4, bias=False),
        dropout(0.5),
        mean(2, padding=1, count_include_pad=False),
        FactorizedConv(8, 6, (3,) * order, rank=5, bias=True),
        norm(6, affine=False),
        conv(6, 4, 1),
        adaptive(2),
    )


@pytest.mark.parametrize(("order", "position"), [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)])
@torch.no_grad()
def test_a_network_of_any_layers_with_centre_taps_sees_slice_by_slice(order, position):
    network = aged(own_network(order))
    x = images(2, 3, *inserted((33, 29)[:order], position, 4))
    result = transduct(network, 3, "centre", position=position)
    assert_same(result(x), slice_by_slice(network, x, 2 + position), 1e-12)
    other = transduct(network, 3, "ones", position=position)
    assert (other(x) - result(x)).abs().max() > 1e-3


@torch.no_grad()
def test_a_network_for_signals_becomes_one_for_clips_at_once():
    network = aged(own_network(1))
    x = images(2, 3, 4, 3, 33)
    expected = torch.stack([slice_by_slice(network, each, 2) for each in x.unbind(2)], dim=2)
    assert_same(transduct(network, (3, 5), "centre")(x), expected, 1e-12)


def test_what_is_trained_and_the_mode_of_each_layer_are_carried_over():
    network = own_network(2)
    network[0].weight.requires_grad_(False)
    network[1].bias.requires_grad_(False)
    network[6].factors["output"].requires_grad_(False)
    network[6].bias.requires_grad_(False)
    for index in (1, 3, 6):
        network[index].eval()
    result = transduct(network)
    assert [module.training for module in result.modules()] == [module.training for module in network.modules()]
    frozen = {name for name, parameter in result.named_parameters() if not parameter.requires_grad}
    assert frozen == {"0.weight", "1.bias", "6.factors.output", "6.bias"}
    assert result[6].factors["time"].requires_grad


def test_the_source_stays_untouched_and_shares_no_memory():
    network = own_network(2)
    before, kinds = copy.deepcopy(network.state_dict()), [type(module) for module in network.modules()]
    result = transduct(network, 3, "average")
    with torch.no_grad():
        for value in result.state_dict().values():
            value.zero_()
    assert [type(module) for module in network.modules()] == kinds
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("order", [1, 2])
def test_the_global_generator_is_not_drawn_from(order):
    networks = [own_network(order)] + [
        FactorizedConv(4, 5, (3,) * order, factorization=scheme, inner_activation=True) for scheme in SCHEMES
    ]
    state = torch.get_rng_state()
    for network in networks:
        transduct(network, 3, "ones")
    assert torch.equal(torch.get_rng_state(), state)


class Encoder2d(nn.Module):
    """A user's own module, whose name is not that of a layer and whose `config` is not ours."""

    def __init__(self):
        super().__init__()
        self.config = {"width": 4}
        self.pool = nn.MaxPool2d(2)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = FactorizedConv(4, 4, (3, 3), rank=6)
        self.again = self.pool

    def forward(self, x):
        return self.again(self.second(self.pool(torch.relu(self.first(x)))))


@torch.no_grad()
def test_a_module_of_the_users_own_is_transducted_compacted_and_factorized():
    network = nn.Sequential(aged(Encoder2d()))
    network[0].second.weights[::2] = 0
    clip = images(2, 3, 4, 12, 12)
    result = transduct(network, 3, "centre")
    assert_same(result(clip), slice_by_slice(network, clip, 2), 1e-12)
    assert result[0].again is result[0].pool
    assert transduct(network[0], 3).config == {"width": 4}
    assert_same(compact(network)(clip[:, :, 0]), network(clip[:, :, 0]), 1e-12)
    assert compact(network[0]).second.rank == 3
    assert list(factorize(network[0], 2)[1]) == ["first"]


def test_a_layer_used_twice_stays_one():
    layer, pool = FactorizedConv(4, 4, (3, 3), rank=6), nn.MaxPool2d(2)
    layer.weights.data[0] = 0
    network = nn.Sequential(layer, pool, layer, pool)
    result = transduct(network)
    assert result[0] is result[2]
    assert result(torch.zeros(1, 4, 3, 8, 8)).shape == (1, 4, 3, 2, 2)
    smaller = compact(network)
    assert smaller[0] is smaller[2]
    assert smaller[0].rank == 5
