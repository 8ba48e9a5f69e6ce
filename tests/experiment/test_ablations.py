"""Ablations add rows of one change each and leave every other run as it is."""

import pytest

from hocbench.config.load import parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.plan import describe, make_plan
from tests.workflow.leaves import BASE, merged


def parsed(ablations, change=None):
    return parse_params(merged(change or {}) | {"ablations": ablations})


def plan(ablations, change=None):
    return make_plan(parsed(ablations, change))


def added(*ablations):
    before = {run.id for run in plan([])}
    after = plan(list(ablations))
    assert before <= {run.id for run in after}
    return [run for run in after if run.id not in before]


def test_a_change_of_the_temporal_factors_starts_from_the_shared_static_network():
    (temporal,) = added({"methods": ["temporal"], "seeds": [0], "change": {"temporal.kernel_size": 5}})
    assert temporal.key.ablation == "kernel_size-5"
    assert temporal.spec.temporal.kernel_size == 5
    assert (temporal.parent.key.method, temporal.parent.key.ablation) == ("static", "")
    assert temporal.id.startswith("temporal-rank0.22x-kernel_size-5-")


def test_what_comes_before_is_changed_as_well():
    runs = added({"methods": ["joint"], "seeds": [1], "change": {"temporal.init": "centre"}})
    assert [(run.key.method, run.key.ablation, run.key.seed) for run in runs] == [
        ("temporal", "init-centre", 1),
        ("joint", "init-centre", 1),
    ]
    assert runs[1].parent is runs[0]


def test_a_change_of_the_network_trains_another_static_one():
    runs = added({"methods": ["joint"], "seeds": [0], "change": {"network.inner_activation": True}})
    assert [(run.key.dataset, run.key.method) for run in runs] == [
        ("affectnet", "static"),
        ("sewa", "temporal"),
        ("sewa", "joint"),
    ]
    assert runs[0].spec.network.inner_activation
    assert {run.key.ablation for run in runs} == {"inner_activation-on"}


def test_fewer_clips_and_longer_training_touch_video_only():
    change = {"change": {"training.clips": 35}, "epochs_factor": 4}
    runs = added({"methods": ["temporal", "scratch_dense"], "seeds": [0]} | change)
    assert {run.key.ablation for run in runs} == {"clips-35+epochs-x4"}
    trainings = [run.spec.training for run in runs]
    assert [(training.steps.clips, training.epochs) for training in trainings] == [(35, 12), (35, 16)]
    assert runs[0].parent.key.ablation == ""


def test_longer_training_by_itself_is_described_as_such():
    params = parsed(
        [{"methods": ["joint"], "epochs_factor": 2}, {"methods": ["joint"], "change": {"training.clips": 9}}]
    )
    assert describe(params, make_plan(params)).longer == ("epochs-x2",)


def test_any_key_of_a_training_can_be_changed_and_a_name_be_given():
    change = {"training.stages.joint.learning_rate": 0.5, "temporal.padding": "replicate"}
    runs = added({"methods": ["joint"], "seeds": [0], "change": change, "name": "other"})
    assert [(run.key.method, run.key.ablation) for run in runs] == [("temporal", "other"), ("joint", "other")]
    assert runs[1].spec.training.steps.learning_rate == 0.5


def test_a_change_that_changes_nothing_shares_all_runs():
    kernel = BASE["temporal"]["kernel_size"]
    assert added({"methods": ["joint"], "change": {"temporal.kernel_size": kernel}}) == []


def test_another_dataset_can_be_named():
    runs = added({"methods": ["temporal"], "dataset": "afew_va", "change": {"temporal.kernel_size": 5}})
    assert {(run.key.dataset, run.key.fold) for run in runs} == {("afew_va", 0), ("afew_va", 1)}


def test_the_rows_of_an_ablation_are_expected():
    params = parsed([{"methods": ["untrained"], "change": {"temporal.init": "average"}}])
    rows = [row for row in describe(params, make_plan(params)).rows if row.ablation]
    assert [(row.dataset, row.method, row.ablation) for row in rows] == [("sewa", "untrained", "init-average")]


@pytest.mark.parametrize(
    ("ablation", "message"),
    [
        ({"methods": ["joint"]}, "changes nothing; give change, such as {temporal.kernel_size: 5}, or epochs_factor"),
        (
            {"methods": ["joint"], "change": {"temporal.init": "centre"}, "seeds": [7]},
            "ablations.0.seeds: [7] are not among datasets.sewa.seeds",
        ),
        (
            {"methods": ["joint"], "change": {"temporal.kernel_size": 4}},
            "ablations.0 (kernel_size-4): params.yaml (or an overlay) is not valid:\n  temporal.kernel_size: 4 is not",
        ),
        (
            {"methods": ["joint"], "change": {"temporal.inti": "centre"}},
            "temporal.inti: unknown key (value 'centre'); did you mean temporal.init?",
        ),
        (
            {"methods": ["joint"], "change": {"temporal.init.of": "centre"}},
            "temporal.init.of: init is a value and has no keys",
        ),
        (
            {"methods": ["joint"], "change": {"datasets.sewa.folds": [1], "evaluation.replicates": 100}},
            "datasets.sewa.folds, evaluation.replicates cannot be changed in an ablation, keys of network, temporal,",
        ),
        (
            {"methods": ["jiont"], "change": {"temporal.init": "centre"}},
            "ablations.0.methods: there is no method 'jiont'; did you mean joint? All of them: static, static_dense,",
        ),
        (
            {"methods": ["joint"], "chnage": {"temporal.init": "centre"}},
            "ablations.0.chnage: unknown key (value {'temporal.init': 'centre'}); did you mean ablations.0.change?",
        ),
        (
            {"methods": ["joint"], "init": "centre"},
            "write it as a change by its dotted name, such as change: {temporal.init",
        ),
        ({"runs": ["joint"], "change": {"temporal.init": "centre"}}, "(value ['joint']); it is called methods now"),
    ],
)
def test_a_wrong_ablation_is_named(ablation, message):
    with pytest.raises(ParameterError) as error:
        plan([ablation])
    assert message in str(error.value)


def test_an_ablation_on_a_dataset_that_is_not_there_is_named():
    ablation = {"dataset": "sewa_control", "methods": ["joint"], "change": {"temporal.init": "centre"}}
    with pytest.raises(ParameterError, match=r"ablations.0.dataset: there is no datasets.sewa_control of clips"):
        plan([ablation], {"datasets": {"sewa_control": None}})
