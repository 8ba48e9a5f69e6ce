import copy
import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import (
    FactorizedConv,
    NetworkConfig,
    ResNet,
    convolutions,
    reestimate_batchnorm,
    resnet18,
    transduct,
)
from hocbench.nn.conversion import temporal_taps
from tests.nn.oracles import aged, assert_same, frame_by_frame, images, layer_of

FORMS = [("cp", "zeros"), ("cp", "replicate"), ("tucker", "replicate"), ("tt", "zeros"), ("dense", "zeros")]


def norms_of(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]


@pytest.mark.parametrize(("kind", "padding"), FORMS)
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("stem", "width", "size"), [("small", 4, (17, 20)), ("imagenet", 9, (40, 33))])
@torch.no_grad()
def test_with_centre_taps_a_clip_is_seen_frame_by_frame(kind, padding, kernel_size, stem, width, size):
    network = aged(resnet18(2, kind, width, stem=stem, rank=0.3 if width > 4 else "same"))
    clip = images(2, 3, 4, *size)
    assert_same(transduct(network, kernel_size, "centre", padding)(clip), frame_by_frame(network, clip))


@pytest.mark.parametrize("padding_mode", ["zeros", "replicate"])
@pytest.mark.parametrize("implementation", ["factorized", "reconstructed"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@torch.no_grad()
def test_a_layer_with_a_centre_tap_is_the_image_layer_at_every_stride(padding_mode, implementation, stride):
    still = layer_of(4, 5, (3, 5), rank=6, stride=stride)
    options = {
        "stride": (1, stride, stride),
        "padding_mode": (padding_mode, "zeros", "zeros"),
        "implementation": implementation,
    }
    layer = FactorizedConv(4, 5, (3, 3, 5), rank=6, **options).double()
    taps = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)[:, None].expand(3, 6)
    layer.load_state_dict(still.state_dict() | {"factors.time": taps})
    clip = images(2, 4, 3, 8, 9)
    expected = torch.stack([still(clip[:, :, frame]) for frame in range(3)], dim=2)
    assert_same(layer(clip), expected)


def test_taps_are_as_published_or_keep_the_response_to_a_still_clip():
    assert temporal_taps(5, "ones").tolist() == [1, 1, 1, 1, 1]
    assert temporal_taps(5, "average").tolist() == [0.2] * 5
    assert temporal_taps(5, "centre").tolist() == [0, 0, 1, 0, 0]
    assert all(temporal_taps(1, init).tolist() == [1] for init in ("ones", "average", "centre"))


@pytest.mark.parametrize("init", ["ones", "average", "centre"])
def test_every_component_and_every_kernel_gets_the_taps(init):
    taps = temporal_taps(3, init)
    network = aged(resnet18(2, "cp", 4, stem="small"))
    for (_, still), (_, layer) in zip(convolutions(network), convolutions(transduct(network, 3, init)), strict=True):
        expected = still.dense_kernel().unsqueeze(2) * taps.reshape(3, 1, 1)
        assert_same(layer.dense_kernel(), expected, 1e-14)
    network = aged(resnet18(2, "dense", 4, stem="small"))
    for (_, still), (_, layer) in zip(convolutions(network), convolutions(transduct(network, 3, init)), strict=True):
        assert_same(layer.weight, still.weight.unsqueeze(2) * taps.reshape(3, 1, 1), 1e-14)


@pytest.mark.parametrize("kind", ["cp", "tucker", "tt", "dense"])
def test_everything_but_the_kernels_is_carried_over(kind):
    network = aged(resnet18(2, kind, 4, rank=0.5, stem="small", outputs=3))
    clip_network = transduct(network, 5, "ones")
    before, after = network.state_dict(), clip_network.state_dict()
    kernels = {f"{name}.weight" for name, _ in convolutions(network)}
    assert {name for name in after if name not in before} == {name for name in after if name.endswith("factors.time")}
    for name in before.keys() - kernels:
        assert torch.equal(after[name].flatten(), before[name].flatten()), name
    assert (clip_network.config.order, clip_network.config.temporal_kernel) == (3, 5)
    assert (clip_network.config.rank, clip_network.config.outputs) == (0.5, 3)
    assert clip_network.config.kind == ("inflated" if kind == "dense" else kind)


@pytest.mark.parametrize(("kind", "padding"), FORMS)
@torch.no_grad()
def test_config_and_state_rebuild_a_transducted_network(kind, padding, tmp_path):
    inner = {} if kind == "dense" else {"inner_activation": True}
    network = transduct(aged(resnet18(2, kind, 4, stem="small", **inner)), 5, "average", padding)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    again = ResNet(NetworkConfig(**json.loads(json.dumps(network.config.as_dict())))).double().eval()
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    clip = images(1, 3, 3, 20, 20)
    assert torch.equal(again(clip), network(clip))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["cp", "dense"])
def test_the_image_network_stays_untouched_and_its_mode_is_kept(kind, training):
    network = aged(resnet18(2, kind, 4, stem="small")).train(training)
    before = copy.deepcopy(network.state_dict())
    clip_network = transduct(network)
    assert all(module.training == training for module in clip_network.modules())
    with torch.no_grad():
        for value in clip_network.state_dict().values():
            value.zero_()
    assert network.config.order == 2
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(("kind", "padding"), FORMS)
@torch.no_grad()
def test_ones_and_average_are_one_function_once_batchnorm_is_re_estimated(kind, padding):
    network = aged(resnet18(2, kind, 4, stem="small"))
    clips, outputs = images(3, 2, 3, 4, 20, 20), {}
    for init in ("ones", "average"):
        clip_network = transduct(network, 3, init, padding)
        for norm in norms_of(clip_network):
            norm.eps = 1e-30  # all that tells the two scales apart
        reestimate_batchnorm(clip_network, clips)
        outputs[init] = clip_network(clips[0])
    assert outputs["ones"].std(0).max() > 0.01
    assert_same(outputs["ones"], outputs["average"], 1e-9)


@torch.no_grad()
def test_ones_and_average_differ_before_that():
    network, clip = aged(resnet18(2, "cp", 4, stem="small")), images(2, 3, 4, 20, 20)
    difference = transduct(network, 3, "ones")(clip) - transduct(network, 3, "average")(clip)
    assert difference.abs().max() > 0.1


@pytest.mark.parametrize("kernel_size", [3, 5])
@torch.no_grad()
def test_a_still_clip_averaged_with_replicate_padding_is_the_image(kernel_size):
    network, image = aged(resnet18(2, "cp", 4, stem="imagenet")), images(2, 3, 40, 40)
    clip = image.unsqueeze(2).expand(-1, -1, 4, -1, -1)
    expected = network(image).unsqueeze(1).expand(-1, 4, -1)
    assert_same(transduct(network, kernel_size, "average", "replicate")(clip), expected)
    # With zeros the ends fade.
    faded = transduct(network, kernel_size, "average", "zeros")(clip)
    assert (faded - expected)[:, 0].abs().max() > 1e-3


def test_a_transduction_that_is_not_offered_is_refused():
    network = resnet18(2, "cp", 4, stem="small")
    with pytest.raises(NetworkError, match="order 2, this one has order 3"):
        transduct(transduct(network))
    for options in ({"kernel_size": (3, 3)}, {"position": 1}):
        with pytest.raises(NetworkError, match=r"transduct (?!.*this one has order 2)"):
            transduct(network, **options)
    for size in (0, 2, -3, ()):
        with pytest.raises(NetworkError, match=f"kernel size {re.escape(str(size))} must be odd"):
            transduct(network, size)
    with pytest.raises(NetworkError, match=r"init 'random' one of .*ones.*average.*centre"):
        transduct(network, init="random")
    with pytest.raises(NetworkError, match=r"padding 'reflect' must be one of .*zeros.*replicate"):
        transduct(network, padding="reflect")
    for size in (1, 3):
        with pytest.raises(NetworkError, match="replicate"):
            transduct(resnet18(2, "dense", 4, stem="small"), size, padding="replicate")
    with pytest.raises(NetworkError, match=r"layer 'stem\.conv' is a FactorizedConv, which has no form of one order"):
        transduct(resnet18(2, "tltorch", 4, stem="small"))


def test_kernel_sizes_of_numpy_are_numbers_too():
    network = transduct(resnet18(2, "cp", 4, stem="small"), np.int64(3))
    assert network.stem.kernel_size == (3, 3, 3)
    assert json.loads(json.dumps(network.config.as_dict()))["temporal_kernel"] == 3
