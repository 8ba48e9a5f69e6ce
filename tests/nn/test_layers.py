import json
import os

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import (
    FactorizedConv,
    compact,
    load_choices,
    parameter_count,
    resnet18,
    save_choices,
    set_implementation,
    transduct,
)
from hocbench.nn.implementation import IMPLEMENTATIONS
from hocbench.nn.layers import block_of, component_size, cp_layers, describe_layers, factorized_layers, layer_choices
from tests.nn.oracles import assert_same, images


def sparse(**options):
    """A small network in which layer number n has lost n % 4 of its 5 components."""
    network = resnet18(width=8, rank=5, stem="small", **options)
    with torch.no_grad():
        for number, layer in enumerate(factorized_layers(network).values()):
            layer.weights[: number % 4] = 0
    return network


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("stem", "stem"),
        ("layer1.0.conv1", "layer1.0"),
        ("layer4.1.conv2", "layer4.1"),
        ("layer2.0.shortcut.1", "layer2.0"),
        ("trunk.3", "trunk"),
        ("", ""),
    ],
)
def test_a_layer_belongs_to_its_residual_block(name, block):
    assert block_of(name) == block


@pytest.mark.parametrize("inner_activation", [False, True])
@pytest.mark.parametrize("kernel_size", [(3,), (3, 5), (3, 5, 7)], ids=str)
def test_a_component_is_what_one_more_rank_adds(kernel_size, inner_activation):
    options = {"inner_activation": inner_activation, "bias": True}
    small, large = (FactorizedConv(4, 6, kernel_size, rank=rank, **options) for rank in (3, 4))
    assert component_size(small) == component_size(large) == parameter_count(large) - parameter_count(small)


@pytest.mark.parametrize("inner_activation", [False, True])
@pytest.mark.parametrize("order", [2, 3])
def test_zeros_are_the_components_that_compaction_removes(order, inner_activation):
    network = sparse(order=order, inner_activation=inner_activation, factorize_shortcuts=True)
    described = describe_layers(network)
    assert [layer["name"] for layer in described] == list(cp_layers(network))
    assert [layer["zeros"] for layer in described] == [number % 4 for number in range(20)]
    for layer in described:
        whole = network.get_submodule(layer["name"])
        removed = parameter_count(whole) - parameter_count(compact(whole))
        assert removed == layer["zeros"] * component_size(whole)


def test_time_adds_its_kernel_to_a_component():
    network = sparse(order=2)
    flat, clip = (map(component_size, cp_layers(net).values()) for net in (network, transduct(network, kernel_size=5)))
    assert {after - before for before, after in zip(flat, clip, strict=True)} == {5}


@pytest.mark.parametrize("kind", ["tucker", "tt"])
def test_a_network_without_lambda_is_refused_naming_a_layer(kind):
    with pytest.raises(NetworkError, match=rf"LASSO acts on the weights λ .* layer 'stem' is {kind}-factorized"):
        cp_layers(resnet18(kind=kind, width=8, stem="small"))
    with pytest.raises(NetworkError, match=rf"LASSO acts on the weights λ .* layer '\(itself\)' is {kind}-factorized"):
        cp_layers(FactorizedConv(4, 4, (3, 3), factorization=kind))
    with pytest.raises(NetworkError, match="this network has none"):
        cp_layers(resnet18(kind="dense", width=8, stem="small"))


def test_layers_list_ranks_and_zeros():
    network = sparse(order=2)
    layers = describe_layers(network)
    assert len(layers) == 17  # the stem and two for each of eight blocks; shortcuts are not listed
    assert {layer["rank"] for layer in layers} == {5}
    assert [layer["zeros"] for layer in layers] == [count % 4 for count in range(17)]
    assert (layers[0]["name"], layers[0]["block"]) == ("stem", "stem")
    assert (layers[1]["name"], layers[1]["block"], layers[1]["kernel_size"]) == ("layer1.0.conv1", "layer1.0", [3, 3])
    dense = describe_layers(resnet18(order=2, kind="dense", width=8, stem="small"))
    assert {(layer["kind"], layer["rank"], layer["zeros"]) for layer in dense} == {("dense", None, 0)}


def test_factorized_shortcuts_are_listed_in_their_block():
    network = resnet18(order=2, width=8, rank=5, stem="small", factorize_shortcuts=True)
    with torch.no_grad():
        network.get_submodule("layer3.0.shortcut.1").weights[:2] = 0
    layers = {layer["name"]: layer for layer in describe_layers(network)}
    assert len(layers) == 20
    shortcut = layers["layer3.0.shortcut.1"]
    assert (shortcut["block"], shortcut["kernel_size"], shortcut["rank"], shortcut["zeros"]) == (
        "layer3.0",
        [1, 1],
        5,
        2,
    )
    after = {layer["name"]: layer for layer in describe_layers(compact(network), list(layers.values()))}
    assert after == layers


def test_removed_components_still_count_as_zeros():
    network = sparse(order=2)
    with torch.no_grad():
        network.stem.weights.zero_()
    before = describe_layers(network)
    after = describe_layers(transduct(compact(network)), before)
    assert [(layer["rank"], layer["zeros"]) for layer in after] == [(layer["rank"], layer["zeros"]) for layer in before]
    assert [layer["kernel_size"] for layer in after] == [[3, 3, 3]] * 17


@pytest.fixture
def measured():
    network = nn.Sequential(
        FactorizedConv(3, 4, (3, 3), implementation="measured"),
        nn.ReLU(),
        FactorizedConv(4, 4, (3, 3), implementation="measured"),
        FactorizedConv(4, 2, (3, 3), implementation="measured", inner_activation=True),
    )
    network(torch.randn(2, 3, 6, 6))
    return network


def test_choices_are_saved_loaded_and_pinned(measured, tmp_path):
    save_choices(measured, tmp_path / "paths.json")
    written = json.loads((tmp_path / "paths.json").read_text())
    assert written == layer_choices(measured)
    assert set(written) == {"0", "2"}
    (key,) = written["0"]
    assert key == "2x3x6x6 float32 cpu 1 threads training"
    for pinned in ("factorized", "reconstructed", "recompute"):
        written["0"][key] = pinned
        (tmp_path / "paths.json").write_text(json.dumps(written))
        again = nn.Sequential(*(FactorizedConv(n, 4, (3, 3), implementation="measured") for n in (3, 4, 4)))
        again.insert(1, nn.ReLU())
        load_choices(again, tmp_path / "paths.json")
        assert again[0].chosen_implementation(torch.randn(2, 3, 6, 6)) == pinned
    assert layer_choices(again) == written


def test_saving_replaces_the_file_and_does_not_write_into_it(measured, tmp_path):
    (tmp_path / "paths.json").write_text("old")
    os.link(tmp_path / "paths.json", tmp_path / "link.json")
    save_choices(measured, tmp_path / "paths.json")
    assert (tmp_path / "link.json").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "paths.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "holds no measured implementations .*No such file.*; write it with save_choices"),
        ("{", "holds no measured implementations .*; write it with save_choices"),
        ("[1]", "holds no measured implementations .*; write it with save_choices"),
        ('{"0": null}', "holds no measured implementations .*; write it with save_choices"),
        ('{"0": "text"}', "holds no measured implementations .*; write it with save_choices"),
        ('{"0": {"a": "factorized"}, "1": {}}', "layer '1' is not a factorized layer of this network; measure it"),
        ('{"0": {"a": "factorized"}, "2": {"a": "fast"}}', "'2'.*implementation 'fast'"),
        ('{"0": {"a": "factorized"}, "2": {"a": "measured"}}', "'2'.*implementation 'measured'"),
        ('{"0": {"a": "factorized"}, "2": {"a": "rule"}}', "'2'.*implementation 'rule'"),
        ('{"0": {"a": "factorized"}, "2": {"a": 3}}', "'2'.*implementation 3,"),
        (
            '{"0": {"a": "factorized"}, "3": {"a": "reconstructed"}}',
            "'3' has an inner activation and cannot be 'reconstructed'; measure it again",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_nothing_is_taken_over(measured, tmp_path, text, message):
    file = tmp_path / "paths.json"
    if text is not None:
        file.write_text(text)
    before = layer_choices(measured)
    with pytest.raises(NetworkError, match=rf"paths\.json.*{message}"):
        load_choices(measured, file)
    assert layer_choices(measured) == before


def test_the_implementation_of_a_network_is_set_and_layers_with_an_inner_activation_never_rebuild(measured):
    for implementation in IMPLEMENTATIONS:
        set_implementation(measured, implementation)
        assert [measured[0].implementation, measured[2].implementation] == [implementation, implementation]
        assert measured[3].implementation == ("factorized" if implementation == "reconstructed" else implementation)
    with pytest.raises(
        NetworkError, match="implementation 'fast' of a factorized convolution: choose from rule, measured"
    ):
        set_implementation(measured, "fast")
    with pytest.raises(NetworkError, match="implementation 'fast'"):
        set_implementation(resnet18(2, "dense", 4, stem="small"), "fast")


@torch.no_grad()
def test_a_network_gives_the_same_numbers_by_every_implementation():
    network = resnet18(2, "cp", 4, stem="small").double().eval()
    x, outputs = images(2, 3, 20, 20), {}
    for implementation in IMPLEMENTATIONS:
        set_implementation(network, implementation)
        outputs[implementation] = network(x)
    for y in outputs.values():
        assert_same(y, outputs["factorized"])
