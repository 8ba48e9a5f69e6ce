import math

import pytest
import torch
from torch import nn

from hocbench.nn import FactorizedConv
from hocbench.nn.factorizations import Cost
from hocbench.nn.implementation import ROUNDS, choose_by_rule, elapsed, fastest, situation
from tests.nn.oracles import RANKS, SCHEMES, assert_same, images, layer_of


def test_the_kernel_is_rebuilt_where_that_and_one_dense_convolution_are_less_effort_than_the_chain():
    assert choose_by_rule(Cost(0, effort=126, dense=100, rebuild=25), False) == "reconstructed"
    assert choose_by_rule(Cost(0, effort=125, dense=100, rebuild=25), False) == "factorized"
    assert choose_by_rule(Cost(0, effort=186, dense=100, rebuild=25), True) == "factorized"
    assert choose_by_rule(Cost(0, effort=189, dense=100, rebuild=25), True) == "reconstructed"
    assert choose_by_rule(Cost(0, effort=0, dense=0, rebuild=25), False) == "factorized"


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
        layer.implementation = "rule"
        by_rule = layer(x)
        implementation = "reconstructed" if batch > enough else "factorized"
        assert layer.chosen_implementation(x) == implementation
        layer.implementation = implementation
        # Bit for bit: the two differ in the last digits.
        assert torch.equal(by_rule, layer(x))
        layer.implementation = "reconstructed" if implementation == "factorized" else "factorized"
        assert not torch.equal(by_rule, layer(x))
        chosen.add(implementation)
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
    expected = layer.chosen_implementation(x)
    assert expected == "reconstructed"
    with torch.no_grad():
        assert layer.chosen_implementation(x) == expected
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.chosen_implementation(x) == expected
    for other in (x.double(), x.contiguous(memory_format=torch.channels_last), x.requires_grad_(), x.to("meta")):
        assert layer.chosen_implementation(other) == expected
    layer.bias = nn.Parameter(torch.zeros(8))
    assert layer.eval().chosen_implementation(x) == expected
    assert layer.chosen_implementation(x[:1, :, :2, :2]) == "factorized"
    assert not layer.choices


@pytest.mark.parametrize(("scheme", "rank"), [("cp", 16), ("tucker", (6, 6, 3, 3, 3)), ("tt", (8, 12, 12, 8))])
def test_where_the_temporal_factor_alone_is_trained_the_chain_is_taken_more_often(scheme, rank):
    layer = FactorizedConv(8, 8, (3, 3, 3), factorization=scheme, rank=rank)
    x = torch.zeros(20, 8, 4, 12, 12)
    assert layer.chosen_implementation(x) == "reconstructed"
    for name, tensor in layer.tensors.items():
        tensor.requires_grad_(name == "time")
    assert layer.chosen_implementation(x) == "factorized"
    with torch.no_grad():
        assert layer.chosen_implementation(x) == "reconstructed"
    layer.factors["height"].requires_grad_()
    assert layer.chosen_implementation(x) == "reconstructed"


def test_a_sample_alone_gives_the_numbers_it_gives_in_a_batch():
    layer = layer_of(24, 32, (3, 3), rank=96)
    x = images(12, 24, 5, 5)
    assert layer.chosen_implementation(x) != layer.chosen_implementation(x[:1])
    assert_same(torch.cat([layer(sample) for sample in x.split(1)]), layer(x))


def test_a_situation_tells_apart_all_that_a_choice_depends_on():
    x = torch.zeros(2, 4, 5, 5)
    seen = {situation(x, True), situation(x, False), situation(x.double(), True), situation(x[:1], True)}
    with torch.autocast("cpu", torch.bfloat16):
        seen.add(situation(x, True))
    assert len(seen) == 5
    assert situation(x, False) == "2x4x5x5 float32 cpu 1 threads inference"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_implementation_is_measured_once_per_situation_and_then_reused(scheme):
    layer = layer_of(4, 5, (3, 3), factorization=scheme, implementation="measured")
    x = images(2, 4, 6, 6)
    layer(x)
    ((key, implementation),) = layer.choices.items()
    assert implementation in ("factorized", "reconstructed")
    # With the other implementation put in, that one is taken, so nothing is timed again.
    other = {"factorized": "reconstructed", "reconstructed": "factorized"}[implementation]
    layer.choices[key] = other
    assert layer.chosen_implementation(x) == other
    y = layer(x)
    layer.implementation = other
    assert torch.equal(y, layer(x))
    layer.implementation = "measured"
    with torch.no_grad():
        layer(x)
    layer(x[:1])
    assert len(layer.choices) == 3
    assert layer.choices[key] == other


def test_measuring_leaves_no_gradients_and_does_not_touch_the_input():
    layer, x = layer_of(4, 5, (3, 3), implementation="measured", bias=True), images(2, 4, 6, 6).requires_grad_()
    before = x.detach().clone()
    layer(x)
    assert x.grad is None
    assert torch.equal(x, before)
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize("trained", [(), ("bias",), ("weights",), ("factors.input",)], ids=str)
@pytest.mark.parametrize("slope", [True, False])
def test_measuring_works_whatever_is_trained(trained, slope):
    layer = layer_of(4, 5, (3, 3), implementation="measured", bias=True)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(name in trained)
    layer(images(2, 4, 6, 6).requires_grad_(slope))
    assert len(layer.choices) == 1


def test_with_an_inner_activation_the_chain_is_taken_without_measuring():
    layer = FactorizedConv(8, 8, (3, 3), inner_activation=True)
    for layer.implementation in ("rule", "measured"):
        assert layer.chosen_implementation(torch.zeros(40, 8, 12, 12)) == "factorized"
    assert not layer.choices


def test_candidates_run_in_turn_and_the_quicker_one_wins():
    calls = []

    def quick():
        calls.append("quick")

    def slow():
        calls.append("slow")
        sum(range(300_000))

    assert fastest({"slow": slow, "quick": quick}, torch.device("cpu")) == "quick"
    # One turn to warm up, one to see that the slow one has no chance.
    assert calls == ["slow", "quick"] * 2 + ["quick"] * (ROUNDS - 1)
    assert elapsed(slow, torch.device("cpu")) > 0
