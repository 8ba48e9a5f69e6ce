import json

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, NetworkConfig, ResNet, convolutions, parameter_count, resnet18
from tests.nn.oracles import aged, assert_same, frame_by_frame, images

# (inputs, outputs) of the convolutions with spatial extent behind the stem, at width 1.
BLOCK_CONVOLUTIONS = [(1, 1)] * 4 + [(1, 2), *[(2, 2)] * 3] + [(2, 4), *[(4, 4)] * 3] + [(4, 8), *[(8, 8)] * 3]
SHORTCUTS = [(1, 2), (2, 4), (4, 8)]


def dense_parameters(width, frames):
    """Count by hand: kernels over ``frames`` frames, 1×1 shortcuts over one, BatchNorms, head."""
    kernels = 49 * 3 * width + 9 * width**2 * sum(i * o for i, o in BLOCK_CONVOLUTIONS)
    shortcuts = width**2 * sum(i * o for i, o in SHORTCUTS)
    channels = width * (1 + sum(o for _, o in BLOCK_CONVOLUTIONS) + sum(o for _, o in SHORTCUTS))
    return frames * kernels + shortcuts + 2 * channels + (8 * width + 1) * 2


@pytest.fixture(scope="module")
def wide():
    return {(order, kind): resnet18(order, kind) for order in (2, 3) for kind in ("cp", "dense")}


def test_a_dense_image_network_has_the_parameters_of_resnet_18(wide):
    # torchvision's ResNet-18 has 11,689,512 with its head of 1000 classes.
    assert parameter_count(wide[2, "dense"]) == 11_689_512 - 1000 * 513 + 2 * 513 == dense_parameters(64, 1)


def test_a_dense_clip_network_has_three_times_the_kernels(wide):
    assert parameter_count(wide[3, "dense"]) == dense_parameters(64, 3) == 33_167_298


def test_a_factorized_clip_network_has_the_ranks_and_about_the_parameters_of_the_image_network(wide):
    ranks = {order: [layer.rank for _, layer in convolutions(wide[order, "cp"])] for order in (2, 3)}
    assert ranks[2] == ranks[3]
    still, clip = parameter_count(wide[2, "cp"]), parameter_count(wide[3, "cp"])
    assert clip - still == 3 * sum(ranks[2])
    # The rank makes the factors match the kernels; λ comes on top.
    assert still - sum(ranks[2]) == pytest.approx(dense_parameters(64, 1), rel=1e-3)
    assert clip == pytest.approx(11.2e6, rel=0.01)


@pytest.mark.parametrize("kind", ["cp", "dense"])
@pytest.mark.parametrize(("stem", "size"), [("small", 17), ("small", 32), ("imagenet", 33), ("imagenet", 64)])
def test_one_prediction_per_image_or_frame(kind, stem, size):
    assert resnet18(2, kind, 4, stem=stem)(torch.randn(2, 3, size, size + 6)).shape == (2, 2)
    network = resnet18(3, kind, 4, stem=stem, outputs=5).eval()
    assert network(torch.randn(2, 3, 1, size, size)).shape == (2, 1, 5)
    assert network(torch.randn(1, 3, 6, size, size + 6)).shape == (1, 6, 5)


@pytest.mark.parametrize("kind", ["cp", "dense"])
def test_no_layer_strides_time(kind):
    network, seen = resnet18(3, kind, 4, stem="imagenet"), []
    for _, module in network.named_modules():
        module.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    network(torch.randn(1, 3, 5, 32, 32))
    # Strides of stem, pooling and three stages: 32 → 16 → 8 → 8 → 4 → 2 → 1.
    assert {shape[2:] for shape in seen if len(shape) == 5} == {(5, size, size) for size in (16, 8, 4, 2, 1)}


@pytest.mark.parametrize("kind", ["cp", "dense"])
def test_a_frame_sees_neighbours_only_through_the_temporal_kernels(kind):
    clip = images(1, 3, 4, 20, 20)
    other = clip.clone()
    other[:, :, 2] += 1
    alone = aged(resnet18(3, kind, 4, stem="small", temporal_kernel=1))
    assert_same(alone(other)[:, [0, 1, 3]], alone(clip)[:, [0, 1, 3]], 1e-13)
    assert (alone(other) - alone(clip))[:, 2].abs().max() > 1e-3
    joined = aged(resnet18(3, kind, 4, stem="small"))
    assert (joined(other) - joined(clip)).abs().amax(-1).min() > 1e-6


@pytest.mark.parametrize("kind", ["cp", "dense"])
def test_samples_of_a_batch_do_not_touch_each_other(kind):
    network, clip = aged(resnet18(3, kind, 4, stem="small")), images(3, 3, 2, 20, 20)
    assert_same(torch.cat([network(sample) for sample in clip.split(1)]), network(clip))


def test_a_factorized_network_is_the_dense_one_of_its_kernels():
    network = aged(resnet18(2, "cp", 4, stem="imagenet"))
    dense = aged(resnet18(2, "dense", 4, stem="imagenet"))
    state = {name: value for name, value in network.state_dict().items() if ".factors." not in name}
    kernels = {f"{name}.weight": layer.dense_kernel() for name, layer in convolutions(network)}
    dense.load_state_dict({name: v for name, v in state.items() if not name.endswith(".weights")} | kernels)
    x = images(2, 3, 40, 40)
    assert_same(network(x), dense(x))


def test_batchnorm_of_clips_averages_over_samples_frames_rows_and_columns():
    network = resnet18(3, "cp", 4, stem="small").double()
    clip, stem = images(2, 3, 4, 16, 16), []
    network.stem.register_forward_hook(lambda module, inputs, output: stem.append(output))
    network(clip)
    assert isinstance(network.stem_norm, nn.BatchNorm3d)
    assert_same(network.stem_norm.running_mean, 0.1 * stem[0].detach().mean((0, 2, 3, 4)))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("kind", ["cp", "dense"])
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


@pytest.mark.parametrize("kind", ["cp", "dense"])
@pytest.mark.parametrize("order", [2, 3])
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
        ({"kind": "tucker"}, "kind 'tucker' of a network: choose 'cp' or 'dense'"),
        ({"order": 4}, r"order 4 \(2 or 3\)"),
        ({"order": 1}, r"order 1 \(2 or 3\)"),
        ({"stem": "tiny"}, r"stem 'tiny' \(imagenet or small\)"),
        ({"width": 0}, r"width 0 \(≥ 1\)"),
        ({"width": 4, "rank": 0}, "rank 0 of a factorized convolution: give at least 1"),
        ({"order": 3, "kind": "dense", "temporal_kernel": 2}, r"temporal kernel 2 \(odd\)"),
        ({"order": 3, "temporal_kernel": 4}, r"temporal kernel 4 \(odd\)"),
        ({"order": 3, "temporal_padding": "reflect"}, r"padding 'reflect' \(zeros or replicate if cp\)"),
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
