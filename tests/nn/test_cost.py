import copy
import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hocbench.nn import FactorizedConv, multiply_adds, parameter_count, resnet18, set_implementation, transduct
from hocbench.nn.implementation import IMPLEMENTATIONS
from tests.nn.oracles import RANKS, SCHEMES, assert_same, images, layer_of


def published_chain(layer):
    """Build a CP layer from plain convolutions, one per factor, in the order in, time, height, width, out."""
    tensors = layer.tensors
    parts = [plain(layer, tensors["input"].t())]
    for axis, name in enumerate(layer.dimensions):
        parts.append(plain(layer, tensors[name].t().unsqueeze(1), [axis], groups=layer.rank))
    parts.append(plain(layer, tensors["output"] * tensors["weights"]))
    return nn.Sequential(*parts)


def tucker_chain(layer):
    """Build a Tucker layer: project, convolve by the core, project; time of rank 1 comes after height and width."""
    core, *dimensions = layer.tensors["core"], *[layer.factors[name] for name in layer.dimensions]
    if layer.order == 3 and layer.rank[2] == 1:
        plane = torch.einsum("oihw,Hh,Ww->oiHW", core[:, :, 0], *dimensions[1:])
        lead = dimensions[0].t().unsqueeze(1).expand(layer.rank[0], 1, -1)
        middle = [plain(layer, plane, [1, 2]), plain(layer, lead, [0], groups=layer.rank[0])]
    else:
        for axis, factor in enumerate(dimensions, start=2):
            core = torch.tensordot(core, factor, ([axis], [1])).movedim(-1, axis)
        middle = [plain(layer, core, list(range(layer.order)))]
    return nn.Sequential(plain(layer, layer.factors["input"].t()), *middle, plain(layer, layer.factors["output"]))


def train_chain(layer):
    """Build a tensor-train layer: project, one convolution per dimension in turn, project."""
    factors = layer.factors
    parts = [plain(layer, factors["input"].squeeze(0).t())]
    for axis, name in enumerate(layer.dimensions):
        parts.append(plain(layer, factors[name].permute(2, 0, 1), [axis]))
    return nn.Sequential(*parts, plain(layer, factors["output"].squeeze(-1).t()))


CHAINS = {"cp": published_chain, "tucker": tucker_chain, "tt": train_chain}


def plain(layer, weight, axes=(), groups=1):
    """Make a plain convolution that extends along some axes of a layer, and strides only those."""

    def along(values, other):
        return tuple(value if axis in axes else other for axis, value in enumerate(values))

    geometry = layer.geometry
    size = along(geometry.kernel_size, 1)
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[layer.order](
        weight.shape[1] * groups,
        weight.shape[0],
        size,
        stride=along(geometry.stride, 1),
        padding=along(geometry.padding, 0),
        dilation=along(geometry.dilation, 1),
        groups=groups,
        bias=False,
    )
    conv.weight.data = weight.detach().reshape(weight.shape[0], -1, *size)
    return conv


def counted_by_hooks(network, x):
    """Count on real tensors: entries of each output times the inputs that each of them sums."""
    counts = []

    def count(module, inputs, output):
        if isinstance(module, nn.Linear):
            counts.append(output.numel() * module.weight.shape[1])
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            counts.append(output.numel() * module.weight[0].numel())

    handles = [module.register_forward_hook(count) for module in network.modules()]
    y = network(x)
    for handle in handles:
        handle.remove()
    return sum(counts), y


def test_parameters_are_counted_once_and_buffers_not_at_all():
    # Factors (5 + 4 + 3 + 3), λ; a BatchNorm has running statistics beside its 2 · 5.
    network = nn.Sequential(FactorizedConv(4, 5, (3, 3), rank=6), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5, 2))
    assert parameter_count(network) == 6 * (5 + 4 + 3 + 3 + 1) + 10 + 12


def test_a_dense_convolution_and_a_linear_layer_by_hand():
    assert multiply_adds(nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, 7, 9)) == (2 * 4 * 5) * 8 * 27
    assert multiply_adds(nn.Conv3d(3, 8, (3, 1, 1), padding=(1, 0, 0)), (1, 3, 4, 7, 9)) == (4 * 7 * 9) * 8 * 9
    assert multiply_adds(nn.Conv2d(6, 6, 3, padding=1, groups=6), (1, 6, 5, 5)) == 25 * 6 * 9
    assert multiply_adds(nn.Linear(10, 4), (3, 7, 10)) == 3 * 7 * 4 * 10


def test_a_factorized_image_layer_by_hand():
    layer = FactorizedConv(3, 5, (3, 7), rank=4, stride=2)
    # 9 × 11 positions, 5 × 11 below the column factor, 5 × 6 below the row factor.
    assert multiply_adds(layer, (1, 3, 9, 11)) == 4 * (3 * 99 + 3 * 55 + 7 * 30 + 5 * 30)
    assert multiply_adds(layer, (6, 3, 9, 11)) == 6 * multiply_adds(layer, (1, 3, 9, 11))


def test_a_factorized_clip_layer_by_hand():
    layer = FactorizedConv(3, 5, (5, 3, 7), rank=4, stride=(1, 2, 2))
    frames = 2 * 8
    expected = 4 * frames * (3 * 99 + 5 * 99 + 3 * 55 + 7 * 30 + 5 * 30)
    assert multiply_adds(layer, (2, 3, 8, 9, 11)) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_factorized_layer_costs_its_chain_however_it_is_computed(order, scheme):
    ranks = [RANKS[scheme][order]]
    if scheme == "tucker" and order == 3:
        ranks.append((3, 2, 1, 2, 3))
    options = [{}, {"stride": 2}, {"stride": (2, 1, 3)[:order], "padding": (0, 1, 2)[:order], "dilation": 2}]
    for rank, option in itertools.product(ranks, options):
        layer = layer_of(4, 5, (3, 1, 5)[:order], factorization=scheme, rank=rank, **option)
        x = images(2, 4, *(9, 8, 11)[:order])
        expected, y = counted_by_hooks(CHAINS[scheme](layer), x)
        for layer.implementation in IMPLEMENTATIONS:
            assert_same(layer(x), y)
            assert multiply_adds(layer, x.shape) == layer.cost(x.shape).chain == expected


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_other_ways_cost_one_dense_convolution_and_one_kernel(order, scheme):
    layer = layer_of(6, 8, (3, 1, 5)[:order], factorization=scheme, rank=RANKS[scheme][order], stride=2)
    x = images(2, 6, *(9, 8, 11)[:order])
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[order](
        6, 8, layer.kernel_size, stride=2, padding=layer.geometry.padding, bias=False
    )
    cost = layer.cost(x.shape)
    assert cost.dense == counted_by_hooks(conv.double(), x)[0]
    with FlopCounterMode(display=False) as counter:
        layer.dense_kernel()
    exact = counter.get_total_flops() / 2
    # The small factors of a Tucker core are not counted.
    assert cost.rebuild == exact if scheme != "tucker" else 0.6 * exact < cost.rebuild <= exact


def test_resnet_18_costs_what_is_published():
    # 1.814 G with a head of 1000 classes. Stem, stage 1, then stages of one shape with a shortcut at the half size.
    stem, stage = 112**2 * 64 * 147, 56**2 * 64 * 576
    expected = stem + 4 * stage + 3 * (stage // 2 + 3 * stage + 28**2 * 128 * 64) + 512 * 2
    network = resnet18(2, "dense")
    assert multiply_adds(network, (1, 3, 224, 224)) == expected == 1_814_073_344 - 512 * 998
    clip_network = transduct(network)
    shortcuts, head = 3 * 28**2 * 128 * 64, 512 * 2
    assert multiply_adds(clip_network, (1, 3, 8, 224, 224)) == 8 * (
        3 * (expected - shortcuts - head) + shortcuts + head
    )


@pytest.mark.parametrize("stem", ["imagenet", "small"])
@pytest.mark.parametrize(
    ("order", "kind", "shape"),
    [(2, "dense", (2, 3, 37, 40)), (3, "inflated", (2, 3, 3, 37, 40)), (3, "2plus1d", (2, 3, 3, 37, 40))],
)
@torch.no_grad()
def test_a_dense_network_costs_what_hooks_count_on_real_tensors(stem, order, kind, shape):
    network = resnet18(order, kind, 4, stem=stem)
    assert multiply_adds(network, shape) == counted_by_hooks(network, torch.randn(shape))[0]


@pytest.mark.parametrize(("order", "shape"), [(2, (2, 3, 37, 40)), (3, (2, 3, 3, 37, 40))])
@pytest.mark.parametrize("kind", SCHEMES)
@torch.no_grad()
def test_a_factorized_network_costs_the_sum_of_its_chains(kind, order, shape):
    network = resnet18(order, kind, 4, stem="small")
    counted = multiply_adds(network, shape)
    for implementation in IMPLEMENTATIONS:
        set_implementation(network, implementation)
        assert multiply_adds(network, shape) == counted
    for name, layer in list(network.named_modules()):
        if isinstance(layer, FactorizedConv):
            network.set_submodule(name, CHAINS[kind](layer))
    assert counted == counted_by_hooks(network, torch.randn(shape))[0]


def test_counting_leaves_the_network_alone():
    network = resnet18(3, "cp", 4, stem="small").train()
    before = copy.deepcopy(network.state_dict())
    multiply_adds(network, (1, 3, 4, 20, 20))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("order", [2, 3])
def test_the_baseline_of_tensorly_torch_is_counted_like_the_cp_network(order):
    shape = (2, 3, *[3] * (order - 2), 20, 20)
    counts = {kind: multiply_adds(resnet18(order, kind, 4, stem="small"), shape) for kind in ("cp", "tltorch")}
    assert counts["tltorch"] == counts["cp"]


def test_a_network_of_full_size_is_counted_without_arithmetic():
    with torch.device("meta"):
        network = resnet18(2, "cp")
    shape = (32, 3, 224, 224)
    # The rule rebuilds kernels at this size; what is counted is the chain all the same.
    assert network.layer4[1].conv2.chosen_implementation(torch.empty(32, 512, 7, 7, device="meta")) == "factorized"
    assert network.layer1[0].conv1.chosen_implementation(torch.empty(32, 64, 56, 56, device="meta")) == "reconstructed"
    assert multiply_adds(network, shape) == 32 * multiply_adds(network, (1, *shape[1:]))
    network.layer1[0].conv1.implementation = "measured"
    assert multiply_adds(network, shape) == 32 * multiply_adds(network, (1, *shape[1:]))
    assert not network.layer1[0].conv1.choices
