import math

import numpy as np
import pytest
import tensorly
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv
from hocbench.nn.factorizations import FACTORIZATIONS, find_factorization
from tests.nn.oracles import RANKS, SCHEMES, assert_same, images, kernel_of, layer_of

KERNELS = [(1,), (5,), (1, 1), (3, 5), (3, 3, 3), (5, 1, 3)]


def size_of(layer):
    """Count the entries of all tensors; λ is not counted."""
    return sum(tensor.numel() for name, tensor in layer.tensors.items() if name != "weights")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kernel_size", KERNELS, ids=str)
def test_dense_kernel_is_the_sum_over_all_ranks(kernel_size, scheme):
    layer = layer_of(4, 5, kernel_size, factorization=scheme, rank=RANKS[scheme][len(kernel_size)])
    assert layer.dense_kernel().shape == (5, 4, *kernel_size)
    assert_same(layer.dense_kernel(), kernel_of(layer), 1e-14)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_dense_kernel_is_tensorlys(scheme):
    layer = layer_of(4, 5, (3, 1, 7), factorization=scheme, rank=RANKS[scheme][3])
    own, factors = list(layer.tensors.values())[:-5], list(layer.tensors.values())[-5:]
    with tensorly.backend_context("pytorch", local_threadsafe=True):
        if scheme == "cp":
            expected = tensorly.cp_to_tensor((own[0], factors))
        elif scheme == "tucker":
            expected = tensorly.tucker_to_tensor((own[0], factors))
        else:
            expected = tensorly.tt_to_tensor([*factors[1:], factors[0]]).movedim(-1, 0)
    assert_same(layer.dense_kernel(), expected, 1e-14)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_rank_and_shapes_can_be_read_off_the_tensors(order, scheme):
    rank = RANKS[scheme][order]
    layer = FactorizedConv(4, 5, (3, 1, 5)[:order], factorization=scheme, rank=rank)
    assert layer.rank == rank
    shapes = FACTORIZATIONS[scheme].shapes(rank, layer.sizes)
    assert list(shapes.items()) == [(name, tuple(tensor.shape)) for name, tensor in layer.tensors.items()]
    first = FactorizedConv(4, 5, (3,) * order, factorization=scheme, rank=rank, inner_activation=True).inner_norm
    assert first.num_features == {"cp": 7, "tucker": 2, "tt": 2}[scheme]


@pytest.mark.parametrize("channels", [(64, 64), (3, 64), (16, 48), (48, 16), (512, 512)], ids=str)
@pytest.mark.parametrize("kernel_size", [(3,), (3, 3), (7, 7), (3, 5)], ids=str)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_rank_same_matches_the_parameters_of_a_dense_convolution(channels, kernel_size, scheme):
    with torch.device("meta"):
        layer = FactorizedConv(*channels, kernel_size, factorization=scheme)
    dense = math.prod(channels) * math.prod(kernel_size)
    rank = (layer.rank,) if scheme == "cp" else layer.rank
    # Rounding each rank by at most one half changes the size by at most this much.
    assert abs(size_of(layer) - dense) <= rounding(layer, [r + 0.5 for r in rank]) - size_of(layer)


def rounding(layer, rank):
    """Count the entries for ranks that need not be whole."""
    sizes = list(layer.sizes.values())
    if layer.factorization == "cp":
        return rank[0] * sum(sizes)
    if layer.factorization == "tucker":
        full = [*rank[:2], *layer.rank[2:]]
        return math.prod(full) + sum(size * r for size, r in zip(sizes, full, strict=True))
    bonds, chain = (1, *rank, 1), [*sizes[1:], sizes[0]]
    return sum(bonds[i] * size * bonds[i + 1] for i, size in enumerate(chain))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("multiple", [0.1, 0.5])
def test_a_multiple_scales_the_parameters(scheme, multiple):
    with torch.device("meta"):
        layer = FactorizedConv(128, 96, (3, 3), factorization=scheme, rank=multiple)
    assert size_of(layer) == pytest.approx(multiple * 128 * 96 * 9, rel=0.03)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rank", ["same", 0.3, 5])
def test_a_clip_layer_has_the_ranks_of_the_image_layer_with_time_passed_through(scheme, rank):
    clip = FactorizedConv(12, 16, (5, 3, 7), factorization=scheme, rank=rank).rank
    still = FactorizedConv(12, 16, (3, 7), factorization=scheme, rank=rank).rank
    if scheme == "cp":
        assert clip == still
    elif scheme == "tucker":
        assert clip == (*still[:2], 1, *still[2:])
    else:
        assert clip == (still[0], *still)


def test_a_rank_may_be_a_multiple_or_a_number():
    assert FactorizedConv(64, 64, (3, 3)).rank == round(36864 / 134)
    assert FactorizedConv(64, 64, (3, 3), rank=0.5).rank == round(0.5 * 36864 / 134)
    assert FactorizedConv(64, 64, (3, 3), rank=2.0).rank == round(2 * 36864 / 134)
    assert FactorizedConv(64, 64, (3, 3), rank=np.float64(2)).rank == round(2 * 36864 / 134)
    assert FactorizedConv(64, 64, (3, 3), rank=np.int64(2)).rank == 2
    assert FactorizedConv(2, 2, (1, 1), rank=1e-6).rank == 1
    assert FactorizedConv(64, 64, (3,), rank="same").rank == round(64 * 64 * 3 / 131)


def test_ranks_of_tucker_and_tensor_train_may_be_given_one_by_one_or_as_a_number():
    assert FactorizedConv(8, 6, (3, 5), factorization="tucker", rank=[9, 2, 4, 1]).rank == (9, 2, 4, 1)
    assert FactorizedConv(8, 6, (3, 5), factorization="tt", rank=(30, 2, np.int64(9))).rank == (30, 2, 9)
    # A number is cut to what such a kernel can have.
    assert FactorizedConv(8, 6, (3, 5), factorization="tucker", rank=7).rank == (6, 7, 3, 5)
    assert FactorizedConv(8, 6, (3, 5), factorization="tt", rank=7).rank == (7, 7, 6)
    assert FactorizedConv(8, 6, (3, 5), factorization="tt", rank=100).rank == (8, 24, 6)
    assert FactorizedConv(1, 2, (1, 1), factorization="tucker", rank=1e-6).rank == (1, 1, 1, 1)
    assert FactorizedConv(1, 2, (1, 1), factorization="tt", rank=1e-6).rank == (1, 1, 1)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rank", [0, -3])
def test_a_rank_below_one_is_refused(rank, scheme):
    with pytest.raises(NetworkError, match=rf"rank {rank} of a factorized convolution: give at least 1"):
        FactorizedConv(4, 4, (3, 3), rank=rank, factorization=scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rank", [0.0, -0.5, float("nan"), float("inf"), None, True])
def test_a_multiple_that_is_no_positive_number_is_refused(rank, scheme):
    with pytest.raises(NetworkError, match=rf"rank {rank} of a factorized convolution: "):
        FactorizedConv(4, 4, (3, 3), rank=rank, factorization=scheme)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": "full"}, r"rank 'full' of a factorized convolution: give 'same', a multiple of it or a number"),
        ({"rank": (4,)}, r"rank \(4,\) of a CP convolution: give one number, a multiple or 'same'"),
        (
            {"rank": (1, 2, 3), "factorization": "tucker"},
            r"rank \(1, 2, 3\) of a Tucker convolution: give 4 numbers of at least 1, for output, input, height, width",
        ),
        ({"rank": (1, 2, 3, 0), "factorization": "tucker"}, r"rank \(1, 2, 3, 0\) of a Tucker convolution"),
        (
            {"rank": (1, 2), "factorization": "tt"},
            r"rank \(1, 2\) of a tensor-train convolution: give 3 numbers of at least 1, for bond 1, bond 2, bond 3",
        ),
        ({"rank": (1, 2.0, 3), "factorization": "tt"}, r"rank \(1, 2.0, 3\) of a tensor-train convolution"),
        ({"rank": (1, True, 3), "factorization": "tt"}, r"rank \(1, True, 3\) of a tensor-train convolution"),
    ],
    ids=str,
)
def test_ranks_that_do_not_fit_are_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        FactorizedConv(4, 4, (3, 3), **options)


def test_factorizations_are_found_by_name():
    assert [find_factorization(name).name for name in SCHEMES] == list(SCHEMES)
    with pytest.raises(NetworkError, match="factorization 'CP' of a convolution: choose from cp, tucker, tt"):
        find_factorization("CP")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_new_mode_multiplies_the_kernel_by_its_taps(position, scheme):
    layer, taps = layer_of(4, 5, (3, 7), factorization=scheme, rank=RANKS[scheme][2]), images(5)
    names = ["height", "width"]
    names.insert(position, "time")
    sizes = {name: {**layer.sizes, "time": 5}[name] for name in ("output", "input", *names)}
    tensors = layer.scheme.add_mode(layer.tensors, sizes, "time", taps)
    old = layer.dense_kernel().unsqueeze(2 + position)
    shape = [5 if axis == 2 + position else 1 for axis in range(5)]
    assert_same(layer.scheme.kernel(tensors, sizes), old * taps.reshape(shape), 1e-14)


def spread(values):
    """Return the mean of independent draws and its standard error."""
    return values.mean().item(), values.std().item() / math.sqrt(len(values))


CASES = [("cp", 3), ("cp", "same"), ("tucker", "same"), ("tucker", 2), ("tt", "same"), ("tt", 3)]


@pytest.mark.parametrize(("scheme", "rank"), CASES)
@pytest.mark.parametrize("kernel_size", [(5,), (3, 3), (3, 1, 3)], ids=str)
@torch.no_grad()
def test_the_first_kernel_and_output_vary_as_much_as_those_of_a_he_initialised_convolution(kernel_size, scheme, rank):
    draws, fan_in = 1200, 4 * math.prod(kernel_size)
    layers = (FactorizedConv(4, 6, kernel_size, factorization=scheme, rank=rank) for _ in range(draws))
    kernels = torch.stack([layer.dense_kernel() for layer in layers]).double()
    noise = images(draws, 4, *kernel_size)
    he = nn.init.kaiming_normal_(torch.empty(draws * 6, fan_in), nonlinearity="relu").double().view_as(kernels)
    for moments in (entries, outputs):
        (ours, error), (theirs, other) = spread(moments(kernels, noise)), spread(moments(he, noise))
        exact = 2 / fan_in if moments is entries else 2.0
        # The bound is four standard errors, and those are small enough to see a wrong factor of 1.5.
        assert 4 * error < exact / 3
        assert abs(ours - exact) < 4 * error
        assert abs(ours - theirs) < 4 * math.hypot(error, other)


def entries(kernels, noise):
    """Return the mean square of a kernel's entries, per draw."""
    return kernels.square().flatten(1).mean(1)


def outputs(kernels, noise):
    """Return the mean square of the outputs for white noise, per draw."""
    return torch.einsum("noi...,ni...->no...", kernels, noise).flatten(2).sum(-1).square().mean(1)


@pytest.mark.parametrize(("scheme", "rank"), CASES)
@pytest.mark.parametrize("kernel_size", [(5,), (3, 3), (3, 1, 3)], ids=str)
@torch.no_grad()
def test_with_an_inner_activation_this_holds_for_half_rectified_inputs(kernel_size, scheme, rank):
    moments = []
    for _ in range(300):
        layer = FactorizedConv(
            4, 6, kernel_size, factorization=scheme, rank=rank, padding=0, inner_activation=True
        ).double()
        x = torch.relu(images(16, 4, *[k + 1 for k in kernel_size]))
        moments.append(layer(x).square().mean())
    # A He-initialised convolution doubles the mean square of its input, which is 1/2.
    mean, error = spread(torch.stack(moments))
    assert 4 * error < 1 / 3
    assert abs(mean - 1) < 4 * error
