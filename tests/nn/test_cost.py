import copy

import pytest
import torch
from torch import nn

from hocbench.nn import FactorizedConv, multiply_adds, parameter_count, resnet18, transduct
from tests.nn.oracles import assert_same, images, layer_of


def published_chain(layer):
    """Build the layer from plain convolutions, one per factor, in the order in, time, height, width, out."""
    order, stride = layer.order, layer.stride
    conv = nn.Conv2d if order == 2 else nn.Conv3d
    parts = [conv(layer.in_channels, layer.rank, 1, bias=False)]
    parts[0].weight.data = layer.factors["in"].detach().t().reshape(parts[0].weight.shape)
    for axis, name in enumerate(layer.factor_names[2:]):
        size, steps, pads = [1] * order, [1] * order, [0] * order
        size[axis], pads[axis] = layer.kernel_size[axis], layer.kernel_size[axis] // 2
        steps[axis] = 1 if name == "time" else stride
        part = conv(layer.rank, layer.rank, size, stride=steps, padding=pads, groups=layer.rank, bias=False)
        part.weight.data = layer.factors[name].detach().t().reshape(part.weight.shape)
        parts.append(part)
    parts.append(conv(layer.rank, layer.out_channels, 1, bias=False))
    parts[-1].weight.data = (layer.factors["out"] * layer.weights).detach().reshape(parts[-1].weight.shape)
    return nn.Sequential(*parts)


def counted_by_hooks(network, x):
    """Count on real tensors: entries of each output times the inputs that each of them sums."""
    counts = []

    def count(module, inputs, output):
        if isinstance(module, nn.Linear):
            counts.append(output.numel() * module.weight.shape[1])
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
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
    layer = FactorizedConv(3, 5, (5, 3, 7), rank=4, stride=2)
    frames = 2 * 8
    expected = 4 * frames * (3 * 99 + 5 * 99 + 3 * 55 + 7 * 30 + 5 * 30)
    assert multiply_adds(layer, (2, 3, 8, 9, 11)) == expected


@pytest.mark.parametrize("path", ["factorized", "reconstructed"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [(3, 5), (3, 3, 5)], ids=str)
def test_a_factorized_layer_costs_its_published_chain_however_it_is_computed(kernel_size, stride, path):
    layer, x = (
        layer_of(4, 5, kernel_size, rank=7, stride=stride, path=path),
        images(2, 4, *(4, 7, 8)[-len(kernel_size) :]),
    )
    expected, y = counted_by_hooks(published_chain(layer), x)
    assert_same(layer(x), y)
    assert multiply_adds(layer, x.shape) == expected


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
@pytest.mark.parametrize(("order", "shape"), [(2, (2, 3, 37, 40)), (3, (2, 3, 3, 37, 40))])
@torch.no_grad()
def test_a_dense_network_costs_what_hooks_count_on_real_tensors(stem, order, shape):
    network = resnet18(order, "dense", 4, stem=stem)
    assert multiply_adds(network, shape) == counted_by_hooks(network, torch.randn(shape))[0]


@pytest.mark.parametrize(("order", "shape"), [(2, (2, 3, 37, 40)), (3, (2, 3, 3, 37, 40))])
@torch.no_grad()
def test_a_factorized_network_costs_the_sum_of_its_chains(order, shape):
    network = resnet18(order, "cp", 4, stem="small")
    counted = multiply_adds(network, shape)
    for name, layer in list(network.named_modules()):
        if isinstance(layer, FactorizedConv):
            network.set_submodule(name, published_chain(layer))
    assert counted == counted_by_hooks(network, torch.randn(shape))[0]


def test_counting_leaves_the_network_alone():
    network = resnet18(3, "cp", 4, stem="small").train()
    before = copy.deepcopy(network.state_dict())
    multiply_adds(network, (1, 3, 4, 20, 20))
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
