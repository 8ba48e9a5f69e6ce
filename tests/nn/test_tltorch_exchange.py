import pytest
import tltorch
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv
from hocbench.nn.tltorch_exchange import IMPLEMENTATIONS
from tests.nn.oracles import RANKS, SCHEMES, assert_same, convolve, gradients, images, kernel_of, layer_of

OPTIONS = {"stride": (2, 1, 3), "padding": (1, 0, 2), "dilation": (1, 2, 1)}


def exchanged(scheme, order, **options):
    given = {name: values[:order] for name, values in OPTIONS.items()}
    return layer_of(4, 5, (3, 2, 5)[:order], factorization=scheme, rank=RANKS[scheme][order], **(given | options))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_tensorly_torch_computes_the_same_with_the_same_weights(order, scheme, implementation):
    ours, x = exchanged(scheme, order, bias=True), images(2, 4, *[9] * order)
    theirs = ours.to_tltorch(implementation)
    for layer in (ours, ours.to_tltorch(implementation)):
        assert_same(layer(x), ours(x), 1e-12)
    wanted = [theirs.weight.factors[0 if scheme != "tt" else -1], theirs.bias]
    y = ours(x)
    direction = torch.randn_like(y)
    slopes = gradients(y, [ours.factors["output"], ours.bias], direction)
    for actual, expected in zip(gradients(theirs(x), wanted, direction), slopes, strict=True):
        assert_same(actual, expected, 1e-10)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_same_padding_without_bias_is_exchanged_too(order, scheme, stride):
    layer, x = exchanged(scheme, order, stride=stride, padding=1, dilation=1), images(2, 4, *[9] * order)
    for implementation in IMPLEMENTATIONS:
        theirs = layer.to_tltorch(implementation)
        assert theirs.bias is None
        assert_same(theirs(x), layer(x), 1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_there_and_back_is_the_same_layer_with_its_own_memory(order, scheme, bias):
    layer = exchanged(scheme, order, bias=bias)
    theirs = layer.to_tltorch()
    back = FactorizedConv.from_tltorch(theirs)
    assert (back.geometry, back.rank, back.dimensions) == (layer.geometry, layer.rank, layer.dimensions)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    assert before.keys() == back.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in back.state_dict().items())
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.zero_()
    for kept in (layer, back):
        assert all(torch.equal(value, before[name]) for name, value in kept.state_dict().items())


@pytest.mark.parametrize("name", ["cp", "tucker", "tt"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_layer_built_by_tensorly_torch_is_taken_over(order, name):
    theirs = tltorch.FactorizedConv(
        4, 5, kernel_size=3, order=order, stride=2, padding=1, dilation=1, bias=True, rank=0.5, factorization=name
    )
    theirs.reset_parameters()
    nn.init.normal_(theirs.bias)
    ours, x = FactorizedConv.from_tltorch(theirs), torch.randn(2, 4, *[7] * order)
    assert_same(ours(x), theirs(x), 1e-5)
    expected = convolve(x, kernel_of(ours), stride=2, padding=1, bias=theirs.bias)
    assert_same(ours(x), expected, 1e-5)
    assert ours.factorization == name
    assert FactorizedConv.from_tltorch(theirs.double()).factors["input"].dtype == torch.float64


def test_what_tensorly_torch_does_not_know_is_refused():
    for options in ({"inner_activation": True}, {"padding_mode": ("replicate", "zeros")}):
        with pytest.raises(NetworkError, match="to_tltorch: tensorly-torch has neither an inner activation nor repli"):
            FactorizedConv(4, 4, (3, 3), **options).to_tltorch()


def test_what_is_no_single_factorized_convolution_is_refused():
    text = "from_tltorch wants one CP, Tucker or tensor-train FactorizedConv of tensorly-torch, got"
    with pytest.raises(NetworkError, match=f"{text} Conv2d"):
        FactorizedConv.from_tltorch(nn.Conv2d(4, 4, 3))
    with pytest.raises(NetworkError, match=f"{text} FactorizedConv"):
        FactorizedConv.from_tltorch(tltorch.FactorizedConv(4, 4, 3, order=2, n_layers=2))
    with pytest.raises(NetworkError, match=f"{text} ReLU"):
        FactorizedConv.from_tltorch(nn.ReLU())


def test_defect_of_the_library_a_still_checkpoint_goes_into_the_wrong_modes():
    still = layer_of(4, 5, (3, 3), rank=7)
    clip = tltorch.FactorizedConv.from_factorization(
        tltorch.CPTensor(images(7), [images(n, 7) for n in (5, 4, 3, 3, 3)]), padding=[1, 1, 1]
    )
    clip.load_state_dict(still.to_tltorch().state_dict(), strict=False)
    time, height, width = clip.weight.factors[2:]
    assert torch.equal(time, still.factors["height"])
    assert torch.equal(height, still.factors["width"])
    assert not torch.equal(width, still.factors["width"])
    # Ours goes by names.
    ours = layer_of(4, 5, (3, 3, 3), rank=7)
    ours.load_state_dict(still.state_dict(), strict=False)
    assert torch.equal(ours.factors["height"], still.factors["height"])
    assert torch.equal(ours.factors["width"], still.factors["width"])


def test_defect_of_the_library_a_rectangular_stride_of_a_dense_convolution_is_lost():
    conv = nn.Conv2d(3, 3, 3, stride=(2, 1), padding=1)
    theirs = tltorch.FactorizedConv.from_conv(conv, rank=0.9, factorization="tt", decompose_weights=False)
    x = torch.randn(1, 3, 8, 8)
    assert theirs(x).shape == (1, 3, 4, 4)
    assert FactorizedConv.from_dense(conv, "same", factorization="tt")[0](x).shape == conv(x).shape == (1, 3, 4, 8)


def test_defect_of_the_library_an_empty_batch_fails():
    layer = exchanged("cp", 2)
    with pytest.raises(RuntimeError):
        layer.to_tltorch("factorized")(images(0, 4, 9, 9))
    assert layer(images(0, 4, 9, 9)).shape[0] == 0
