import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn.special_cases import BLOCKS, bottleneck_to_tucker, inverted_residual_to_cp
from tests.nn.oracles import aged, assert_same, gradients, images

OUTSIDE, INSIDE, BEHIND = 5, 6, 7
CONVERT = {"bottleneck": bottleneck_to_tucker, "inverted residual": inverted_residual_to_cp}
NAMES = {"bottleneck": ("reduce", "conv", "expand"), "inverted residual": ("expand", "depthwise", "project")}
IMPLEMENTATIONS = ["factorized", "reconstructed", "recompute"]
GEOMETRIES = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2},
    {"kernel_size": 1},
    {"kernel_size": 5, "padding": 2, "stride": (2, 1)},
    {"kernel_size": 3, "padding": (4, 3), "dilation": (3, 2), "stride": (1, 3)},
    {"kernel_size": (3, 5), "padding": (0, 1)},
    {"kernel_size": (2, 4), "padding": 1},
    {"kernel_size": 3, "padding": 1, "stride": 2, "padding_mode": "replicate"},
]


def convolutions(block, *, bias=False, **geometry):
    """Draw the three float64 convolutions of a block; a bottleneck may have another width behind the middle one."""
    geometry = {"kernel_size": 3, "padding": 1} | geometry
    groups, inner = (1, INSIDE - 2) if block == "bottleneck" else (INSIDE, INSIDE)
    return [
        nn.Conv2d(OUTSIDE, INSIDE, 1, bias=False).double(),
        nn.Conv2d(INSIDE, inner, groups=groups, bias=False, **geometry).double(),
        nn.Conv2d(inner, BEHIND, 1, bias=bias).double(),
    ]


def owners(layer, first):
    """Tell, as a 0-1 matrix (components, channels), whose column of the first convolution each component has."""
    return (layer.factors["input"].t().unsqueeze(1) == first.weight.flatten(1)).all(-1).double()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("block", BLOCKS)
def test_the_linear_block_is_one_factorized_convolution(block, geometry, implementation):
    layers = convolutions(block, bias=True, **geometry)
    layer = CONVERT[block](*layers)
    layer.implementation = implementation
    x = images(2, OUTSIDE, 9, 10).requires_grad_()
    expected, y = nn.Sequential(*layers)(x), layer(x)
    assert_same(y, expected, 1e-12)
    direction = torch.randn_like(expected)
    tensors = layer.tensors
    given, *slopes, bias = gradients(y, [x, *tensors.values(), layer.bias], direction)
    wanted = gradients(expected, [x, *(each.weight for each in layers), layers[2].bias], direction)
    assert_same(given, wanted[0], 1e-12)
    assert_same(bias, wanted[4], 1e-12)
    slopes = dict(zip(tensors, slopes, strict=True))
    kernels = wanted[1].flatten(1), wanted[2], wanted[3].flatten(1)
    if block == "bottleneck":
        ours = slopes["input"].t(), slopes["core"], slopes["output"]
    else:
        # By the chain rule, the gradients of a channel's components add up; that of λ lies along the component.
        owner = owners(layer, layers[0])
        ours = owner.t() @ slopes["input"].t(), owner.t() @ slopes["weights"], slopes["output"] @ owner
        along = torch.einsum("ckl,kr,lr,rc->c", kernels[1][:, 0], tensors["height"], tensors["width"], owner)
        kernels = kernels[0], along, kernels[2]
    for actual, right in zip(ours, kernels, strict=True):
        assert_same(actual, right, 1e-12)


def test_a_bottleneck_has_its_own_kernel_as_core_and_identities_in_space():
    layers = convolutions("bottleneck", kernel_size=(3, 5), padding=(1, 2))
    layer = bottleneck_to_tucker(*layers)
    assert (layer.factorization, layer.rank) == ("tucker", (INSIDE - 2, INSIDE, 3, 5))
    assert torch.equal(layer.core, layers[1].weight)
    for name, size in (("height", 3), ("width", 5)):
        assert torch.equal(layer.factors[name], torch.eye(size, dtype=torch.float64))


@pytest.mark.parametrize(("kernel_size", "terms"), [((3, 3), 3), ((5, 5), 5), ((3, 5), 3), ((1, 5), 1), ((1, 1), 1)])
def test_a_filter_needs_at_most_as_many_terms_as_its_shorter_side(kernel_size, terms):
    padding = tuple(size // 2 for size in kernel_size)
    layer = inverted_residual_to_cp(*convolutions("inverted residual", kernel_size=kernel_size, padding=padding))
    assert (layer.factorization, layer.rank) == ("cp", terms * INSIDE)
    assert (layer.weights > 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_terms_that_are_zero_or_rounding_noise_are_left_out(dtype):
    layers = [each.to(dtype) for each in convolutions("inverted residual")]
    with torch.no_grad():
        filters = layers[1].weight[:, 0]
        filters[0] = 0
        a, b, c, d = torch.randn(4, 3, dtype=dtype)
        filters[1] = torch.outer(a, b)  # rounded: not exactly of rank one
        filters[2] = torch.outer(a, b) + torch.outer(c, d)
        filters[3] *= 1e-30  # small as a whole, and of full rank
    layer = inverted_residual_to_cp(*layers)
    assert layer.rank == 0 + 1 + 2 + 3 + 3 + 3
    x = images(2, OUTSIDE, 8, 8).to(dtype)
    assert_same(layer(x), nn.Sequential(*layers)(x), 1e-12 if dtype == torch.float64 else 1e-5)


def test_filters_that_are_all_zero_leave_one_component_without_weight():
    layers = convolutions("inverted residual")
    with torch.no_grad():
        layers[1].weight.zero_()
    layer = inverted_residual_to_cp(*layers)
    assert layer.weights.tolist() == [0]
    assert not layer(images(1, OUTSIDE, 4, 4)).any()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("block", BLOCKS)
def test_with_the_first_activation_the_block_is_the_layer_with_its_inner_activation(block, stride, training):
    layers = convolutions(block, bias=True, stride=stride)
    norm = aged(nn.BatchNorm2d(INSIDE, eps=1e-3, momentum=0.2)).train(training)
    layer = CONVERT[block](*layers, norm)
    real = nn.Sequential(layers[0], norm, nn.ReLU(), *layers[1:])
    x = images(3, OUTSIDE, 7, 8).requires_grad_()
    expected, y = real(x), layer(x)
    assert_same(y, expected, 1e-12)
    direction = torch.randn_like(expected)
    assert_same(*(gradients(each, [x], direction)[0] for each in (y, expected)), 1e-11)
    # Both went through the same batch, and the copy has statistics of its own.
    channels = owners(layer, layers[0]).argmax(1) if block != "bottleneck" else torch.arange(INSIDE)
    assert_same(layer.inner_norm.running_var, norm.running_var[channels], 1e-14)
    assert layer.inner_norm.running_var is not norm.running_var


@pytest.mark.parametrize("block", BLOCKS)
def test_the_second_activation_makes_a_difference(block):
    layers, norms = convolutions(block), [aged(nn.BatchNorm2d(n)) for n in (INSIDE, INSIDE)]
    layer = CONVERT[block](*layers, norms[0])
    x = images(3, OUTSIDE, 7, 8)
    real = nn.Sequential(layers[0], norms[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    assert (layer(x) - real(x)).norm() > 0.1 * real(x).norm()


def test_an_expanded_value_above_six_tells_relu6_from_the_inner_activation():
    layers, norm = convolutions("inverted residual"), nn.BatchNorm2d(INSIDE).double()
    x = images(3, OUTSIDE, 7, 8)
    for bias, same in ((0.0, True), (5.0, False)):
        nn.init.constant_(norm.bias, bias)
        real = nn.Sequential(layers[0], norm, nn.ReLU6(), *layers[1:])(x)
        assert torch.allclose(inverted_residual_to_cp(*layers, norm)(x), real, rtol=0, atol=1e-12) is same


@pytest.mark.parametrize("block", BLOCKS)
def test_the_block_stays_untouched_and_no_random_number_is_drawn(block):
    layers = convolutions(block, bias=True)
    before = [each.clone() for layer in layers for each in layer.parameters()]
    state = torch.get_rng_state()
    layer = CONVERT[block](*layers)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(1)
    after = [each for layer in layers for each in layer.parameters()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def conv(inputs, outputs, size=1, **options):
    return nn.Conv2d(inputs, outputs, size, **({"bias": False} | options))


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, conv(4, 6, groups=2), r"'{}' has 2 groups; give a convolution with 1"),
        (2, conv(6, 4, groups=2), r"'{}' has 2 groups; give a convolution with 1"),
        (1, conv(6, 6, 3, padding=1, groups=2), r"'{}' has 2 groups; give a convolution with [16]$"),
        (0, conv(4, 6, bias=True), r"'{}' has a bias, which next to the padding .* build it with bias=False"),
        (
            0,
            conv(4, 6, stride=2),
            r"'{}' has kernel \(1, 1\), stride \(2, 2\), .* put stride and padding into '{middle}'",
        ),
        (2, conv(6, 4, 3), r"'{}' has kernel \(3, 3\), .* give a plain 1×1 convolution"),
        (2, conv(5, 4), r"'{}' takes 5 channels and '{middle}' gives 6; make them agree"),
        (0, conv(4, 5), r"'{middle}' takes 6 channels and '{}' gives 5; make them agree"),
        (0, nn.Linear(4, 6), r"'{}' is a Linear; give a Conv2d"),
        (1, nn.Conv3d(6, 6, 3), r"'{}' is a Conv3d; give a Conv2d"),
    ],
)
def test_what_cannot_be_copied_is_refused_by_name(block, place, wrong, message):
    layers = [conv(4, 6), conv(6, 6, 3, padding=1, groups=6 if block == "inverted residual" else 1), conv(6, 4)]
    layers[place] = wrong
    names = NAMES[block]
    with pytest.raises(NetworkError, match=f"{block} block: " + message.format(names[place], middle=names[1])):
        CONVERT[block](*layers)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bias": True}, r"adds one at its end only; add {2}\.weight · {1}\.bias to the bias of '{2}' and build '{1}'"),
        ({"padding": "same"}, r"'{1}' has padding 'same', zeros; give numbers, zeros or replicate"),
        ({"padding": 1, "padding_mode": "reflect"}, r"'{1}' has padding \(1, 1\), reflect; give numbers"),
    ],
)
def test_a_middle_convolution_that_cannot_be_copied_is_refused(block, options, message):
    middle = conv(6, 6, 3, groups=6 if block == "inverted residual" else 1, **options)
    with pytest.raises(NetworkError, match=message.format(*NAMES[block])):
        CONVERT[block](conv(4, 6), middle, conv(6, 4))


def test_the_advice_for_a_bias_in_the_middle_works():
    reduce, middle, expand = convolutions("bottleneck", bias=True)
    biased = nn.Conv2d(INSIDE, INSIDE - 2, 3, padding=1).double()
    with torch.no_grad():
        middle.weight.copy_(biased.weight)
        x = images(2, OUTSIDE, 6, 6)
        expected = expand(biased(reduce(x)))
        expand.bias += expand.weight.flatten(1) @ biased.bias
        assert_same(bottleneck_to_tucker(reduce, middle, expand)(x), expected, 1e-12)


def test_more_filters_than_channels_a_foreign_batchnorm_and_nan_are_refused():
    with pytest.raises(NetworkError, match=r"'depthwise' makes 12 channels of 6; give one filter for each channel"):
        inverted_residual_to_cp(conv(4, 6), conv(6, 12, 3, groups=6), conv(12, 4))
    layers = convolutions("bottleneck")
    with pytest.raises(NetworkError, match=r"inner_norm has 4 channels and 'reduce' gives 6; .* after 'reduce'"):
        bottleneck_to_tucker(*layers, nn.BatchNorm2d(4))
    nn.init.constant_(layers[2].weight, float("nan"))
    with pytest.raises(NetworkError, match="'expand' holds NaN or infinity; give finite weights"):
        bottleneck_to_tucker(*layers)
