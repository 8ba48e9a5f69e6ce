import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, resnet18, transduct
from hocbench.nn.plain import check_state
from tests.nn.oracles import RANKS, SCHEMES, images, layer_of


def refused(module, state, message, strict=True):
    """Check the text, and that nothing at all was loaded."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(NetworkError, match=message):
        module.load_state_dict(state, strict=strict)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def changed(state):
    """Change all values, so that a partial load would be seen."""
    return {name: value + 1 for name, value in state.items()}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_layer_takes_over_its_own_kind_of_weights(order, scheme):
    options = {"factorization": scheme, "rank": RANKS[scheme][order], "bias": True, "inner_activation": True}
    source, target = (layer_of(4, 5, (3,) * order, **options) for _ in range(2))
    assert source.state_dict().keys() == target.state_dict().keys()
    assert target.load_state_dict(source.state_dict()) == ([], [])
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_checkpoint_of_another_order_is_refused(scheme):
    still = FactorizedConv(4, 5, (3, 3), factorization=scheme, rank=2)
    clip = FactorizedConv(4, 5, (3, 3, 3), factorization=scheme, rank=2)
    line = FactorizedConv(4, 5, (3,), factorization=scheme, rank=2)
    lacking = (
        r"weights do not fit: layer '\(itself\)' has no 'factors.{}' in the checkpoint; it may be of another order"
    )
    refused(clip, changed(still.state_dict()), lacking.format("time"))
    refused(still, changed(line.state_dict()), lacking.format("height"))
    unknown = r"weights do not fit: "
    refused(still, changed(clip.state_dict()), unknown)
    refused(line, changed(still.state_dict()), unknown)


@pytest.mark.parametrize("scheme", ["cp", "tt"])
def test_what_a_smaller_checkpoint_holds_goes_to_the_modes_of_its_names(scheme):
    # In the same sizes, a positional key would put height into time and width into height.
    still = FactorizedConv(4, 5, (3, 3), factorization=scheme, rank=2)
    clip = FactorizedConv(4, 5, (3, 3, 3), factorization=scheme, rank=2)
    time = clip.factors["time"].clone()
    result = clip.load_state_dict(still.state_dict(), strict=False)
    assert result.missing_keys == ["factors.time"]
    for name, tensor in still.tensors.items():
        assert torch.equal(clip.tensors[name], tensor)
    assert torch.equal(clip.factors["time"], time)


def test_the_core_of_a_smaller_tucker_checkpoint_fits_nowhere():
    still = FactorizedConv(4, 5, (3, 3), factorization="tucker", rank=2)
    clip = FactorizedConv(4, 5, (3, 3, 3), factorization="tucker", rank=2)
    refused(clip, changed(still.state_dict()), r"'core' of layer '\(itself\)' is \(2, 2, 3, 3\) in", strict=False)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("strict", [True, False])
def test_a_checkpoint_of_another_rank_kernel_or_width_is_refused(scheme, strict):
    layer = FactorizedConv(4, 5, (3, 3), factorization=scheme, rank=3)
    for other in (
        FactorizedConv(4, 5, (3, 3), factorization=scheme, rank=2),
        FactorizedConv(4, 5, (3, 5), factorization=scheme, rank=3),
        FactorizedConv(4, 6, (3, 3), factorization=scheme, rank=3),
    ):
        text = r"of layer '\(itself\)' is \(.*\) in the checkpoint and \(.*\) in the network; build it with the rank"
        refused(layer, changed(other.state_dict()), text, strict)


def test_a_checkpoint_of_another_factorization_is_refused():
    layers = {scheme: FactorizedConv(4, 4, (3, 3), factorization=scheme, rank=2) for scheme in SCHEMES}
    refused(layers["cp"], layers["tucker"].state_dict(), "has no 'weights' in the checkpoint")
    refused(layers["tucker"], layers["cp"].state_dict(), "has no 'core' in the checkpoint")
    refused(layers["tt"], layers["cp"].state_dict(), "weights do not fit")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("entry", ["layer4.1.norm2.running_var", "layer2.0.conv1.factors.input", "head.bias"])
def test_weights_that_are_not_finite_are_refused_naming_the_layer(entry, value):
    network = resnet18(2, "cp", 4, stem="small")
    state = changed(network.state_dict())
    state[entry].view(-1)[1] = value
    layer, name = {
        "layer4.1.norm2.running_var": ("layer4.1.norm2", "running_var"),
        "layer2.0.conv1.factors.input": ("layer2.0.conv1", "factors.input"),
        "head.bias": ("head", "bias"),
    }[entry]
    for strict in (True, False):
        refused(network, state, f"weights cannot be used: '{name}' of layer '{layer}' holds NaN or infinity", strict)


def test_a_network_names_the_first_layer_that_does_not_fit():
    network = resnet18(2, "cp", 4, stem="small")
    other = resnet18(2, "cp", 4, stem="small", rank=0.5)
    refused(network, changed(other.state_dict()), r"'weights' of layer 'stem' is \(4,\) in the checkpoint and \(8,\)")
    state = changed(network.state_dict())
    del state["layer3.0.conv2.factors.width"]
    refused(network, state, "layer 'layer3.0.conv2' has no 'factors.width' in the checkpoint; it may be of another")
    state = changed(network.state_dict())
    del state["layer3.0.norm1.bias"]
    refused(network, state, "layer 'layer3.0.norm1' has no 'bias' in the checkpoint$")
    refused(network, changed(network.state_dict()) | {"layer9.weight": torch.ones(1)}, "no 'weight' in layer 'layer9'")
    refused(network, {}, "layer 'stem' has no 'weights'")
    refused(network, changed(transduct(network).state_dict()), "the network has no 'factors.time' in layer 'stem'")
    refused(network, changed(resnet18(2, "dense", 4, stem="small").state_dict()), "layer 'stem' has no 'weights'")


@pytest.mark.parametrize("kind", ["cp", "tucker", "tt"])
def test_an_image_checkpoint_is_refused_by_a_clip_network(kind):
    still, clip = (resnet18(order, kind, 4, stem="small") for order in (2, 3))
    refused(clip, changed(still.state_dict()), "layer 'stem' has no 'factors.time' in the checkpoint; it may be of ano")


def test_without_strictness_unknown_entries_are_passed_over():
    layer = layer_of(4, 5, (3, 3), rank=3)
    result = layer.load_state_dict({"factors.input": images(4, 3), "elsewhere": torch.ones(2)}, strict=False)
    assert result.unexpected_keys == ["elsewhere"]
    check_state(layer, {"elsewhere": torch.ones(2)}, strict=False)


def test_weights_survive_a_file_without_pickle(tmp_path):
    network = resnet18(3, "tt", 4, stem="small", inner_activation=True)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    again = resnet18(3, "tt", 4, stem="small", inner_activation=True)
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in again.state_dict().items())


def test_networks_on_the_meta_device_are_checked_by_shape():
    network = resnet18(2, "cp", 4, stem="small")
    with torch.device("meta"):
        shadow = resnet18(2, "cp", 4, stem="small")
    check_state(network, shadow.state_dict())
    shadow.load_state_dict(network.state_dict(), assign=True)
    x = torch.randn(1, 3, 20, 20)
    assert torch.equal(shadow.eval()(x), network.eval()(x))


def test_layers_inside_any_module_load_by_name_too():
    still = nn.Sequential(FactorizedConv(4, 5, (3, 3), rank=2))
    clip = nn.Sequential(FactorizedConv(4, 5, (3, 3, 3), rank=2))
    with pytest.raises(RuntimeError, match=r"Missing key.*factors\.time"):
        clip.load_state_dict(still.state_dict())
    clip.load_state_dict(still.state_dict(), strict=False)
    assert torch.equal(clip[0].factors["height"], still[0].factors["height"])
