"""Every group measures what it says, at the tiny scale."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn

from hocbench.errors import BenchmarkError
from hocbench.nn import FactorizedConv
from hocbench.nn.baselines import TltorchConv
from hocbench.nn.implementation import situation
from hocbench.nn.layers import describe_layers
from studies.speed.compaction import SHARES, measure_compaction, with_zeros
from studies.speed.layers import (
    DENSE,
    MEASURED,
    OWN,
    RULE,
    TLTORCH,
    TWO_PLUS_ONE,
    chosen_implementations,
    layer_steps,
    make_layer,
    measure_layers,
)
from studies.speed.networks import (
    as_tltorch,
    make_network,
    measure_inference,
    measure_networks,
    rivals,
    time_factors,
    train_only,
)
from studies.speed.roofline import (
    BY_COUNT,
    BY_ROOFLINE,
    Machine,
    chain_passes,
    dense_passes,
    limits,
    measure_machine,
)
from studies.speed.scales import SCALES, find_scale
from studies.speed.temporal import frozen, measure_temporal
from tests.studies.conftest import ONE, row

FAST = Machine(1e12, 1e9)


def test_the_layers_are_the_3x3_convolutions_of_resnet18():
    assert SCALES["paper"].layers(224) == [(64, 56), (128, 28), (256, 14), (512, 7)]
    assert SCALES["paper"].layers(112) == [(64, 28), (128, 14), (256, 7), (512, 4)]
    assert SCALES["paper"].layer_shape(3, 64, 56) == (2, 64, 8, 56, 56)
    assert SCALES["paper"].layer_shape(2, 64, 56) == (4, 64, 56, 56)


def test_every_scale_has_at_least_two_clips_and_a_gpu_gets_longer_ones_at_224_pixels():
    assert all(scale.clips >= 2 for scale in SCALES.values())
    gpu = find_scale("paper", "cuda")
    assert (gpu.frames, gpu.network_frames, gpu.network_pixels) == (16, 16, (112, 224))
    assert find_scale("tiny", "cuda") == SCALES["tiny"]
    with pytest.raises(BenchmarkError, match="--scale 'huge': choose from paper, small, tiny"):
        find_scale("huge", "cpu")


@pytest.mark.parametrize("order", [2, 3])
def test_layers_are_compared_with_every_rival(bench, order):
    rows = measure_layers(bench, order, FAST)
    methods = [MEASURED, RULE, OWN["factorized"], OWN["reconstructed"], *TLTORCH.values(), DENSE[order]]
    methods += [TWO_PLUS_ONE] if order == 3 else []
    methods += [BY_COUNT, BY_ROOFLINE]
    assert [m.method for m in rows] == methods * 4
    assert {m.case for m in rows} == {"32 px"}


@pytest.mark.parametrize("order", [2, 3])
def test_chosen_implementations_have_the_times_of_the_one_taken(bench, order):
    rows = measure_layers(bench, order, FAST)
    for shape in {m.shape for m in rows}:
        here = {m.method: m for m in rows if m.shape == shape}
        for name in (MEASURED, RULE):
            assert here[name].note in ("factorized", "reconstructed")
            assert here[name].values == here[OWN[here[name].note]].values


def test_the_rule_may_rebuild_where_there_are_many_positions(bench):
    rows = measure_layers(replace(bench, scale=replace(bench.scale, images=64)), 2, FAST)
    assert [m.note for m in rows if m.method == RULE] == [
        "reconstructed",
        "reconstructed",
        "reconstructed",
        "factorized",
    ]


@pytest.mark.parametrize("implementation", ["factorized", "reconstructed"])
def test_the_measured_implementation_is_the_one_that_the_layer_takes_by_itself(bench, implementation):
    step = layer_steps(bench, make_layer(2, 4), torch.randn(2, 4, 8, 8))[0]
    step.module.choices[situation(step.x, True)] = implementation
    timed = [row(OWN["factorized"], (1,)), row(OWN["reconstructed"], (2,))]
    measured, _ = chosen_implementations(bench, step, timed)
    assert (measured.method, measured.note) == (MEASURED, implementation)
    assert measured.values == {"factorized": (1,), "reconstructed": (2,)}[implementation]


def test_a_rival_layer_with_another_kernel_is_refused(bench, monkeypatch):
    def wrong(own):
        conv = nn.Conv2d(own.in_channels, own.out_channels, 3, padding=1, bias=False)
        nn.init.ones_(conv.weight)
        return conv

    monkeypatch.setattr("studies.speed.layers.dense_layer", wrong)
    with pytest.raises(
        BenchmarkError, match="dense 2-D and hocbench factorized do not compute the same: output differ"
    ):
        measure_layers(bench, 2, FAST)


def test_inputs_lie_in_memory_as_is_said(bench):
    x = torch.randn(2, 4, 3, 8, 8)
    for step in layer_steps(bench, make_layer(3, 4), x):
        last = step.x.is_contiguous(memory_format=torch.channels_last_3d)
        assert step.note == ("channels-last" if last else "contiguous")
        assert step.x.is_contiguous() != last
        if step.name.startswith("hocbench"):
            assert last


def test_2plus1d_has_the_parameters_of_the_dense_layer(bench):
    (step,) = (s for s in layer_steps(bench, make_layer(3, 8), torch.randn(2, 8, 3, 4, 4)) if s.name == TWO_PLUS_ONE)
    count = sum(parameter.numel() for parameter in step.module.parameters())
    assert 0.95 < count / (27 * 8 * 8) <= 1


def test_networks_of_both_orders_are_compared_with_every_rival(bench):
    rows = measure_networks(bench)
    assert [m.method for m in rows] == [
        *("hocbench", *TLTORCH.values(), DENSE[2]),
        *("hocbench", *TLTORCH.values(), DENSE[3], TWO_PLUS_ONE),
    ]
    assert {(m.case, m.shape) for m in rows} == {("2-D training", "2×3×32×32"), ("3-D training", "2×3×3×32×32")}


def test_rival_networks_have_the_layers_that_they_are_named_after(bench):
    own, x = make_network(bench, 3, 32)
    networks = rivals(own)
    assert [name for name in networks] == [*TLTORCH.values(), DENSE[3]]
    for name, network in networks.items():
        assert not any(isinstance(module, FactorizedConv) for module in network.modules())
        kinds = {layer.conv.implementation for layer in network.modules() if isinstance(layer, TltorchConv)}
        assert kinds == ({name.removeprefix("tltorch ")} if name in TLTORCH.values() else set())
        torch.testing.assert_close(network.eval()(x), own.eval()(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["ours", "tltorch"])
def test_time_factors_are_those_of_time_and_can_be_trained_alone(bench, kind):
    own, x = make_network(bench, 3, 32)
    network = own if kind == "ours" else as_tltorch(own, "factorized")
    factors = time_factors(network)
    expected = {
        f"{name}.factors.time": layer.factors["time"]
        for name, layer in own.named_modules()
        if isinstance(layer, FactorizedConv)
    }
    assert factors.keys() == expected.keys()
    for name, factor in factors.items():
        assert torch.equal(factor, expected[name])
    train_only(network, factors)
    network(x).sum().backward()
    assert sum(p.grad is not None for p in network.parameters()) == len(factors) == 17
    assert all(factor.grad is not None for factor in factors.values())


def test_a_frozen_network_trains_its_temporal_factors_and_keeps_its_statistics(bench):
    own, _ = make_network(bench, 3, 32)
    network = frozen(own)
    names = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert names == set(time_factors(network))
    assert not any(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in own.parameters())


def test_the_temporal_step_is_compared_with_full_and_frozen_ones_and_its_gradients_are_exact(bench):
    *timed, difference = measure_temporal(bench)
    assert [m.method for m in timed] == [
        "hocbench, temporal factors only",
        "hocbench, full step",
        "hocbench, full step, BatchNorm frozen",
        "hocbench, temporal factors only, BatchNorm in training mode",
        *TLTORCH.values(),
    ]
    assert difference.quantity == "relative_difference"
    assert difference.values[0] < 1e-12


@pytest.mark.parametrize("share", SHARES)
def test_so_many_weights_of_every_layer_are_zero(bench, share):
    own, _ = make_network(bench, 3, 32)
    for layer in describe_layers(with_zeros(own, share)):
        assert layer["zeros"] == round(layer["rank"] * share / 100)
    assert not any(layer["zeros"] for layer in describe_layers(own))


def test_compaction_is_measured_in_both_modes_on_labelled_zeros_and_changes_no_output(bench):
    rows = measure_compaction(bench)
    cases = Counter(m.case for m in rows)
    assert cases == {
        f"SYNTHETIC zeros {share} %, {what}": count
        for share in (30, 50)
        for what, count in (("training", 2), ("inference", 2), ("outputs", 1))
    }
    assert all(m.values[0] < 1e-12 for m in rows if m.quantity == "relative_difference")
    assert [m.method for m in rows if m.case == "SYNTHETIC zeros 30 %, training"] == [
        "hocbench, compacted",
        "hocbench, zeros kept",
    ]


def test_the_exported_network_is_compared_with_every_rival_in_inference(bench):
    rows = measure_inference(bench)
    assert [m.method for m in rows] == [
        "hocbench, exported",
        "hocbench, not folded",
        *TLTORCH.values(),
        DENSE[3],
        f"{DENSE[3]}, folded",
        TWO_PLUS_ONE,
    ]
    assert rows[0].note.endswith("of 17 layers reconstructed")


def test_groups_run_under_autocast(bench):
    half = replace(bench, setting=replace(ONE, dtype="bfloat16"), rounds=1)
    for measure in (measure_networks, measure_temporal, measure_compaction, measure_inference):
        assert measure(half)
    assert measure_layers(half, 3, FAST)


def test_passes_are_counted_as_by_hand():
    layer, shape = FactorizedConv(4, 4, (3, 3, 3), rank=5), (2, 4, 3, 8, 8)
    positions = 2 * 3 * 8 * 8
    assert dense_passes(layer, shape) == [(positions * 4 * 4 * 27, positions * 8 + 4 * 4 * 27)]
    assert chain_passes(layer, shape) == [
        (positions * 4 * 5, positions * 9 + 20),
        (positions * 9 * 5, positions * 10 + 45),
        (positions * 3 * 5, positions * 10 + 15),
        (positions * 5 * 4, positions * 9 + 20),
    ]


def test_the_limit_at_matched_rank_in_3d_is_that_of_the_counts_where_memory_is_free_and_less_where_it_is_not():
    layer, shape = FactorizedConv(512, 512, (3, 3, 3)), (2, 512, 8, 7, 7)
    like = row("own", (1,))
    free, real, slow = (
        {m.method: m.values[0] for m in limits(ONE, like, layer, shape, Machine(1e11, bandwidth))}
        for bandwidth in (math.inf, 2e10, 1e6)
    )
    assert free[BY_COUNT] == free[BY_ROOFLINE] == pytest.approx(27 * 512 / (2291 / 512 * 1036), rel=1e-3)
    assert free[BY_COUNT] == pytest.approx(2.98, abs=0.01)
    assert slow[BY_ROOFLINE] < real[BY_ROOFLINE] < real[BY_COUNT]


def test_the_machine_is_measured_in_operations_and_bytes_per_second():
    machine, rows = measure_machine(ONE, "tiny")
    assert machine.flops > 0 < machine.bandwidth
    assert [(m.quantity, len(m.values)) for m in rows] == [("flop_per_s", 5), ("byte_per_s", 5)]
