import json
import math
import os

import pytest
import torch
from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn import FactorizedConv, load_choices, resnet18, save_choices, set_path
from hocbench.nn.factorizations import Cost
from hocbench.nn.paths import PATHS, elapsed, fastest, layer_choices, rule_path, situation
from tests.nn.oracles import RANKS, SCHEMES, assert_same, images, layer_of


def test_the_kernel_is_rebuilt_where_that_and_one_dense_convolution_are_less_effort_than_the_chain():
    assert rule_path(Cost(0, effort=126, dense=100, rebuild=25), False) == "reconstructed"
    assert rule_path(Cost(0, effort=125, dense=100, rebuild=25), False) == "factorized"
    assert rule_path(Cost(0, effort=186, dense=100, rebuild=25), True) == "factorized"
    assert rule_path(Cost(0, effort=189, dense=100, rebuild=25), True) == "reconstructed"
    assert rule_path(Cost(0, effort=0, dense=0, rebuild=25), False) == "factorized"


@pytest.mark.parametrize(
    ("kernel_size", "rank", "before", "after", "effort"),
    [
        # Projections of 6 and 8 channels, each padded to 8, and taps in the depthwise planes that count eightfold.
        ((5,), 14, 7, 7, 16 * (8 * 7 + 8 * 5 * 7 + 8 * 7)),
        ((3, 5), 18, 35, 12, 24 * (8 * 35 + 8 * 15 * 12 + 8 * 12)),
        # A plane per frame at its stride, then time at its own.
        ((3, 3, 5), 61, 70, 12, 64 * (8 * 70 + 8 * (15 * 2 * 12 + 3 * 12) + 8 * 12)),
    ],
    ids=str,
)
def test_the_effort_of_a_cp_chain_by_hand(kernel_size, rank, before, after, effort):
    layer = layer_of(6, 8, kernel_size, rank=rank, stride=1 if len(kernel_size) == 1 else 2)
    x = images(3, 6, *(2, 5, 7)[-layer.order :])
    assert (x[0, 0].numel(), layer(x)[0, 0].numel()) == (before, after)
    assert layer.cost(x.shape).effort == 3 * effort


@pytest.mark.parametrize("scheme", ["tucker", "tt"])
def test_the_effort_of_other_chains_is_twice_their_multiply_adds(scheme):
    layer = layer_of(6, 8, (3, 3), factorization=scheme, rank=RANKS[scheme][2])
    cost = layer.cost((3, 6, 5, 7))
    assert cost.effort == 2 * cost.chain


@pytest.mark.parametrize(("kernel_size", "rank"), [((5,), 60), ((3, 5), 90), ((3, 3, 5), 200)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_kernel_is_rebuilt_once_the_batch_is_large_enough_to_pay_for_it(kernel_size, rank, stride):
    layer = layer_of(24, 32, kernel_size, rank=rank, stride=stride)
    one = layer.cost((1, 24, *(2, 5, 7)[-layer.order :]))
    enough = one.rebuild / (one.effort - one.dense)
    chosen = set()
    for batch in (math.floor(enough), math.floor(enough) + 1):
        x = images(batch, 24, *(2, 5, 7)[-layer.order :])
        layer.path = "rule"
        by_rule = layer(x)
        path = "reconstructed" if batch > enough else "factorized"
        assert layer.chosen_path(x) == path
        layer.path = path
        # Bit for bit: the two paths differ in the last digits.
        assert torch.equal(by_rule, layer(x))
        layer.path = "reconstructed" if path == "factorized" else "factorized"
        assert not torch.equal(by_rule, layer(x))
        chosen.add(path)
    assert chosen == {"reconstructed", "factorized"}


def test_idle_lanes_count():
    # Up to 8 components cost as much as 8 do: 16 for the projections and 8 for each of 9 taps.
    x = torch.zeros(10, 8, 100, 100)
    assert {FactorizedConv(8, 8, (3, 3), rank=rank).cost(x.shape).effort for rank in range(1, 9)} == {8 * 88 * 10**5}
    assert {FactorizedConv(8, 8, (3, 3), rank=rank).cost(x.shape).effort for rank in range(9, 17)} == {16 * 88 * 10**5}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_rule_looks_at_counts_only(scheme):
    layer = FactorizedConv(8, 8, (3, 3), factorization=scheme)
    x = torch.zeros(40, 8, 12, 12)
    expected = layer.chosen_path(x)
    assert expected == "reconstructed"
    with torch.no_grad():
        assert layer.chosen_path(x) == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.chosen_path(x) == expected
    for other in (x.double(), x.contiguous(memory_format=torch.channels_last), x.requires_grad_(), x.to("meta")):
        assert layer.chosen_path(other) == expected
    layer.bias = nn.Parameter(torch.zeros(8))
    assert layer.eval().chosen_path(x) == expected
    assert layer.chosen_path(x[:1, :, :2, :2]) == "factorized"
    assert not layer.choices


@pytest.mark.parametrize(("scheme", "rank"), [("cp", 16), ("tucker", (6, 6, 3, 3, 3)), ("tt", (8, 12, 12, 8))])
def test_where_the_temporal_factor_alone_is_trained_the_chain_is_taken_more_often(scheme, rank):
    layer = FactorizedConv(8, 8, (3, 3, 3), factorization=scheme, rank=rank)
    x = torch.zeros(20, 8, 4, 12, 12)
    assert layer.chosen_path(x) == "reconstructed"
    for name, tensor in layer.tensors.items():
        tensor.requires_grad_(name == "time")
    assert layer.chosen_path(x) == "factorized"
    with torch.no_grad():
        assert layer.chosen_path(x) == "reconstructed"
    layer.factors["height"].requires_grad_()
    assert layer.chosen_path(x) == "reconstructed"


def test_a_sample_alone_gives_the_numbers_it_gives_in_a_batch():
    layer = layer_of(24, 32, (3, 3), rank=96)
    x = images(12, 24, 5, 5)
    assert layer.chosen_path(x) != layer.chosen_path(x[:1])
    assert_same(torch.cat([layer(sample) for sample in x.split(1)]), layer(x))


def test_a_situation_tells_apart_all_that_a_choice_depends_on():
    x = torch.zeros(2, 4, 5, 5)
    seen = {situation(x, True), situation(x, False), situation(x.double(), True), situation(x[:1], True)}
    with torch.autocast("cpu", torch.bfloat16):
        seen.add(situation(x, True))
    assert len(seen) == 5
    assert situation(x, False) == "2x4x5x5 float32 cpu 1 threads inference"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_measured_path_is_chosen_once_per_situation_and_then_reused(scheme):
    layer = layer_of(4, 5, (3, 3), factorization=scheme, path="measured")
    x = images(2, 4, 6, 6)
    layer(x)
    ((key, path),) = layer.choices.items()
    assert path in ("factorized", "reconstructed")
    # With the other path put in, that one is taken, so nothing is timed again.
    other = {"factorized": "reconstructed", "reconstructed": "factorized"}[path]
    layer.choices[key] = other
    assert layer.chosen_path(x) == other
    y = layer(x)
    layer.path = other
    assert torch.equal(y, layer(x))
    layer.path = "measured"
    with torch.no_grad():
        layer(x)
    layer(x[:1])
    assert len(layer.choices) == 3
    assert layer.choices[key] == other


def test_measuring_leaves_no_gradients_and_does_not_touch_the_input():
    layer, x = layer_of(4, 5, (3, 3), path="measured", bias=True), images(2, 4, 6, 6).requires_grad_()
    before = x.detach().clone()
    layer(x)
    assert x.grad is None
    assert torch.equal(x, before)
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize("trained", [(), ("bias",), ("weights",), ("factors.input",)], ids=str)
@pytest.mark.parametrize("slope", [True, False])
def test_measuring_works_whatever_is_trained(trained, slope):
    layer = layer_of(4, 5, (3, 3), path="measured", bias=True)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(name in trained)
    layer(images(2, 4, 6, 6).requires_grad_(slope))
    assert len(layer.choices) == 1


def test_with_an_inner_activation_the_chain_is_taken_without_measuring():
    layer = FactorizedConv(8, 8, (3, 3), inner_activation=True)
    for layer.path in ("rule", "measured"):
        assert layer.chosen_path(torch.zeros(40, 8, 12, 12)) == "factorized"
    assert not layer.choices


def test_candidates_run_in_turn_and_the_quicker_one_wins():
    calls = []

    def quick():
        calls.append("quick")

    def slow():
        calls.append("slow")
        sum(range(300_000))

    assert fastest({"slow": slow, "quick": quick}, torch.device("cpu"), rounds=3) == "quick"
    # One turn to warm up, one to see that the slow one has no chance.
    assert calls == ["slow", "quick"] * 2 + ["quick"] * 2
    assert elapsed(slow, torch.device("cpu")) > 0


@pytest.fixture
def measured():
    network = nn.Sequential(
        FactorizedConv(3, 4, (3, 3), path="measured"),
        nn.ReLU(),
        FactorizedConv(4, 4, (3, 3), path="measured"),
        FactorizedConv(4, 2, (3, 3), path="measured", inner_activation=True),
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
        again = nn.Sequential(*(FactorizedConv(n, 4, (3, 3), path="measured") for n in (3, 4, 4)))
        again.insert(1, nn.ReLU())
        load_choices(again, tmp_path / "paths.json")
        assert again[0].chosen_path(torch.randn(2, 3, 6, 6)) == pinned
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
        (None, "holds no measured paths .*No such file.*; write it with save_choices"),
        ("{", "holds no measured paths .*; write it with save_choices"),
        ("[1]", "holds no measured paths .*; write it with save_choices"),
        ('{"0": null}', "holds no measured paths .*; write it with save_choices"),
        ('{"0": "text"}', "holds no measured paths .*; write it with save_choices"),
        ('{"0": {"a": "factorized"}, "1": {}}', "layer '1' is not a factorized layer of this network; measure it"),
        ('{"0": {"a": "factorized"}, "2": {"a": "fast"}}', "'2'.*path 'fast'"),
        ('{"0": {"a": "factorized"}, "2": {"a": "measured"}}', "'2'.*path 'measured'"),
        ('{"0": {"a": "factorized"}, "2": {"a": "rule"}}', "'2'.*path 'rule'"),
        ('{"0": {"a": "factorized"}, "2": {"a": 3}}', "'2'.*path 3"),
        ('{"0": {"a": "factorized"}, "3": {"a": "reconstructed"}}', "'3'.*path 'reconstructed'.*inner activation"),
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


def test_the_path_of_a_network_is_set_and_layers_with_an_inner_activation_never_rebuild(measured):
    for path in PATHS:
        set_path(measured, path)
        assert [measured[0].path, measured[2].path] == [path, path]
        assert measured[3].path == ("factorized" if path == "reconstructed" else path)
    with pytest.raises(NetworkError, match="path 'fast' of a factorized convolution: choose from rule, measured"):
        set_path(measured, "fast")
    with pytest.raises(NetworkError, match="path 'fast'"):
        set_path(resnet18(2, "dense", 4, stem="small"), "fast")


@torch.no_grad()
def test_a_network_gives_the_same_numbers_on_every_path():
    network = resnet18(2, "cp", 4, stem="small").double().eval()
    x, outputs_by_path = images(2, 3, 20, 20), {}
    for path in PATHS:
        set_path(network, path)
        outputs_by_path[path] = network(x)
    for outputs in outputs_by_path.values():
        assert_same(outputs, outputs_by_path["factorized"])
