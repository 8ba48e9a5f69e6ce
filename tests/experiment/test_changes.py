"""Experiments add rows of one change each and leave every other run as it is."""

import copy

import pytest

from hocbench.config.load import _merge, parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.plan import expected_rows, make_plan
from tests.experiment.test_plan import BASE

NONE = {"experiments": []}


def plan(experiments, change=None):
    values = _merge(_merge(copy.deepcopy(BASE), change or {}), {"experiments": experiments})
    return make_plan(parse_params(values))


def added(*experiments):
    before = {run.id for run in plan([])}
    after = plan(list(experiments))
    assert before <= {run.id for run in after}
    return [run for run in after if run.id not in before]


def test_a_change_of_the_temporal_factors_starts_from_the_shared_static_network():
    (temporal,) = added({"runs": ["temporal"], "seeds": [0], "kernel_size": 5})
    assert temporal.axes.variant == "kernel-5"
    assert temporal.spec["temporal"]["kernel_size"] == 5
    assert (temporal.parent.axes.stage, temporal.parent.axes.variant) == ("static", "")
    assert temporal.id.startswith("temporal-rank0.22x-kernel-5-")


def test_what_comes_before_is_changed_as_well():
    runs = added({"runs": ["joint"], "seeds": [1], "init": "centre"})
    assert [(run.axes.stage, run.axes.variant, run.axes.seed) for run in runs] == [
        ("temporal", "init-centre", 1),
        ("joint", "init-centre", 1),
    ]
    assert runs[1].parent is runs[0]


def test_a_change_of_the_network_trains_another_static_one():
    runs = added({"runs": ["joint"], "seeds": [0], "inner_activation": True})
    assert [(run.axes.dataset, run.axes.stage) for run in runs] == [
        ("affectnet", "static"),
        ("sewa", "temporal"),
        ("sewa", "joint"),
    ]
    assert all(run.spec["network"]["inner_activation"] for run in runs)


def test_fewer_clips_and_longer_training_touch_video_only():
    runs = added({"runs": ["temporal", "scratch_dense"], "seeds": [0], "clips": 35, "epochs_factor": 4})
    assert {run.axes.variant for run in runs} == {"clips-35+epochs-x4"}
    assert [(run.spec["training"]["clips"], run.axes.epochs) for run in runs] == [(35, 12), (35, 16)]
    assert runs[0].parent.axes.variant == ""


def test_a_change_that_changes_nothing_shares_all_runs():
    kernel = BASE["temporal"]["kernel_size"]
    assert added({"runs": ["joint"], "kernel_size": kernel}) == []


def test_the_rows_of_an_experiment_are_expected():
    rows = expected_rows(added({"runs": ["untrained"], "init": "average"}))
    assert [(row["method"], row["variant"]) for row in rows] == [("CP 3-D, transducted, untrained", "init-average")]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        ({"runs": ["joint"]}, "changes nothing; give kernel_size, init, inner_activation, clips or epochs_factor"),
        ({"runs": ["joint"], "init": "centre", "seeds": [7]}, r"experiments.0.seeds: \[7\] are not among"),
        ({"runs": ["joint"], "kernel_size": 4}, "experiments.0.kernel_size"),
        ({"runs": ["jiont"], "init": "centre"}, "experiments.0.runs.0"),
        ({"runs": ["joint"], "inti": "centre"}, "experiments.0.inti"),
    ],
)
def test_a_wrong_experiment_is_named(experiment, message):
    with pytest.raises(ParameterError, match=message):
        plan([experiment])


def test_an_experiment_on_a_dataset_that_is_not_there_is_named():
    experiment = {"dataset": "sewa_control", "runs": ["joint"], "init": "centre"}
    with pytest.raises(ParameterError, match=r"experiments.0.dataset: there is no datasets.sewa_control"):
        plan([experiment], {"datasets": {"sewa_control": None}})
