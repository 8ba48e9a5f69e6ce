import copy

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, ResNet, compact, convolutions, factorize, multiply_adds, resnet18, transduct
from hocbench.nn.decomposition import Fit
from tests.nn.oracles import SCHEMES, aged, assert_same, error_of, images


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_kernel_that_is_not_finite_is_refused_by_name(value):
    network = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3))
    network[2].weight.data[0, 0, 0, 0] = value
    with pytest.raises(NetworkError, match="layer '2' holds NaN or infinity; it cannot be decomposed"):
        factorize(network, 2)


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
