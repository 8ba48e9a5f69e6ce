import copy

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, convolutions, reestimate_batchnorm, resnet18, transduct
from hocbench.nn.transduction import temporal_taps
from tests.nn.oracles import aged, assert_same, frame_by_frame, images, layer_of

FORMS = [("cp", "zeros"), ("cp", "replicate"), ("dense", "zeros")]


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
@pytest.mark.parametrize("path", ["factorized", "reconstructed"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@torch.no_grad()
def test_a_layer_with_a_centre_tap_is_the_image_layer_at_every_stride(padding_mode, path, stride):
    still = layer_of(4, 5, (3, 5), rank=6, stride=stride)
    layer = FactorizedConv(4, 5, (3, 3, 5), rank=6, stride=stride, path=path, padding_mode=padding_mode).double()
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


@pytest.mark.parametrize("kind", ["cp", "dense"])
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
    network = resnet18(2, "cp", 4)
    with pytest.raises(NetworkError, match="wants a network of order 2, this one has order 3"):
        transduct(transduct(network))
    for size in (0, 2, -3):
        with pytest.raises(NetworkError, match=f"kernel size {size} must be odd"):
            transduct(network, size)
    with pytest.raises(NetworkError, match=r"init 'random' one of .*ones.*average.*centre"):
        transduct(network, init="random")
    with pytest.raises(NetworkError, match=r"padding 'reflect' must be one of .*zeros.*replicate"):
        transduct(network, padding="reflect")
    with pytest.raises(NetworkError, match="replicate padding is offered for factorized networks only"):
        transduct(resnet18(2, "dense", 4), padding="replicate")


@pytest.mark.parametrize(("order", "kind"), [(2, "cp"), (3, "cp"), (3, "dense")])
def test_batchnorm_gets_the_mean_of_the_statistics_of_the_batches(order, kind):
    network = aged(resnet18(order, kind, 4, stem="small"))
    batches = images(3, 2, 3, *[2] * (order - 2), 20, 20)
    inputs = {norm: [] for norm in norms_of(network)}
    for norm in inputs:
        norm.register_forward_pre_hook(lambda module, arguments: inputs[module].append(arguments[0]))
    reestimate_batchnorm(network, iter(batches))
    axes = (0, *range(2, order + 2))
    for norm, seen in inputs.items():
        assert len(seen) == norm.num_batches_tracked == 3
        assert_same(norm.running_mean, torch.stack([x.mean(axes) for x in seen]).mean(0))
        # torch keeps unbiased variances.
        assert_same(norm.running_var, torch.stack([x.var(axes) for x in seen]).mean(0))
    # Each layer is fed by layers normalised with the statistics of their batch.
    first, second = inputs[network.stem_norm][0], inputs[network.layer1[0].norm1][0]
    normalised = nn.functional.batch_norm(
        first, None, None, network.stem_norm.weight, network.stem_norm.bias, training=True
    )
    assert_same(second, network.layer1[0].conv1(torch.relu(normalised)))


@pytest.mark.parametrize("training", [True, False])
def test_re_estimation_changes_running_statistics_only(training):
    network = aged(resnet18(2, "cp", 4, stem="small")).train(training)
    network.layer2.train(not training)
    network.layer3[0].norm1.momentum = 0.3
    modes, momenta = [m.training for m in network.modules()], [norm.momentum for norm in norms_of(network)]
    before = copy.deepcopy(network.state_dict())
    reestimate_batchnorm(network, [images(2, 3, 20, 20)])
    assert [m.training for m in network.modules()] == modes
    assert [norm.momentum for norm in norms_of(network)] == momenta
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, value in network.state_dict().items():
        is_statistic = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(value, before[name]) != is_statistic, name


def test_re_estimation_forgets_what_was_there():
    network = aged(resnet18(2, "cp", 4, stem="small"))
    batches = images(2, 2, 3, 20, 20)
    reestimate_batchnorm(network, images(4, 2, 3, 20, 20))
    reestimate_batchnorm(network, batches)
    once = copy.deepcopy(network.state_dict())
    reestimate_batchnorm(network, batches)
    assert all(torch.equal(once[name], value) for name, value in network.state_dict().items())


def test_re_estimation_without_batches_is_refused_and_changes_nothing():
    network = aged(resnet18(2, "cp", 4, stem="small"))
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(NetworkError, match="re-estimating BatchNorm needs at least one batch"):
        reestimate_batchnorm(network, iter([]))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
