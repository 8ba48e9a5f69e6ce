import copy
import random
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tensorly
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, ResNet, compact, convolutions, factorize, multiply_adds, resnet18, transduct
from hocbench.nn.decomposition import Fit, relative_error
from tests.nn.oracles import RANKS, SCHEMES, aged, assert_same, convolve, images, kernel_of, layer_of

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
# Ranks below the sizes of all modes.
CASES = [(scheme, 3 if scheme == "cp" else RANKS[scheme][order], order) for scheme in SCHEMES for order in (1, 2, 3)]


def dense_of(source, **options):
    """Make the dense convolution of a factorized layer's kernel."""
    conv = CONVS[source.order](source.in_channels, source.out_channels, source.kernel_size, **options).double()
    conv.weight.data = source.dense_kernel().detach()
    return conv


def error_of(conv, layer):
    return ((conv.weight - kernel_of(layer)).norm() / conv.weight.norm()).item()


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_kernel_that_is_not_finite_is_refused_by_name(value):
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3))
    network[2].weight.data[0, 0, 0, 0] = value
    with pytest.raises(NetworkError, match="layer '2' holds NaN or infinity; it cannot be decomposed"):
        factorize(network, 2)


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


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("pointwise", [False, True])
def test_a_whole_resnet_is_factorized_and_its_config_rebuilds_it(scheme, pointwise, tmp_path):
    dense = aged(resnet18(2, "dense", 4, stem="small", outputs=3))
    before = copy.deepcopy(dense.state_dict())
    network, fits = factorize(dense, 0.5, factorization=scheme, iterations=5, pointwise=pointwise)
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, FactorizedConv)}
    assert fits.keys() == layers.keys()
    assert len(fits) == 17 + 3 * pointwise
    for name, fit in fits.items():
        true = error_of(dense.get_submodule(name), layers[name])
        assert fit.relative_error == pytest.approx(true, rel=1e-9, abs=1e-14)
        assert 0 <= fit.relative_error < 1
    assert not network.training
    assert all(torch.equal(before[name], value) for name, value in dense.state_dict().items())
    assert (network.config.kind, network.config.outputs) == (scheme, 3)
    again = ResNet(network.config).double().eval()
    again.load_state_dict(network.state_dict())
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    x = images(2, 3, 20, 20)
    assert torch.equal(again(x), network(x))
    assert network(x).isfinite().all()
    assert multiply_adds(network, x.shape) == multiply_adds(again, x.shape)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_factorized_network_with_rank_same_can_be_rebuilt(scheme):
    network, _ = factorize(resnet18(2, "dense", 4, stem="small"), factorization=scheme, iterations=2)
    ResNet(network.config).load_state_dict(network.state_dict())
    clips, _ = factorize(transduct(resnet18(2, "dense", 4, stem="small")), factorization=scheme, iterations=2)
    ResNet(clips.config).load_state_dict(clips.state_dict())
    assert [layer.rank for _, layer in convolutions(ResNet(clips.config))] == [
        layer.rank for _, layer in convolutions(clips)
    ]


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


def test_convolutions_inside_any_module_are_found_and_named():
    network = nn.ModuleDict({"encoder": nn.Sequential(nn.Conv1d(3, 4, 3), nn.Conv1d(4, 4, 1)), "head": nn.Linear(4, 2)})
    result, fits = factorize(network, 2)
    assert list(fits) == ["encoder.0"]
    assert isinstance(result["encoder"][0], FactorizedConv)
    assert isinstance(result["encoder"][1], nn.Conv1d)
    assert isinstance(network["encoder"][0], nn.Conv1d)
    network["encoder"].append(nn.Conv1d(4, 4, 3, groups=4))
    fit = factorize(network, 2)[1]["encoder.2"]
    assert fit == Fit(0.0, None, "has 4 groups; only convolutions with one group are factorized")


def test_a_lone_convolution_is_a_network_too():
    conv = nn.Conv2d(4, 4, 3)
    layer, fits = factorize(conv, 2)
    assert isinstance(layer, FactorizedConv)
    assert len(fits) == 1
    assert_same(layer.dense_kernel(), FactorizedConv.from_dense(conv, 2)[0].dense_kernel())


def test_what_was_frozen_stays_frozen():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    network[0].weight.requires_grad = False
    network[1].bias.requires_grad = False
    result, _ = factorize(network, 2)
    trained = {name for name, value in result.named_parameters() if value.requires_grad}
    expected = {name for name, _ in result.named_parameters() if name == "0.bias" or name.startswith("1.")}
    assert trained == expected - {"1.bias"}
    assert {name for name, value in network.named_parameters() if value.requires_grad} == {"0.bias", "1.weight"}


def test_tensorly_does_not_warn_of_ranks_above_what_a_mode_can_have(recwarn):
    FactorizedConv.from_dense(nn.Conv2d(4, 4, 3), (4, 4, 2, 1), factorization="tucker")
    FactorizedConv.from_dense(nn.Conv2d(5, 1, (1, 3)), (3, 4, 3, 3), factorization="tucker")
    assert [str(warning.message) for warning in recwarn] == []


def test_a_convolution_used_twice_stays_one():
    conv = nn.Conv2d(4, 4, 3)
    network, _ = factorize(nn.Sequential(conv, nn.ReLU(), conv), 2)
    assert isinstance(network[0], FactorizedConv)
    assert network[0] is network[2]


def test_a_network_without_dense_convolutions_is_refused():
    with pytest.raises(NetworkError, match="factorize wants a dense network, this one is of kind 'cp'"):
        factorize(resnet18(2, "cp", 4))
    with pytest.raises(NetworkError, match="factorize wants a dense network, this one is of kind '2plus1d'"):
        factorize(resnet18(3, "2plus1d", 4))
    with pytest.raises(NetworkError, match="factorize: the network has no dense convolution to factorize"):
        factorize(nn.Sequential(nn.Linear(3, 3), nn.Conv2d(3, 3, 1)))


class Same(nn.Conv2d):
    """A convolution with a padding of its own, as image libraries have."""

    def forward(self, x):
        return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))


def replaced():
    conv = nn.Conv2d(4, 4, 3)
    conv.forward = lambda x: 2 * nn.Conv2d.forward(conv, x)
    return conv


LEFT = {
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), "has 4 groups"),
    "same": (nn.Conv2d(4, 4, 3, padding="same"), "has padding 'same', zeros"),
    "circular": (nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), "has padding (1, 1), circular"),
    "subclass": (Same(4, 4, 3), "is a Same"),
    "transposed": (nn.ConvTranspose2d(4, 4, 3), "is a ConvTranspose2d"),
    "weight norm": (parametrizations.weight_norm(nn.Conv2d(4, 4, 3)), "it is parametrized"),
    "spectral norm": (parametrizations.spectral_norm(nn.Conv2d(4, 4, 3)), "it is parametrized"),
    "pruned": (
        prune.l1_unstructured(nn.Conv2d(4, 4, 3), "weight", 5),
        "(weight_orig), as weight norm and pruning make",
    ),
    "lazy": (nn.LazyConv2d(4, 3), "it is lazy; call the network once"),
    "replaced": (replaced(), "its forward was replaced"),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_no_plain_convolution_is_left_and_listed_with_the_reason(name):
    other, reason = LEFT[name]
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ModuleDict({"inner": other}), nn.Conv2d(4, 4, 3))
    result, fits = factorize(network, 2)
    assert list(fits) == ["0", "1.inner", "2"]
    assert reason in fits["1.inner"].left
    assert (fits["1.inner"].relative_error, fits["1.inner"].rank, fits["0"].left) == (0.0, None, None)
    assert type(result[1]["inner"]) is type(other)
    assert isinstance(result[0], FactorizedConv)
    assert factorize(nn.Sequential(other), 2)[1]["0"].left == fits["1.inner"].left


def test_skip_leaves_layers_and_what_is_inside_of_others():
    network = nn.ModuleDict(
        {"stem": nn.Conv2d(3, 4, 3), "body": nn.Sequential(*[nn.Conv2d(4, 4, 3) for _ in range(3)])}
    )
    result, fits = factorize(network, 2, skip=["body"])
    assert [name for name, fit in fits.items() if fit.left == "is skipped, as asked for"] == [
        f"body.{i}" for i in range(3)
    ]
    assert isinstance(result["stem"], FactorizedConv)
    assert factorize(network, 2, skip="body.1")[1]["body.2"].left is None
    with pytest.raises(
        NetworkError, match=r"skip names 'bdy.1', which the network has no layer of; did you mean 'body.1'"
    ):
        factorize(network, 2, skip=["bdy.1"])


@pytest.mark.parametrize("kind", SCHEMES)
def test_a_resnet_with_dense_layers_left_can_be_rebuilt(kind):
    dense = aged(resnet18(2, "dense", 2, stem="small", factorize_stem=False))
    for skip in ((), ("stem",), ("layer1", "layer2.0.conv2")):
        network, _ = factorize(dense, 0.5, factorization=kind, iterations=2, skip=skip)
        again = ResNet(network.config).double().eval()
        again.load_state_dict(network.state_dict())
        x = images(1, 3, 16, 16)
        assert torch.equal(again(x), network(x))
        clips = transduct(network, 3, "centre")
        ResNet(clips.config).double().load_state_dict(clips.state_dict())
        if kind == "cp":
            small = compact(network)
            ResNet(small.config).double().load_state_dict(small.state_dict())


def test_tied_kernels_stay_tied_and_those_of_layers_that_are_left_are_left():
    network = nn.Sequential(*[nn.Conv2d(4, 4, 3) for _ in range(3)], nn.Conv2d(4, 8, 3), nn.ConvTranspose2d(8, 4, 3))
    network[1].weight, network[2].bias = network[0].weight, network[0].bias
    network[4].weight = nn.Parameter(network[3].weight.detach().transpose(0, 1).contiguous())
    network[3].weight = nn.Parameter(network[4].weight.detach().reshape(8, 4, 3, 3))
    network[4].weight = network[3].weight
    result, fits = factorize(network, 2)
    assert fits["3"].left == "shares its kernel with '4', which is left as it is"
    assert result[3].weight is result[4].weight
    assert result[0].tensors.keys() == result[1].tensors.keys()
    assert all(tensor is result[1].tensors[name] for name, tensor in result[0].tensors.items())
    assert result[2].bias is result[0].bias
    assert result[2].weights is not result[0].weights
    for made in (transduct(result[:3]), compact(result)):
        assert made[0].weights is made[1].weights
        assert made[0].factors["input"] is made[1].factors["input"]
        assert made[2].bias is made[0].bias


def test_hooks_stay():
    network, calls = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)), []
    for module in network:
        module.register_forward_hook(lambda module, inputs, output: calls.append(type(module).__name__))
        module.register_full_backward_hook(lambda module, inputs, output: calls.append("back"))
    factorized = factorize(network, 2)[0]
    for made, x in ((factorized, images(1, 4, 5, 5)), (transduct(factorized), images(1, 4, 2, 5, 5))):
        made.double()(x.requires_grad_()).sum().backward()
    compact(factorized)(x[:, :, 0]).sum().backward()
    names = ["FactorizedConv", "BatchNorm2d", "FactorizedConv", "BatchNorm3d", "FactorizedConv", "BatchNorm2d"]
    assert [name for name in calls if name != "back"] == names
    assert calls.count("back") == 6
