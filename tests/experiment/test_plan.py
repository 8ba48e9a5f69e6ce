"""The plan is complete, stable and shares what can be shared."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from hocbench.config.load import _merge, parse_params
from hocbench.errors import ParameterError
from hocbench.experiment.plan import canonical_json, expected_rows, make_plan

BASE = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())


def plan(change=None):
    return make_plan(parse_params(_merge(copy.deepcopy(BASE), change or {})))


def ids(runs):
    return {run.id for run in runs}


def test_parents_come_first_and_ids_are_unique():
    seen = set()
    for run in plan():
        assert run.parent is None or run.parent.id in seen
        assert run.id not in seen
        seen.add(run.id)


def test_a_2d_network_is_shared_by_all_that_starts_from_it():
    runs = plan()
    static = [run for run in runs if run.axes.dataset == "affectnet" and run.axes.stage == "static"]
    assert len(static) == 2 * len(BASE["datasets"]["affectnet"]["seeds"])
    children = [run for run in runs if run.parent is static[1]]
    assert {run.axes.dataset for run in children} == {"affectnet", "sewa", "afew_va", "sewa_control"}


def test_one_more_lasso_value_adds_only_its_runs():
    before, after = plan(), plan({"sweep": {"lasso": [0, 0.02, 0.05, 0.1]}})
    assert ids(before) < ids(after)
    assert {run.axes.lasso for run in after if run.id not in ids(before)} == {0.1}


def test_order_of_a_sweep_does_not_change_ids():
    assert ids(plan()) == ids(plan({"sweep": {"lasso": [0.05, 0, 0.02]}}))


def test_a_warm_start_goes_along_the_sweep_from_the_next_smaller_weight():
    stages = {"training": {"stages": {"lasso": {"warm_start": True}}}}
    cold, warm = plan({"sweep": {"lasso": [0.05, 0, 0.02]}}), plan({"sweep": {"lasso": [0.05, 0, 0.02]}} | stages)
    penalised = [run for run in warm if run.axes.stage == "lasso"]
    assert {(run.axes.lasso, run.parent.axes.stage, run.parent.axes.lasso) for run in penalised} == {
        (0.02, "static", 0.0),
        (0.05, "lasso", 0.02),
    }
    assert all(run.parent.axes.seed == run.axes.seed for run in penalised)
    # The path begins with the same step, and nothing without a penalty is touched.
    assert {run.id for run in cold if run.axes.lasso < 0.05} == {run.id for run in warm if run.axes.lasso < 0.05}
    assert len(warm) == len(cold)


@pytest.mark.parametrize("lasso", [[0.02, 0.05], [0.05]])
def test_a_warm_path_begins_at_the_plain_network_though_it_is_not_in_the_sweep(lasso):
    runs = plan({"sweep": {"lasso": lasso}, "training": {"stages": {"lasso": {"warm_start": True}}}})
    assert {run.parent.axes.lasso for run in runs if run.axes.stage == "lasso"} == {0.0, *lasso[:-1]}


def test_networks_of_a_plan_say_what_they_are_built_of():
    runs = [run for run in plan({"network": {"inner_activation": True}}) if run.axes.dataset == "sewa"]
    kinds = {(run.axes.kind, run.spec["network"]["kind"], run.spec["network"].get("inner_activation")) for run in runs}
    assert kinds == {
        ("cp", "cp", True),
        ("dense", "dense", None),
        ("inflated", "dense", None),
        ("2plus1d", "2plus1d", None),
    }


@pytest.mark.parametrize(
    ("change", "untouched"),
    [
        ({"training": {"stages": {"joint": {"epochs": 9}}}}, {"static", "lasso", "frames", "temporal", "scratch"}),
        ({"training": {"stages": {"static": {"epochs": 9}}}}, {"scratch"}),
        ({"training": {"stages": {"lasso": {"rate_factor": 9}}}}, {"static", "frames", "scratch"}),
        ({"training": {"stages": {"temporal": {"stop_at_static": True}}}}, {"static", "lasso", "frames", "scratch"}),
        ({"training": {"clip_length": 5}}, {"static", "lasso", "frames"}),
        ({"training": {"frame_step": 2}}, {"static", "lasso", "frames"}),
        ({"network": {"inner_activation": True}}, set()),
        ({"datasets": {"sewa": {"synthetic": {"seed": 99}}}}, {"lasso"}),
        ({"seed": 1}, set()),
    ],
)
def test_a_change_renames_exactly_what_it_touches(change, untouched):
    before, after = plan(), plan(change)
    kept = {run.axes.stage for run in before if run.id in ids(after)}
    renamed = {run.axes.stage for run in before if run.id not in ids(after) and run.axes.stage in untouched}
    assert untouched <= kept
    assert renamed == set()


def test_the_folder_of_real_data_and_how_they_would_be_drawn_change_no_run():
    def of(root, images):
        runs = plan({"datasets": {"affectnet": {"root": root, "synthetic": {"images": images}}}})
        return ids(run for run in runs if run.axes.dataset == "affectnet")

    assert of("data/real/affectnet", 100) == of("/elsewhere/affectnet/", 200)
    assert not of("data/real/affectnet", 100) & of("data/synthetic/embedded/affectnet", 100)


def test_another_list_under_the_same_name_is_another_run(tmp_path):
    path = tmp_path / "mine.csv"
    change = {"datasets": {"sewa": {"split": {"kind": "file", "path": str(path)}}}}
    found = []
    for text in ("one", "two", "one"):
        path.write_text(text)
        found.append(ids(run for run in plan(change) if run.axes.dataset == "sewa"))
    assert found[0] == found[2]
    assert not found[0] & found[1]
    path.unlink()
    with pytest.raises(ParameterError, match=rf"split list {path} cannot be read \(No such file or directory\)"):
        plan(change)


def test_spec_is_plain_json_and_names_its_run():
    for run in plan():
        assert json.loads(canonical_json(run.spec)) == run.spec
        assert run.spec["run"] == run.id


def test_tables_must_show_controls():
    rows = [row["method"] for row in expected_rows(plan()) if row["dataset"] == "sewa" and not row["variant"]]
    for method in (
        "CP 2-D, static + moving average",
        "CP 2-D, fine-tuned on frames + moving average",
        "CP 3-D, transducted, untrained",
        "CP 2-D, fine-tuned on frames (reference)",
        "dense 2-D inflated to 3-D",
    ):
        assert rows.count(method) == 1
