import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv
from tests.nn.oracles import (
    CHANNELS_LAST,
    RANKS,
    SCHEMES,
    assert_equals_the_dense_convolution,
    assert_same,
    convolve,
    dense_tensor,
    gradients,
    images,
    layer_of,
)

IMPLEMENTATIONS = ["factorized", "reconstructed", "recompute", "rule"]
KERNELS = [(1,), (5,), (1, 1), (3, 3), (1, 5), (7, 7), (3, 3, 3), (3, 1, 3), (5, 3, 3), (1, 3, 5)]
SIZES = {1: (9,), 2: (7, 8), 3: (4, 7, 6)}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kernel_size", KERNELS, ids=str)
def test_output_and_gradients_are_those_of_the_dense_convolution(kernel_size, scheme):
    order = len(kernel_size)
    x = images(2, 4, *SIZES[order])
    for stride in (1, 2):
        for mode in ("zeros", "replicate"):
            options = {"stride": stride, "padding_mode": mode}
            rank = RANKS[scheme][order]
            layer = layer_of(4, 5, kernel_size, factorization=scheme, rank=rank, bias=stride == 2, **options)
            for layer.implementation in IMPLEMENTATIONS:
                assert_equals_the_dense_convolution(layer, x, **options)


@st.composite
def situations(draw, order):
    """Draw a layer's options and an input that its kernel fits into."""

    def each(values):
        return tuple(draw(st.sampled_from(values)) for _ in range(order))

    options = {
        "stride": draw(st.integers(1, 3)) if draw(st.booleans()) else each([1, 2, 3]),
        "dilation": each([1, 1, 2, 3]),
        "padding_mode": each(["zeros", "replicate"]),
    }
    if draw(st.booleans()):
        kernel, options["padding"] = each([1, 3, 5]), "same"
        pads = tuple(d * (k // 2) for k, d in zip(kernel, options["dilation"], strict=True))
    else:
        kernel, pads = each([1, 2, 3, 4]), each([0, 1, 2, 5])
        options["padding"] = pads
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, options["dilation"], strict=True)]
    size = [draw(st.integers(max(1, s - 2 * p), s + 5)) for s, p in zip(spans, pads, strict=True)]
    layer = {
        "in_channels": draw(st.integers(1, 6)),
        "out_channels": draw(st.integers(1, 6)),
        "kernel_size": kernel,
        "rank": draw(st.sampled_from(["same", 0.4, 1, 4])),
        "bias": draw(st.booleans()),
        "factorization": draw(st.sampled_from(SCHEMES)),
    }
    return layer, options, (draw(st.integers(0, 3)), layer["in_channels"], *size)


@pytest.mark.parametrize("order", [1, 2, 3])
@given(data=st.data())
@settings(deadline=None, max_examples=50, derandomize=True)
def test_any_shape_stride_dilation_and_padding_equals_the_dense_convolution(order, data):
    described, options, shape = data.draw(situations(order))
    torch.manual_seed(20)
    layer, x = layer_of(**described, **options), images(*shape)
    for layer.implementation in IMPLEMENTATIONS:
        assert_equals_the_dense_convolution(layer, x, **options)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [2, 3])
def test_the_memory_of_the_input_does_not_matter_and_channels_last_stays(order, scheme, implementation):
    layer = layer_of(4, 5, (3,) * order, factorization=scheme, rank=RANKS[scheme][order], implementation=implementation)
    x = images(2, 4, *[6] * order)
    last = x.contiguous(memory_format=CHANNELS_LAST[order])
    strided = x.repeat_interleave(2, dim=-1)[..., ::2]
    assert layer(last).is_contiguous(memory_format=CHANNELS_LAST[order])
    assert layer.float()(last.float()).is_contiguous(memory_format=CHANNELS_LAST[order])
    layer.double()
    for other in (last, strided):
        assert_same(layer(other), layer(x), 1e-12)
        assert_equals_the_dense_convolution(layer, other)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_agree_with_finite_differences(order, scheme):
    layer = layer_of(
        2, 3, (3,) * order, factorization=scheme, rank=2, padding_mode="replicate", implementation="factorized"
    )
    x = images(1, 2, *[3] * order).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: layer(x), (x, *layer.parameters()))


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "measured"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_an_empty_batch_passes_forward_and_backward(order, scheme, implementation):
    for mode in ("zeros", "replicate"):
        for active in (False, True):
            if active and implementation == "reconstructed":
                continue
            layer = FactorizedConv(
                3,
                4,
                (3,) * order,
                factorization=scheme,
                stride=2,
                implementation=implementation,
                bias=True,
                padding_mode=mode,
                inner_activation=active,
            )
            x = torch.randn(0, 3, *[5] * order, requires_grad=True)
            y = layer.train()(x)
            assert y.shape == (0, 4, *[3] * order)
            y.sum().backward()
            assert x.grad.shape == x.shape
            assert all(not tensor.grad.any() for tensor in layer.tensors.values())
            if active:
                assert layer.inner_norm.num_batches_tracked == 0
                assert not layer.inner_norm.running_mean.any()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_half_precision_by_autocast_is_close_and_keeps_gradients_in_float32(order, scheme, implementation):
    layer = FactorizedConv(
        8, 8, (3,) * order, factorization=scheme, implementation=implementation, padding_mode="replicate"
    )
    x = torch.randn(2, 8, *[6] * order, requires_grad=True)
    direction = torch.randn(2, 8, *[6] * order)
    expected = torch.autograd.grad(layer(x), [x, *layer.parameters()], direction)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert_same(y.float(), exact, 0.04)
    slopes = torch.autograd.grad(y, [x, *layer.parameters()], direction.bfloat16())
    for actual, right in zip(slopes, expected, strict=True):
        assert_same(actual, right, 0.06)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_float32_is_accurate_to_float32(implementation):
    layer, x = layer_of(6, 8, (3, 3, 3), implementation=implementation), images(2, 6, 4, 5, 6)
    expected = layer(x)
    assert_same(layer.float()(x.float()), expected.float(), 1e-5)


@pytest.mark.parametrize("implementation", ["factorized", "recompute", "rule"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_the_inner_activation_comes_between_the_first_projection_and_the_rest(order, scheme, training, implementation):
    options = {
        "stride": 2,
        "padding_mode": "replicate",
        "bias": True,
        "inner_activation": True,
        "implementation": implementation,
    }
    layer = layer_of(4, 5, (3,) * order, factorization=scheme, rank=RANKS[scheme][order], **options).train(training)
    norm, x = uneven(layer.inner_norm), images(3, 4, *SIZES[order]).requires_grad_()
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    first = layer.factors["input"].squeeze(0)
    z = torch.einsum("bi...,ir->br...", x, first)
    z = functional.batch_norm(z, mean, var, norm.weight, norm.bias, training)
    # What is left is the kernel from the channels in between to the output.
    between = torch.eye(first.shape[1], dtype=torch.float64)
    rest = dense_tensor(scheme, layer.tensors | {"input": between.unsqueeze(0) if scheme == "tt" else between})
    expected = convolve(torch.relu(z), rest, stride=2, padding_mode="replicate", bias=layer.bias)
    y, wanted, direction = layer(x), [x, *layer.parameters()], torch.randn_like(expected)
    assert_same(y, expected, 1e-12)
    slopes = zip(gradients(y, wanted, direction), gradients(expected, wanted, direction), strict=True)
    for actual, right in slopes:
        assert_same(actual, right, 1e-10)
    # The backward pass has run as well: statistics were updated once.
    assert_same(norm.running_mean, mean, 1e-12)
    assert_same(norm.running_var, var, 1e-12)
    assert norm.num_batches_tracked == int(training)


def uneven(norm):
    """Give a BatchNorm the parameters and statistics of a trained one."""
    with torch.no_grad():
        for value in (norm.weight, norm.bias, norm.running_mean):
            value.normal_()
        norm.running_var.uniform_(0.5, 2)
    return norm


def test_the_parameters_are_named_by_mode():
    layer = FactorizedConv(4, 5, (1, 3, 7), rank=6, bias=True)
    assert {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()} == {
        "weights": (6,),
        "bias": (5,),
        "factors.output": (5, 6),
        "factors.input": (4, 6),
        "factors.time": (1, 6),
        "factors.height": (3, 6),
        "factors.width": (7, 6),
    }
    assert not layer.bias.any()
    assert layer.factor_names == ("output", "input", "time", "height", "width")
    assert FactorizedConv(4, 5, (3, 7), rank=6).factor_names == ("output", "input", "height", "width")
    assert FactorizedConv(4, 5, (3,), rank=6).factor_names == ("output", "input", "width")
    assert FactorizedConv(4, 5, (3, 7), rank=6, bias=False).bias is None
    assert layer.extra_repr() == "4, 5, (1, 3, 7), cp, rank=6, stride=(1, 1, 1)"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_dimensions_may_have_other_names(scheme):
    layer = layer_of(4, 5, (3, 5), factorization=scheme, dimensions=("time", "width"), rank=3)
    assert set(layer.factors) == {"output", "input", "time", "width"}
    assert_equals_the_dense_convolution(layer, images(2, 4, 6, 7))
    with pytest.raises(NetworkError, match=r"order 2 wants \(N, 4, T, W\), got \(1, 3, 6, 7\)"):
        layer(images(1, 3, 6, 7))


@pytest.mark.parametrize(
    "names",
    [
        ("width",),
        ("width", "width"),
        ("output", "width"),
        ("height", "input"),
        ("weights", "width"),
        ("a.b", "c"),
        ("in", "width"),
        ("x-y", "width"),
        ("items", "width"),
    ],
)
def test_names_of_dimensions_that_clash_are_refused(names):
    with pytest.raises(NetworkError, match=r"dimensions \(.*\) of a convolution of order 2: give each a different"):
        FactorizedConv(4, 4, (3, 3), dimensions=names)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_layer_rebuilt_from_other_tensors_copies_them_and_keeps_what_is_trained(scheme):
    layer = layer_of(4, 5, (3, 3), factorization=scheme, rank=RANKS[scheme][2], stride=2, implementation="recompute")
    layer.factors["output"].requires_grad_(False)
    layer.choices["somewhere"] = "factorized"
    again = layer.with_tensors(layer.tensors).eval()
    assert all(torch.equal(tensor, layer.tensors[name]) for name, tensor in again.tensors.items())
    assert {name for name, tensor in again.tensors.items() if not tensor.requires_grad} == {"output"}
    assert (again.implementation, again.geometry, again.choices, layer.training) == (
        "recompute",
        layer.geometry,
        {},
        True,
    )
    again.factors["input"].data.zero_()
    assert layer.factors["input"].all()


def test_an_input_of_another_order_or_number_of_channels_is_refused():
    with pytest.raises(NetworkError, match=r"order 1 wants \(N, 4, W\), got \(4, 5\)"):
        FactorizedConv(4, 4, (3,))(torch.zeros(4, 5))
    with pytest.raises(NetworkError, match=r"order 2 wants \(N, 4, H, W\), got \(1, 4, 2, 5, 5\)"):
        FactorizedConv(4, 4, (3, 3))(torch.zeros(1, 4, 2, 5, 5))
    with pytest.raises(NetworkError, match=r"order 3 wants \(N, 4, T, H, W\), got \(1, 3, 2, 5, 5\)"):
        FactorizedConv(4, 4, (3, 3, 3))(torch.zeros(1, 3, 2, 5, 5))


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "measured"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_input_smaller_than_the_kernel_is_refused_by_every_implementation(scheme, implementation):
    layer = FactorizedConv(
        4, 4, (3, 3, 5), factorization=scheme, padding=(1, 0, 0), dilation=(1, 2, 1), implementation=implementation
    )
    text = "a kernel that spans 5 does not fit into dimension 1 with 4 positions and padding 0; give a larger input"
    with pytest.raises(NetworkError, match=text):
        layer(torch.zeros(1, 4, 1, 4, 5))
    assert layer(torch.zeros(1, 4, 1, 5, 5)).shape == (1, 4, 1, 1, 1)
    empty = FactorizedConv(4, 4, (1, 1), factorization=scheme, implementation=implementation)
    with pytest.raises(NetworkError, match="dimension 1 with 0 positions"):
        empty(torch.zeros(1, 4, 3, 0))


def test_a_layer_without_channels_or_with_groups_does_not_exist():
    with pytest.raises(NetworkError, match="from 0 to 4 channels: give at least 1 of each"):
        FactorizedConv(0, 4, (3, 3))
    with pytest.raises(NetworkError, match="from 4 to -1 channels"):
        FactorizedConv(4, -1, (3, 3))
    with pytest.raises(TypeError, match="groups"):
        FactorizedConv(4, 4, (3, 3), groups=2)


def test_an_unknown_factorization_or_implementation_is_refused_with_the_known_ones():
    with pytest.raises(NetworkError, match=r"factorization 'svd' of a convolution: choose from cp, tucker, tt"):
        FactorizedConv(4, 4, (3, 3), factorization="svd")
    text = r"implementation 'fast' .* choose from rule, measured, factorized, reconstructed, recompute"
    with pytest.raises(NetworkError, match=text):
        FactorizedConv(4, 4, (3, 3), implementation="fast")
    layer = FactorizedConv(4, 4, (3, 3))
    with pytest.raises(NetworkError, match=text):
        layer.implementation = "fast"
    assert layer.implementation == "rule"


def test_a_layer_with_an_inner_activation_has_no_dense_kernel():
    layer = FactorizedConv(4, 4, (3, 3), inner_activation=True)
    with pytest.raises(NetworkError, match="inner activation has no dense kernel"):
        layer.dense_kernel()
    with pytest.raises(
        NetworkError, match=r"implementation 'reconstructed': a layer with an inner activation .* use 'rule'"
    ):
        layer.implementation = "reconstructed"
    with pytest.raises(NetworkError, match="implementation 'reconstructed'"):
        FactorizedConv(4, 4, (3, 3), inner_activation=True, implementation="reconstructed")
