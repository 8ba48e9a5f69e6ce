import pytest
import tltorch
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, compact, transduct
from hocbench.nn.conversion import temporal_taps
from tests.nn.oracles import RANKS, SCHEMES, aged, assert_same, convolve, images, kernel_of, layer_of

INITS = ["ones", "average", "centre"]
OPTIONS = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "padding_mode": ("zeros", "replicate")}
SIZES = (7, 8)


def inserted(values, position, value):
    values = list(values)
    values.insert(position, value)
    return tuple(values)


def slice_by_slice(network, x, axis):
    """Apply a network to each slice along an axis."""
    return torch.stack([network(each) for each in x.unbind(axis)], dim=axis)


def spread_out(kernel, taps, axis):
    """Repeat a kernel along a new axis, times the taps."""
    shape = [1] * (kernel.ndim + 1)
    shape[axis] = len(taps)
    return kernel.unsqueeze(axis) * taps.reshape(shape)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("order", "position"), [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)])
def test_a_layer_becomes_the_dense_convolution_of_its_kernel_times_the_taps(order, position, scheme, init):
    options = {name: values[:order] for name, values in OPTIONS.items()}
    layer = layer_of(4, 5, (3, 4)[:order], factorization=scheme, rank=RANKS[scheme][order], bias=True, **options)
    x = images(2, 4, *inserted(SIZES[:order], position, 4))
    for size, padding in ((1, "zeros"), (3, "zeros"), (3, "replicate"), (5, "replicate")):
        result = transduct(layer, size, init, padding, position=position)
        kernel = spread_out(kernel_of(layer), temporal_taps(size, init), 2 + position)
        assert_same(result.dense_kernel(), kernel, 1e-13)
        grown = {
            "stride": inserted(options["stride"], position, 1),
            "padding": inserted(options["padding"], position, size // 2),
            "dilation": inserted(options["dilation"], position, 1),
            "padding_mode": inserted(options["padding_mode"], position, padding),
        }
        expected = convolve(x, kernel, bias=layer.bias, **grown)
        for result.implementation in ("factorized", "reconstructed", "recompute"):
            assert_same(result(x), expected, 1e-12)
    assert result.dimensions == inserted(layer.dimensions, position, {1: "height", 2: "time"}[order])


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("position", [0, 1])
def test_two_dimensions_are_added_at_once(position, scheme, init):
    layer = layer_of(4, 5, (3,), factorization=scheme, rank=RANKS[scheme][1], stride=2)
    result = transduct(layer, (5, 3), init, "replicate", position=position)
    assert result.dimensions == (("time", "height", "width"), ("width", "time", "height"))[position]
    kernel = spread_out(kernel_of(layer), temporal_taps(5, init), 2 + position)
    kernel = spread_out(kernel, temporal_taps(3, init), 3 + position)
    size, old = (4, 5, 7) if position == 0 else (7, 4, 5), 2 if position == 0 else 0
    modes = ["replicate"] * 3
    modes[old] = "zeros"
    stride = [1] * 3
    stride[old] = 2
    x = images(2, 4, *size)
    assert_same(result(x), convolve(x, kernel, stride=stride, padding_mode=modes), 1e-12)
    step = transduct(transduct(layer, 5, init, "replicate", position=position), 3, init, "replicate",
                     position=position + 1)  # fmt: skip
    assert_same(step(x), result(x), 1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("position", [1, 2])
def test_elsewhere_means_the_same_as_in_front_with_the_dimensions_exchanged(position, scheme):
    layer = layer_of(4, 5, (3, 5), factorization=scheme, rank=RANKS[scheme][2], stride=(1, 2))
    front, other = transduct(layer, 3, "average"), transduct(layer, 3, "average", position=position)
    with torch.no_grad():
        # Another number for each position in time.
        taps = images(3).reshape((1, 3, 1) if scheme == "tt" else (3, 1))
        for made in (front, other):
            made.factors["time"].mul_(taps)
    x = images(2, 4, 4, 7, 8)
    assert_same(other(x.movedim(2, 2 + position)), front(x).movedim(2, 2 + position), 1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_with_an_inner_activation_centre_taps_see_each_frame_alone(scheme, training):
    layer = layer_of(4, 5, (3, 3), factorization=scheme, rank=RANKS[scheme][2], inner_activation=True)
    clip_layer = transduct(aged(layer).train(training), 5, "centre")
    clip = images(2, 4, 3, 6, 7)
    frames = layer(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 3)).transpose(1, 2)
    assert_same(clip_layer(clip), frames, 1e-12)
    assert torch.equal(clip_layer.inner_norm.running_mean, layer.inner_norm.running_mean)
    assert isinstance(clip_layer.inner_norm, nn.BatchNorm2d)


def test_a_pointwise_layer_sees_one_position():
    layer = layer_of(4, 5, (1, 1), rank=3)
    result = transduct(layer, 5, "ones", "replicate")
    assert result.kernel_size == (1, 1, 1)
    assert transduct(nn.Conv2d(3, 4, 1), 5).kernel_size == (1, 1, 1)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("order", [1, 2])
def test_a_dense_kernel_is_repeated_along_the_new_dimension(order, init):
    conv = (nn.Conv1d, nn.Conv2d)[order - 1](4, 6, 3, stride=2, padding=1, dilation=2, groups=2).double()
    for position in range(order + 1):
        result = transduct(conv, 5, init, position=position)
        expected = spread_out(conv.weight, temporal_taps(5, init), 2 + position)
        assert_same(result.weight, expected, 1e-14)
        assert torch.equal(result.bias, conv.bias)
        assert (result.groups, result.weight.dtype) == (2, torch.float64)


@pytest.mark.parametrize(
    "layer",
    [
        nn.MaxPool2d((3, 2), (2, 1), (1, 0), dilation=(1, 2), ceil_mode=True),
        nn.AvgPool2d((3, 2), (1, 2), (1, 0), ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, divisor_override=3),
        nn.AdaptiveAvgPool2d((2, None)),
        nn.AdaptiveAvgPool2d(3),
        nn.AdaptiveAvgPool2d((None, None)),
        nn.AdaptiveMaxPool2d((1, 3)),
    ],
    ids=str,
)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_pooling_keeps_its_options_and_leaves_the_new_dimension_alone(layer, position):
    x = images(2, 3, *inserted((9, 10), position, 4))
    assert_same(transduct(layer, position=position)(x), slice_by_slice(layer, x, 2 + position), 1e-13)


def test_dropout_of_channels_drops_them_in_all_frames():
    result = transduct(nn.Sequential(nn.Dropout2d(0.4)))
    kept = result(torch.ones(4, 50, 3, 2, 2)).flatten(2)
    assert result[0].p == 0.4
    assert torch.equal(kept.amin(-1), kept.amax(-1))
    assert 0.3 < kept.eq(0).double().mean() < 0.5


def test_options_of_batchnorm_are_carried_over():
    norm = nn.BatchNorm2d(4, eps=0.1, momentum=None, affine=False)
    norm.running_mean.normal_()
    result = transduct(nn.Sequential(norm))
    assert isinstance(result[0], nn.BatchNorm3d)
    assert (result[0].eps, result[0].momentum, result[0].affine) == (0.1, None, False)
    assert torch.equal(result[0].running_mean, norm.running_mean)


class OwnConv(nn.Conv2d):
    """A convolution that does something else, for all we know."""


class OwnGain(nn.Module):
    """A layer with a number per channel, which stands before rows and columns."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(4, 1, 1))


class OwnNorm(nn.LayerNorm):
    """Over channels, rows and columns."""


UNKNOWN = [
    nn.ConvTranspose2d(4, 4, 3),
    nn.InstanceNorm2d(4),
    nn.ZeroPad2d(1),
    nn.LPPool2d(2, 2),
    nn.MaxPool2d(2, return_indices=True),
    nn.AdaptiveMaxPool2d(2, return_indices=True),
    nn.Conv3d(4, 4, 3),
    nn.Upsample(scale_factor=2),
    nn.Flatten(),
    nn.PixelShuffle(2),
    nn.GroupNorm(2, 4),
    nn.BatchNorm2d(4, track_running_stats=False),
    nn.Softmax(None),
    nn.LayerNorm((4, 5, 5)),
    nn.Unflatten(1, (2, 2)),
    nn.MultiheadAttention(4, 2),
    nn.GRU(4, 4),
    nn.Embedding(3, 4),
    nn.ReflectionPad2d(1),
    nn.FractionalMaxPool2d(2, 2),
    nn.CosineSimilarity(),
    nn.PixelUnshuffle(2),
    nn.Unfold(2),
    nn.Bilinear(4, 4, 4),
    OwnGain(),
    OwnNorm((4, 5, 5)),
    OwnConv(4, 4, 3),
    tltorch.FactorizedConv(4, 4, 3, order=2),
]


@pytest.mark.parametrize("unknown", UNKNOWN, ids=lambda module: type(module).__name__)
def test_a_layer_without_a_form_of_one_order_more_is_refused_by_name(unknown):
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ModuleDict({"inner": unknown}))
    with pytest.raises(NetworkError, match=rf"transduct: layer '1\.inner' is a {type(unknown).__name__}"):
        transduct(network)


def test_options_of_dense_convolutions_that_are_not_offered_are_refused_by_name():
    text = "transduct: layer '1' is dense; replicate padding is offered for factorized networks only"
    for conv, padding in ((nn.Conv2d(4, 4, 3), "replicate"), (nn.Conv2d(4, 4, 3, padding_mode="reflect"), "zeros")):
        with pytest.raises(NetworkError, match=text):
            transduct(nn.Sequential(nn.ReLU(), conv), 3, padding=padding)
    with pytest.raises(NetworkError, match="transduct: layer '0' has padding 'same'; give it in numbers"):
        transduct(nn.Sequential(nn.Conv2d(4, 4, 3, padding="same")))


@pytest.mark.parametrize("layer", [FactorizedConv(4, 4, (3, 3)), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2)], ids=str)
def test_a_place_that_a_layer_does_not_have_is_refused(layer):
    for position in (-1, 3):
        with pytest.raises(NetworkError, match=rf"layer '0' of order 2 has no place {position}; give a .* 0 to 2"):
            transduct(nn.Sequential(layer), position=position)


def test_more_than_three_dimensions_are_refused():
    for layer, kernel in ((FactorizedConv(4, 4, (3, 3, 3)), 3), (FactorizedConv(4, 4, (3, 3)), (3, 3))):
        with pytest.raises(NetworkError, match=r"layer '\(itself\)' has order .; three dimensions are the most"):
            transduct(layer, kernel)


ALONG = [nn.Softmax(1), nn.Softmax(2), nn.Softmax(3), nn.Softmax(-1), nn.Softmax(-3), nn.LogSoftmax(-2), nn.Softmin(2)]
ALIKE = [*ALONG, nn.GLU(1), nn.GLU(3), nn.GLU(-2), nn.Softmax2d(), nn.PReLU(4), nn.ChannelShuffle(2)]


@pytest.mark.parametrize("module", [*ALIKE, nn.LocalResponseNorm(2), nn.FeatureAlphaDropout(0.5).eval()], ids=str)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_dimension_that_a_module_has_the_number_of_stays_the_same(module, position):
    network = nn.Sequential(layer_of(4, 4, (3, 3), rank=3), module.double())
    x = images(2, 4, *inserted((6, 8), position, 3))
    assert_same(transduct(network, 3, "centre", position=position)(x), slice_by_slice(network, x, 2 + position))


LAST = [nn.Linear(8, 5), nn.LayerNorm(8), nn.RMSNorm((6, 8)), nn.LayerNorm((6, 8))]


@pytest.mark.parametrize("module", LAST, ids=str)
@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_last_dimensions_stay_so_or_a_module_that_means_them_is_refused(module, position):
    network = nn.Sequential(layer_of(4, 4, (3, 3), rank=3), module.double())
    x = images(2, 4, *inserted((6, 8), position, 3))
    if position > 2 - len(getattr(module, "normalized_shape", (8,))):
        with pytest.raises(NetworkError, match=f"'1' is a {type(module).__name__}, .* acts on the last dimensions"):
            transduct(network, 3, "centre", position=position)
        return
    assert_same(transduct(network, 3, "centre", position=position)(x), slice_by_slice(network, x, 2 + position))


def test_a_module_that_is_right_as_it_is_can_be_named_but_what_is_inside_is_transducted():
    network = nn.Sequential(OwnGain(), nn.Conv2d(4, 4, 3))
    network[0].inner = nn.Conv2d(4, 4, 3)
    result = transduct(network, skip=["0"])
    assert isinstance(result[0].inner, nn.Conv3d)
    assert isinstance(transduct(network[0], skip="(itself)").inner, nn.Conv3d)
    with pytest.raises(NetworkError, match=r"transduct: skip names '0.iner', which .* did you mean '0.inner'"):
        transduct(network, skip=["0.iner"])


@pytest.mark.parametrize(
    "change", [parametrizations.weight_norm, lambda conv: prune.random_unstructured(conv, "weight", 3)]
)
def test_kernels_made_by_something_else_are_refused_by_name(change):
    with pytest.raises(NetworkError, match=r"layer '1' is a .*Conv2d, which has no form"):
        transduct(nn.Sequential(nn.ReLU(), change(nn.Conv2d(4, 4, 3))))
    layer = FactorizedConv(4, 4, (3, 3))
    prune.random_unstructured(layer, "weights", 3)
    for make in (transduct, compact):
        with pytest.raises(NetworkError, match=r"layer '0' .*weights_orig.*, as weight norm and pruning make"):
            make(nn.Sequential(layer))


def test_tied_kernels_and_norms_stay_tied():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    network[2].weight, network[3].weight = network[0].weight, network[1].weight
    result = transduct(network)
    assert result[0].weight is result[2].weight
    assert result[1].weight is result[3].weight
    layers = [FactorizedConv(4, 4, (3, 3), factorization="tt", bias=True) for _ in range(2)]
    layers[1].hold(layers[0].tensors)
    tied = transduct(nn.Sequential(*layers))
    assert all(tensor is tied[1].tensors[name] for name, tensor in tied[0].tensors.items())
    assert tied[0].bias is not tied[1].bias


def test_channels_last_memory_stays():
    conv = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    assert transduct(conv).weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert transduct(nn.Conv2d(4, 6, 3)).weight.is_contiguous()
