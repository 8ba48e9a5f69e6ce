import copy
import random
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tensorly
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, convolutions, resnet18
from hocbench.nn.decomposition import Fit, relative_error
from tests.nn.oracles import RANKS, SCHEMES, aged, assert_same, convolve, error_of, images, kernel_of, layer_of

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
# Ranks below the sizes of all modes.
CASES = [(scheme, 3 if scheme == "cp" else RANKS[scheme][order], order) for scheme in SCHEMES for order in (1, 2, 3)]


def dense_of(source, **options):
    """Make the dense convolution of a factorized layer's kernel."""
    conv = CONVS[source.order](source.in_channels, source.out_channels, source.kernel_size, **options).double()
    conv.weight.data = source.dense_kernel().detach()
    return conv


@pytest.mark.parametrize(("scheme", "rank", "order"), CASES)
def test_a_kernel_of_exact_low_rank_is_recovered(scheme, rank, order):
    conv = dense_of(layer_of(6, 7, (3, 5, 3)[:order], factorization=scheme, rank=rank), padding=1)
    layer, fit = FactorizedConv.from_dense(conv, rank, factorization=scheme, iterations=1000)
    assert fit.rank == layer.rank == rank
    assert fit.relative_error < (1e-6 if scheme == "cp" else 1e-13)
    assert error_of(conv, layer) < (1e-6 if scheme == "cp" else 1e-13)
    x = images(2, 6, *[9] * order)
    assert_same(layer(x), conv(x), 1e-5 if scheme == "cp" else 1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_reported_error_is_the_true_one_and_falls_with_the_rank(scheme):
    conv, errors = nn.Conv2d(6, 8, (3, 5)).double(), []
    for rank in (1, 3, 5):
        layer, fit = FactorizedConv.from_dense(conv, rank, factorization=scheme)
        assert fit == Fit(pytest.approx(error_of(conv, layer), rel=1e-10), layer.rank)
        errors.append(fit.relative_error)
    assert 1 > errors[0] > errors[1] > errors[2] > 0.01


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_all_options_of_a_dense_convolution_are_carried_over(order, scheme):
    options = {"stride": (2, 1, 3)[:order], "padding": (1, 0, 2)[:order], "dilation": (1, 2, 1)[:order]}
    conv = CONVS[order](4, 5, (2, 3, 4)[:order], bias=True, padding_mode="replicate", **options)
    layer, _ = FactorizedConv.from_dense(conv.eval(), "same", factorization=scheme, iterations=3)
    x = torch.randn(2, 4, *[9] * order)
    expected = convolve(x, kernel_of(layer), padding_mode="replicate", bias=conv.bias, **options)
    assert_same(layer(x), expected, 1e-5)
    assert layer(x).shape == conv(x).shape
    assert torch.equal(layer.bias, conv.bias)
    assert layer.bias is not conv.bias
    assert not layer.training
    assert FactorizedConv.from_dense(CONVS[order](2, 2, 1, bias=False), 1, factorization=scheme)[0].bias is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_layer_has_the_precision_of_the_convolution(dtype):
    layer, fit = FactorizedConv.from_dense(nn.Conv2d(4, 5, 3).to(dtype), 3)
    assert {parameter.dtype for parameter in layer.parameters()} == {dtype}
    assert 0 < fit.relative_error < 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_seed_decides_and_global_generators_stay_where_they_are(scheme):
    conv = nn.Conv2d(4, 5, 3)
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    results = [FactorizedConv.from_dense(conv, 4, factorization=scheme, seed=seed)[0] for seed in (5, 5, 6)]
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy_state, strict=True))
    assert random.getstate() == python_state
    first, again, other = (layer.state_dict() for layer in results)
    assert all(first[name].numpy().tobytes() == again[name].numpy().tobytes() for name in first)
    if scheme == "cp":
        assert not torch.equal(first["factors.input"], other["factors.input"])


def test_the_backend_of_tensorly_stays_what_it_was():
    before = tensorly.get_backend()
    try:
        for backend in ("numpy", "pytorch"):
            tensorly.set_backend(backend)
            FactorizedConv.from_dense(nn.Conv2d(2, 2, 3), 2)
            assert tensorly.get_backend() == backend
    finally:
        tensorly.set_backend(before)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ranks_above_the_attainable_ones_give_the_kernel_itself(scheme):
    conv = nn.Conv2d(4, 5, 3).double()
    rank = {"cp": 60, "tucker": (9, 9, 3, 3), "tt": (100, 100, 100)}[scheme]
    layer, fit = FactorizedConv.from_dense(conv, rank, factorization=scheme)
    assert fit.rank == layer.rank
    assert error_of(conv, layer) < 1e-13


def with_kernel(kernel):
    conv = CONVS[kernel.ndim - 2](kernel.shape[1], kernel.shape[0], tuple(kernel.shape[2:]), bias=False)
    conv.weight = nn.Parameter(kernel)
    return conv


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("scheme", "rank"), [("cp", 1), ("cp", "same"), ("tucker", "same"), ("tt", 0.5)])
def test_a_kernel_of_zeros_gives_zeros_that_can_be_trained(scheme, rank, dtype):
    layer, fit = FactorizedConv.from_dense(
        with_kernel(torch.zeros(6, 4, 3, 5, dtype=dtype)), rank, factorization=scheme
    )
    assert fit.relative_error == 0
    assert not layer.dense_kernel().any()
    layer(torch.randn(2, 4, 7, 7, dtype=dtype)).sum().backward()
    assert any(parameter.grad.any() for parameter in layer.parameters())


def low_rank_kernels():
    """Make kernels of a lower rank than their sizes allow, with ranks that are enough for each factorization."""

    def terms(rank, *sizes):
        return torch.einsum("ar,br,cr,dr->abcd", *[images(n, rank) for n in sizes])

    dead = images(9, 5, 3, 3)
    dead[[0, 2, 3, 5, 6, 7, 8]] = 0
    yield "once factorized", terms(4, 7, 8, 3, 3), 11
    yield "more terms than input channels", terms(6, 12, 3, 3, 3), 15
    yield "constant", images(1, 1, 1, 1).expand(5, 6, 3, 5).clone(), 4
    yield "blur of all channels alike", torch.einsum("a,b,c,d->abcd", *[images(n) for n in (6, 4, 5, 5)]), 3
    yield "blur", torch.einsum("ab,c,d->abcd", images(5, 6), images(3), images(3)), 5
    yield "dead filters", dead, 20
    yield "each filter three times", images(3, 2, 3, 3).repeat(3, 1, 1, 1), 25
    yield "clips", torch.einsum("ar,br,cr,dr,er->abcde", *[images(n, 3) for n in (6, 5, 3, 3, 3)]), 7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_kernels_of_low_rank_are_decomposed_exactly_at_higher_ranks(scheme, dtype):
    for name, kernel, rank in low_rank_kernels():
        rank = {"cp": rank, "tucker": tuple(kernel.shape), "tt": (99,) * (kernel.ndim - 1)}[scheme]
        conv = with_kernel(kernel.to(dtype))
        layer, fit = FactorizedConv.from_dense(conv, rank, factorization=scheme)
        assert error_of(conv, layer) < 1e-5, name
        assert fit.relative_error == pytest.approx(error_of(conv, layer), abs=1e-6)
        assert all(parameter.isfinite().all() for parameter in layer.parameters())
        assert layer.rank == rank


def test_relative_errors_by_hand():
    a, b = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.0])
    assert relative_error(a, b) == pytest.approx(0.2)
    assert relative_error(a, a) == relative_error(0 * a, 0 * a) == 0
    assert relative_error(0 * a, a) == float("inf")


@pytest.mark.parametrize(
    ("conv", "message"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), r"layer '\(itself\)' has 2 groups; only convolutions with one group"),
        (nn.ConvTranspose2d(4, 4, 3), r"layer '\(itself\)' is a ConvTranspose2d; give a Conv1d, Conv2d or Conv3d"),
        (nn.Linear(4, 4), r"is a Linear; give a Conv1d"),
        (nn.Conv2d(4, 4, 3, padding="same"), r"has padding 'same', zeros; give numbers, zeros or replicate"),
        (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), r"has padding \(1, 1\), circular; give numbers"),
    ],
    ids=str,
)
def test_what_cannot_be_factorized_is_refused(conv, message):
    with pytest.raises(NetworkError, match=message):
        FactorizedConv.from_dense(conv, 2)


def test_wrong_options_are_those_of_the_layer():
    with pytest.raises(NetworkError, match="rank 0 of a factorized convolution"):
        FactorizedConv.from_dense(nn.Conv2d(4, 4, 3), 0)
    with pytest.raises(NetworkError, match="factorization 'svd' of a convolution"):
        FactorizedConv.from_dense(nn.Conv2d(4, 4, 3), 2, factorization="svd")


def test_more_memory_than_is_free_is_refused_with_what_it_would_take():
    # The normal equations alone are 8 · 10^20 bytes; the factors themselves would not fit either.
    for rank in (10**10, 10**15):
        with pytest.raises(
            NetworkError, match=r"'\(itself\)': a cp decomposition of rank 1.* GiB are free; choose a sm"
        ):
            FactorizedConv.from_dense(nn.Conv2d(64, 64, 3), rank)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_memory_of_every_factorization_is_reckoned(scheme, monkeypatch):
    conv = nn.Conv2d(16, 16, 3)
    FactorizedConv.from_dense(conv, 2, factorization=scheme, iterations=2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * 8 * conv.weight.numel() - 1))
    with pytest.raises(
        NetworkError, match=f"a {scheme} decomposition of rank .* needs about 0.0 GiB, 0.0 GiB are free"
    ):
        FactorizedConv.from_dense(conv, 2, factorization=scheme, iterations=2)


def test_a_good_fit_keeps_the_outputs_of_a_network():
    dense = aged(resnet18(2, "dense", 4, stem="small"))
    ranks = {name: (conv.in_channels, 999, conv.out_channels) for name, conv in convolutions(dense)}
    network = copy.deepcopy(dense)
    for name, rank in ranks.items():
        conv = network.get_submodule(name)
        bonds = (rank[0], min(3 * rank[0], 3 * rank[2]), rank[2])
        network.set_submodule(name, FactorizedConv.from_dense(conv, bonds, factorization="tt")[0])
    x = images(2, 3, 20, 20)
    assert_same(network(x), dense(x), 1e-10)


def test_tensorly_does_not_warn_of_ranks_above_what_a_mode_can_have(recwarn):
    FactorizedConv.from_dense(nn.Conv2d(4, 4, 3), (4, 4, 2, 1), factorization="tucker")
    FactorizedConv.from_dense(nn.Conv2d(5, 1, (1, 3)), (3, 4, 3, 3), factorization="tucker")
    assert [str(warning.message) for warning in recwarn] == []
