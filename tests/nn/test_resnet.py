import json

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, NetworkConfig, ResNet, convolutions, parameter_count, resnet18, transduct
from tests.nn.oracles import SCHEMES, aged, assert_same, frame_by_frame, images

IMAGE_KINDS = ["cp", "tucker", "tt", "dense", "tltorch"]
CLIP_KINDS = [*IMAGE_KINDS, "inflated", "2plus1d"]
ALL = [(2, kind) for kind in IMAGE_KINDS] + [(3, kind) for kind in CLIP_KINDS]
OURS = [(order, kind) for order, kind in ALL if kind != "tltorch"]

# (inputs, outputs) of the convolutions with spatial extent behind the stem, at width 1.
BLOCK_CONVOLUTIONS = [(1, 1)] * 4 + [(1, 2), *[(2, 2)] * 3] + [(2, 4), *[(4, 4)] * 3] + [(4, 8), *[(8, 8)] * 3]
SHORTCUTS = [(1, 2), (2, 4), (4, 8)]


def dense_parameters(width, frames):
    """Count by hand: kernels over ``frames`` frames, 1×1 shortcuts over one, BatchNorms, head."""
    kernels = 49 * 3 * width + 9 * width**2 * sum(i * o for i, o in BLOCK_CONVOLUTIONS)
    shortcuts = width**2 * sum(i * o for i, o in SHORTCUTS)
    channels = width * (1 + sum(o for _, o in BLOCK_CONVOLUTIONS) + sum(o for _, o in SHORTCUTS))
    return frames * kernels + shortcuts + 2 * channels + (8 * width + 1) * 2


def wide(order, kind, **options):
    """Make a network of full size without memory or arithmetic."""
    with torch.device("meta"):
        return resnet18(order, kind, **options)


def test_a_dense_image_network_has_the_parameters_of_resnet_18():
    # torchvision's ResNet-18 has 11,689,512 with its head of 1000 classes.
    assert parameter_count(wide(2, "dense")) == 11_689_512 - 1000 * 513 + 2 * 513 == dense_parameters(64, 1)
    assert parameter_count(wide(2, "dense", outputs=1000)) == 11_689_512


@pytest.mark.parametrize("kind", ["dense", "inflated"])
def test_a_dense_clip_network_has_three_times_the_kernels(kind):
    assert parameter_count(wide(3, kind)) == dense_parameters(64, 3) == 33_167_298
    # torchvision's r3d_18 strides time and has a stem of 3×7×7; with 400 classes it has as many.
    assert parameter_count(wide(3, kind, outputs=400)) == 33_371_472


def test_a_2plus1d_network_has_the_parameters_published():
    network = wide(3, "2plus1d")
    assert parameter_count(network) == 31_301_151
    assert parameter_count(wide(3, "2plus1d", outputs=400)) == 31_505_325
    assert network.stem[0].weight.shape == (45, 3, 1, 7, 7)
    assert network.stem[3].weight.shape == (64, 45, 3, 1, 1)
    # Both convolutions of a block have the channels in between of its first one.
    assert [conv[0].out_channels for conv in (network.layer2[0].conv1, network.layer2[0].conv2)] == [230, 230]
    assert network.layer2[1].conv1[0].out_channels == 288


@pytest.mark.parametrize("kind", SCHEMES)
def test_a_factorized_clip_network_has_the_ranks_and_about_the_parameters_of_the_image_network(kind):
    still, clip = wide(2, kind), wide(3, kind)
    ranks = {network: [layer.rank for _, layer in convolutions(network)] for network in (still, clip)}
    taps = 3
    if kind == "cp":
        assert ranks[still] == ranks[clip]
        added = taps * sum(ranks[still])
    elif kind == "tucker":
        assert ranks[clip] == [(*rank[:2], 1, *rank[2:]) for rank in ranks[still]]
        added = taps * len(ranks[still])
    else:
        assert ranks[clip] == [(rank[0], *rank) for rank in ranks[still]]
        added = taps * sum(rank[0] ** 2 for rank in ranks[still])
    assert parameter_count(clip) - parameter_count(still) == added
    # The rank makes the factors match the kernels; λ comes on top.
    extra = sum(ranks[still]) if kind == "cp" else 0
    assert parameter_count(still) - extra == pytest.approx(dense_parameters(64, 1), rel=1e-3)
    assert parameter_count(clip) < (11.3e6 if kind != "tt" else 12.7e6)


def test_the_baseline_of_tensorly_torch_has_the_parameters_of_the_cp_network():
    for order in (2, 3):
        assert parameter_count(wide(order, "tltorch")) == parameter_count(wide(order, "cp"))


@pytest.mark.parametrize("kind", CLIP_KINDS)
@pytest.mark.parametrize(("stem", "size"), [("small", 17), ("small", 32), ("imagenet", 33), ("imagenet", 64)])
def test_one_prediction_per_image_or_frame(kind, stem, size):
    if kind in IMAGE_KINDS:
        assert resnet18(2, kind, 4, stem=stem)(torch.randn(2, 3, size, size + 6)).shape == (2, 2)
    network = resnet18(3, kind, 4, stem=stem, outputs=5).eval()
    assert network(torch.randn(2, 3, 1, size, size)).shape == (2, 1, 5)
    assert network(torch.randn(1, 3, 6, size, size + 6)).shape == (1, 6, 5)


@pytest.mark.parametrize("kind", CLIP_KINDS)
def test_no_layer_strides_time(kind):
    network, seen = resnet18(3, kind, 4, stem="imagenet"), []
    for _, module in network.named_modules():
        module.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    network(torch.randn(1, 3, 5, 32, 32))
    # Strides of stem, pooling and three stages: 32 → 16 → 8 → 8 → 4 → 2 → 1.
    # The one clip tells activations from the weights of tensorly-torch, which are modules as well.
    clips = [shape for shape in seen if len(shape) == 5 and shape[0] == 1]
    assert {shape[2:] for shape in clips} == {(5, size, size) for size in (16, 8, 4, 2, 1)}


@pytest.mark.parametrize("kind", CLIP_KINDS)
def test_a_frame_sees_neighbours_only_through_the_temporal_kernels(kind):
    clip = images(1, 3, 4, 20, 20)
    other = clip.clone()
    other[:, :, 2] += 1
    alone = aged(resnet18(3, kind, 4, stem="small", temporal_kernel=1))
    assert_same(alone(other)[:, [0, 1, 3]], alone(clip)[:, [0, 1, 3]], 1e-13)
    assert (alone(other) - alone(clip))[:, 2].abs().max() > 1e-5
    joined = aged(resnet18(3, kind, 4, stem="small"))
    assert (joined(other) - joined(clip)).abs().amax(-1).min() > 1e-6


@pytest.mark.parametrize("kind", CLIP_KINDS)
def test_samples_of_a_batch_do_not_touch_each_other(kind):
    network, clip = aged(resnet18(3, kind, 4, stem="small")), images(3, 3, 2, 20, 20)
    assert_same(torch.cat([network(sample) for sample in clip.split(1)]), network(clip))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("kind", SCHEMES)
def test_a_factorized_network_is_the_dense_one_of_its_kernels(kind, order):
    network = aged(resnet18(order, kind, 4, stem="imagenet"))
    dense = aged(resnet18(order, "dense", 4, stem="imagenet"))
    kernels = {f"{name}.weight": layer.dense_kernel() for name, layer in convolutions(network)}
    state = {name: value for name, value in network.state_dict().items() if name in dense.state_dict()}
    dense.load_state_dict(state | kernels)
    x = images(2, 3, *[3] * (order - 2), 40, 40)
    assert_same(network(x), dense(x))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("kind", SCHEMES)
def test_an_inner_activation_stands_in_every_factorized_layer(kind, order):
    network = resnet18(order, kind, 4, stem="small", inner_activation=True)
    layers = [layer for _, layer in convolutions(network)]
    assert len(layers) == 17
    assert all(isinstance(layer.inner_norm, nn.BatchNorm2d) for layer in layers)
    clip = torch.randn(2, 3, *[3] * (order - 2), 20, 20)
    network(clip).sum().backward()
    assert all(layer.inner_norm.num_batches_tracked == 1 for layer in layers)
    assert all(parameter.grad is not None for parameter in network.parameters())
    # It is no linear layer any more.
    layer, x = layers[1].eval(), torch.randn(1, 4, *[3] * (order - 2), 5, 5)
    assert (layer(x) + layer(-x)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", SCHEMES)
def test_stem_and_shortcuts_may_be_factorized_or_not(kind):
    network = resnet18(2, kind, 8, stem="small", factorize_stem=False, factorize_shortcuts=True)
    assert type(network.stem) is nn.Conv2d
    shortcuts = [network.get_submodule(f"layer{stage}")[0].shortcut[1] for stage in (2, 3, 4)]
    assert all(isinstance(layer, FactorizedConv) and layer.kernel_size == (1, 1) for layer in shortcuts)
    assert resnet18(2, kind, 8).stem.kernel_size == (7, 7)
    assert type(resnet18(2, kind, 8).layer2[0].shortcut[1]) is nn.Conv2d
    # The shortcuts get no temporal extent.
    clip_network = transduct(network)
    assert clip_network.layer2[0].shortcut[1].kernel_size == (1, 1, 1)
    assert clip_network.stem.kernel_size == (3, 3, 3)
    rebuilt = ResNet(clip_network.config)
    rebuilt.load_state_dict(clip_network.state_dict())
    assert rebuilt(torch.randn(2, 3, 2, 16, 16)).shape == (2, 2, 2)


def test_batchnorm_of_clips_averages_over_samples_frames_rows_and_columns():
    network = resnet18(3, "cp", 4, stem="small").double()
    clip, stem = images(2, 3, 4, 16, 16), []
    network.stem.register_forward_hook(lambda module, inputs, output: stem.append(output))
    network(clip)
    assert isinstance(network.stem_norm, nn.BatchNorm3d)
    assert_same(network.stem_norm.running_mean, 0.1 * stem[0].detach().mean((0, 2, 3, 4)))


@pytest.mark.parametrize(("order", "kind"), OURS)
def test_the_seed_decides_the_weights(order, kind):
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(resnet18(order, kind, 4).state_dict())
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())
    assert not any(
        torch.equal(states[0][name], states[2][name]) for name in states[0] if ".conv" in name and "out" in name
    )
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])


@pytest.mark.parametrize(("order", "kind"), [each for each in OURS if each[1] != "2plus1d"])
def test_convolutions_are_named_in_the_order_of_the_forward_pass(order, kind):
    network, called = resnet18(order, kind, 4, stem="small"), []
    found = convolutions(network)
    for name, layer in found:
        layer.register_forward_hook(lambda module, inputs, output, name=name: called.append(name))
    network(torch.randn(2, 3, *[2] * (order - 2), 32, 32))
    assert called == [name for name, _ in found]
    assert called[:4] == ["stem", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1"]
    assert len(called) == 17
    assert {type(layer) for _, layer in found} <= {FactorizedConv, nn.Conv2d, nn.Conv3d}


@pytest.mark.parametrize(("order", "kind"), ALL)
def test_config_and_weights_build_a_network_again(order, kind):
    network = resnet18(order, kind, 4, stem="small").eval()
    again = ResNet(NetworkConfig(**json.loads(json.dumps(network.config.as_dict())))).eval()
    again.load_state_dict(network.state_dict())
    x = torch.randn(1, 3, *[3] * (order - 2), 16, 16)
    assert torch.equal(again(x), network(x))


def test_a_config_written_as_json_builds_the_same_network():
    network = resnet18(3, "cp", 4, rank=0.5, stem="small", temporal_kernel=5, temporal_padding="replicate", outputs=3)
    config = NetworkConfig(**json.loads(json.dumps(network.config.as_dict())))
    assert config == network.config
    again = ResNet(config).eval()
    again.load_state_dict(network.state_dict())
    clip = torch.randn(1, 3, 3, 16, 16)
    assert torch.equal(again(clip), network.eval()(clip))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "svd"}, "kind 'svd' of a network: choose from cp, tucker, tt, dense, inflated, 2plus1d, tltorch"),
        ({"kind": "inflated"}, "kind 'inflated' of a network: it exists at order 3 only"),
        ({"kind": "2plus1d"}, "kind '2plus1d' of a network: it exists at order 3 only"),
        ({"kind": "dense", "inner_activation": True}, "inner_activation: a network of kind 'dense' has no factorized"),
        ({"kind": "tltorch", "inner_activation": True}, "inner_activation: a network of kind 'tltorch' has no"),
        ({"order": 3, "kind": "2plus1d", "temporal_padding": "replicate"}, r"\(zeros if 2plus1d\)"),
        ({"order": 3, "kind": "tltorch", "temporal_padding": "replicate"}, r"\(zeros if tltorch\)"),
        ({"order": 3, "temporal_padding": "replicate", "factorize_stem": False}, "replicate"),
        ({"order": 4}, r"order 4 \(2 or 3\)"),
        ({"order": 1}, r"order 1 \(2 or 3\)"),
        ({"stem": "tiny"}, r"stem 'tiny' \(imagenet or small\)"),
        ({"width": 0}, r"width 0 \(≥ 1\)"),
        ({"width": 4, "ranks": {"layer1.0.conv1": 3, "typo": 3}}, "name layers that it lacks: typo; remove them"),
        ({"width": 4, "rank": 0}, "rank 0 of a factorized convolution: give at least 1"),
        ({"order": 3, "kind": "dense", "temporal_kernel": 2}, r"temporal kernel 2 \(odd\)"),
        ({"order": 3, "temporal_kernel": 4}, r"temporal kernel 4 \(odd\)"),
        ({"order": 3, "temporal_padding": "reflect"}, r"padding 'reflect' \(zeros or replicate if cp\)"),
        ({"width": 4, "rank": (3,)}, r"rank \(3,\) of a CP convolution"),
        ({"order": 3, "kind": "dense", "temporal_padding": "replicate"}, r"padding 'replicate' \(zeros if dense\)"),
    ],
    ids=str,
)
def test_an_impossible_network_is_refused(options, message):
    with pytest.raises(NetworkError, match=message):
        resnet18(**options)


def test_an_input_of_the_wrong_order_is_refused():
    with pytest.raises(NetworkError, match=r"order 2 wants \(N, 3, H, W\), got \(1, 3, 2, 16, 16\)"):
        resnet18(2, width=4)(torch.zeros(1, 3, 2, 16, 16))
    with pytest.raises(NetworkError, match=r"wants 3 colour channels, got \(1, 1, 16, 16\)"):
        resnet18(2, width=4)(torch.zeros(1, 1, 16, 16))
    with pytest.raises(NetworkError, match=r"order 3 wants \(N, 3, T, H, W\), got \(1, 3, 16, 16\)"):
        resnet18(3, width=4)(torch.zeros(1, 3, 16, 16))


def test_frames_of_a_network_without_temporal_extent_equal_images():
    still = aged(resnet18(2, "cp", 4, stem="small"))
    clip_network = aged(resnet18(3, "cp", 4, stem="small", temporal_kernel=1))
    state = clip_network.state_dict()
    carried = {name: value.reshape(state[name].shape) for name, value in still.state_dict().items()}
    ones = {name: torch.ones_like(value) for name, value in state.items() if name.endswith("factors.time")}
    clip_network.load_state_dict(carried | ones)
    clip = images(2, 3, 3, 20, 20)
    assert_same(clip_network(clip), frame_by_frame(still, clip))


@pytest.mark.parametrize(("order", "kind"), OURS)
def test_an_empty_batch_gives_no_predictions(order, kind):
    network = resnet18(order, kind, 4, stem="small").eval()
    assert network(torch.zeros(0, 3, *[3] * (order - 2), 16, 16)).shape == (0, *[3] * (order - 2), 2)


@pytest.mark.parametrize(("order", "kind"), OURS)
def test_a_network_is_trained_in_half_precision_by_autocast(order, kind):
    network = resnet18(order, kind, 8, stem="small")
    x = torch.randn(2, 3, *[3] * (order - 2), 20, 20)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    y.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in network.parameters())


def test_neighbouring_frames_stay_in_memory_order():
    network = resnet18(3, "cp", 8, stem="small")
    outputs = []
    for _, layer in convolutions(network):
        layer.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    network(torch.randn(2, 3, 3, 32, 32))
    assert all(output.is_contiguous(memory_format=torch.channels_last_3d) for output in outputs)
