import itertools

import numpy as np
import pytest
import tltorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv
from hocbench.nn.contraction import prefers_reconstruction
from tests.nn.oracles import assert_same, convolve, images, kernel_of, layer_of

PATHS = ["factorized", "reconstructed", "rule"]
KERNELS = [(1, 1), (3, 3), (3, 5), (1, 3), (7, 7), (3, 3, 3), (3, 1, 3), (5, 3, 3), (1, 3, 5)]


def gradients(y, layer, x, direction):
    return torch.autograd.grad(y, [x, layer.weights, *layer.factors.values()], direction)


def assert_equals_the_dense_convolution(layer, x):
    """Compare output, input gradient and the gradients of λ and all factors."""
    x = x.detach().requires_grad_()
    y = layer(x)
    expected = convolve(x, kernel_of(layer), layer.stride, layer.padding_mode)
    assert_same(y, expected)
    direction = torch.randn_like(expected)
    pairs = zip(gradients(y, layer, x, direction), gradients(expected, layer, x, direction), strict=True)
    for actual, wanted in pairs:
        assert_same(actual, wanted)


@pytest.mark.parametrize("kernel_size", KERNELS, ids=str)
def test_dense_kernel_is_the_sum_over_components(kernel_size):
    layer = layer_of(4, 5, kernel_size, rank=7)
    assert layer.dense_kernel().shape == (5, 4, *kernel_size)
    assert_same(layer.dense_kernel(), kernel_of(layer), 1e-14)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", KERNELS, ids=str)
def test_output_and_gradients_are_those_of_the_dense_convolution(kernel_size, stride, path):
    time = [4] * (len(kernel_size) - 2)
    modes = ["zeros", "replicate"] if time else ["zeros"]
    for padding_mode, size in itertools.product(modes, [(7, 8), (6, 5)]):
        layer = layer_of(4, 5, kernel_size, rank=7, stride=stride, padding_mode=padding_mode, path=path)
        assert_equals_the_dense_convolution(layer, images(2, 4, *time, *size))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("order", [2, 3])
def test_the_memory_of_the_input_does_not_matter(order, path):
    layer = layer_of(4, 5, (3,) * order, rank=7, stride=2, path=path)
    x = images(2, 4, *[6] * order)
    last = x.contiguous(memory_format=torch.channels_last if order == 2 else torch.channels_last_3d)
    strided = x.repeat_interleave(2, dim=-1)[..., ::2]
    assert_same(layer(last), layer(x), 1e-14)
    assert_same(layer(strided), layer(x), 1e-14)
    assert_equals_the_dense_convolution(layer, last)
    assert_equals_the_dense_convolution(layer, strided)


@given(
    channels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel_size=st.lists(st.sampled_from([1, 3, 5]), min_size=2, max_size=3).map(tuple),
    batch=st.integers(1, 3),
    size=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    stride=st.integers(1, 3),
    rank=st.integers(1, 12),
    padding_mode=st.sampled_from(["zeros", "replicate"]),
    path=st.sampled_from(PATHS),
)
@settings(deadline=None, max_examples=40, derandomize=True)
def test_any_shape_equals_the_dense_convolution(channels, kernel_size, batch, size, stride, rank, padding_mode, path):
    layer = layer_of(*channels, kernel_size, rank=rank, stride=stride, padding_mode=padding_mode, path=path)
    x = images(batch, channels[0], *size[-len(kernel_size) :])
    assert_equals_the_dense_convolution(layer, x)
    *time, height, width = x.shape[2:]
    assert layer(x).shape[2:] == (*time, -(-height // stride), -(-width // stride))


@pytest.mark.parametrize("order", [2, 3])
def test_gradients_agree_with_finite_differences(order):
    layer = layer_of(2, 3, (3,) * order, rank=2, path="factorized", padding_mode="replicate")
    parameters = [layer.weights, *layer.factors.values()]
    x = images(1, 2, *[3] * order).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *parameters))


@pytest.mark.parametrize("implementation", ["factorized", "mobilenet", "reconstructed"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel_size", [(3, 3), (3, 5), (3, 3, 3), (5, 1, 3)], ids=str)
def test_tensorly_torch_computes_the_same_with_the_same_factors(kernel_size, stride, implementation):
    ours = layer_of(4, 5, kernel_size, rank=7, stride=stride, path="factorized")
    tensor = tltorch.CPTensor(ours.weights, [ours.factors[name] for name in ours.factor_names])
    theirs = tltorch.FactorizedConv.from_factorization(
        tensor,
        implementation=implementation,
        stride=[1] * (len(kernel_size) - 2) + [stride, stride],
        padding=[k // 2 for k in kernel_size],
    )
    x = images(2, 4, *[4] * (len(kernel_size) - 2), 7, 8)
    assert_same(ours(x), theirs(x))


def rule_of(layer, x):
    *time, height, width = layer(x).shape[2:]
    taps = layer.kernel_size[0] if layer.order == 3 else 1
    positions = x.shape[0] * height * width * (time[0] if time else 1)
    spatial = layer.kernel_size[-2] * layer.kernel_size[-1]
    return prefers_reconstruction(positions, layer.rank, layer.in_channels, layer.out_channels, spatial, taps)


@pytest.mark.parametrize(("kernel_size", "rank"), [((3, 5), 16), ((3, 3, 5), 60)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_rule_counts_the_output_positions_of_the_whole_batch(kernel_size, rank, stride):
    layer = layer_of(6, 8, kernel_size, rank=rank, stride=stride)
    chosen = set()
    for batch in range(1, 13):
        x = images(batch, 6, *[2] * (layer.order - 2), 5, 7)
        layer.path = "rule"
        by_rule = layer(x)
        layer.path = "reconstructed" if rule_of(layer, x) else "factorized"
        # Bit for bit: the two paths differ in the last digits.
        assert torch.equal(by_rule, layer(x))
        chosen.add(layer.path)
        layer.path = next(path for path in PATHS if path != layer.path)
        assert not torch.equal(by_rule, layer(x))
    assert chosen == {"reconstructed", "factorized"}


def test_a_sample_alone_gives_the_numbers_it_gives_in_a_batch():
    layer = layer_of(6, 8, (3, 3), rank=10)
    x = images(12, 6, 5, 5)
    assert rule_of(layer, x)
    assert not rule_of(layer, x[:1])
    assert_same(torch.cat([layer(sample) for sample in x.split(1)]), layer(x))


@pytest.mark.parametrize(("channels", "kernel_size"), [((64, 64), (3, 3)), ((3, 64), (7, 7)), ((16, 48), (3, 5))])
def test_rank_same_matches_the_parameters_of_a_dense_convolution(channels, kernel_size):
    layer = FactorizedConv(*channels, kernel_size)
    size = sum(parameter.numel() for parameter in layer.parameters()) - layer.rank  # λ is not counted
    dense = channels[0] * channels[1] * kernel_size[0] * kernel_size[1]
    per_component = sum(channels) + sum(kernel_size)
    assert abs(size - dense) <= per_component / 2


def test_rank_same_of_a_clip_layer_is_that_of_the_image_layer():
    assert FactorizedConv(64, 64, (3, 3, 3)).rank == FactorizedConv(64, 64, (3, 3)).rank == round(36864 / 134)


def test_a_rank_may_be_a_multiple_or_a_number_of_components():
    assert FactorizedConv(64, 64, (3, 3), rank=0.5).rank == round(0.5 * 36864 / 134)
    assert FactorizedConv(64, 64, (3, 3), rank=2.0).rank == round(2 * 36864 / 134)
    assert FactorizedConv(64, 64, (3, 3), rank=2).rank == 2
    assert FactorizedConv(64, 64, (3, 3), rank=np.int64(2)).rank == 2
    assert FactorizedConv(2, 2, (1, 1), rank=1e-6).rank == 1


def test_the_parameters_are_named_by_mode():
    layer = FactorizedConv(4, 5, (1, 3, 7), rank=6)
    assert {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()} == {
        "weights": (6,),
        "factors.out": (5, 6),
        "factors.in": (4, 6),
        "factors.time": (1, 6),
        "factors.height": (3, 6),
        "factors.width": (7, 6),
    }
    assert FactorizedConv(4, 5, (3, 7), rank=6).factor_names == ("out", "in", "height", "width")
    assert layer.extra_repr() == "4, 5, (1, 3, 7), rank=6, stride=1"


def second_moments(kernels, noise):
    """Return the mean square of the entries, and of the outputs for white noise."""
    outputs = torch.einsum("noi...,ni...->no...", kernels, noise).flatten(2).sum(-1)
    return kernels.square().mean().item(), outputs.square().mean().item()


@pytest.mark.parametrize(("channels", "kernel_size"), [((6, 8), (3, 3)), ((3, 16), (5, 5)), ((4, 8), (3, 3, 3))])
@pytest.mark.parametrize("rank", [4, 40])
@torch.no_grad()
def test_the_first_output_varies_as_much_as_that_of_a_he_initialised_convolution(channels, kernel_size, rank):
    kernels = torch.stack([FactorizedConv(*channels, kernel_size, rank=rank).dense_kernel() for _ in range(1000)])
    noise = torch.randn(1000, *kernels.shape[2:])
    dense = torch.nn.init.kaiming_normal_(torch.empty_like(kernels.flatten(0, 1)), nonlinearity="relu")
    ours, he = second_moments(kernels, noise), second_moments(dense.view_as(kernels), noise)
    fan_in = kernels[0, 0].numel()
    # 1000 draws know the square of an entry to about 1 %, that of an output to about 4 %.
    assert ours[0] == pytest.approx(2 / fan_in, rel=0.05)
    assert ours[0] == pytest.approx(he[0], rel=0.05)
    assert ours[1] == pytest.approx(he[1], rel=0.15)


@pytest.mark.parametrize("rank", [0, -3])
def test_a_rank_below_one_is_refused(rank):
    with pytest.raises(NetworkError, match=rf"rank {rank} of a factorized convolution: give at least 1"):
        FactorizedConv(4, 4, (3, 3), rank=rank)


@pytest.mark.parametrize("rank", [0.0, -0.5, float("nan")])
def test_a_multiple_that_is_not_positive_is_refused(rank):
    with pytest.raises(NetworkError, match=rf"rank {rank} of a factorized convolution: a multiple .* above 0"):
        FactorizedConv(4, 4, (3, 3), rank=rank)


@pytest.mark.parametrize("kernel_size", [(3,), (3, 4), (0, 3), (-1, 3), (2, 3, 3), (3, 3, 3, 3)], ids=str)
def test_a_kernel_size_must_be_two_or_three_odd_numbers(kernel_size):
    with pytest.raises(NetworkError, match=r"kernel size \(.*: give 2 or 3 odd numbers, \(time,\) height, width"):
        FactorizedConv(4, 4, kernel_size)


def test_an_unknown_path_is_refused_with_the_known_ones():
    with pytest.raises(NetworkError, match=r"path 'fast' .* choose from rule, factorized, reconstructed"):
        FactorizedConv(4, 4, (3, 3), path="fast")


def test_an_unknown_padding_is_refused_with_the_known_ones():
    with pytest.raises(NetworkError, match=r"padding_mode 'reflect' .* choose from zeros, replicate"):
        FactorizedConv(4, 4, (3, 3, 3), padding_mode="reflect")


def test_an_input_of_another_order_or_number_of_channels_is_refused():
    with pytest.raises(NetworkError, match=r"order 2 wants \(N, 4, H, W\), got \(1, 4, 2, 5, 5\)"):
        FactorizedConv(4, 4, (3, 3))(torch.zeros(1, 4, 2, 5, 5))
    with pytest.raises(NetworkError, match=r"order 3 wants \(N, 4, T, H, W\), got \(1, 3, 2, 5, 5\)"):
        FactorizedConv(4, 4, (3, 3, 3))(torch.zeros(1, 3, 2, 5, 5))
