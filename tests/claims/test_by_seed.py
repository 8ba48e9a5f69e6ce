"""Tables and verdicts by one training seed, against an evaluation of the runs of that seed alone."""

from dataclasses import replace

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from hocbench.claims.by_seed import by_seed
from hocbench.claims.evidence import evidence_table
from hocbench.claims.results import read_results
from hocbench.claims.schema import load_claims
from hocbench.claims.verdicts import verdict_table
from hocbench.evaluation.files import read_table
from hocbench.runs.finished import read_runs
from tests.evaluation.conftest import Writer, evaluate_written

OPTIONS = {"replicates": 60}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """Real images, chats and clips of two seeds, and of the clips only one; the second alone, and all."""
    folder = tmp_path_factory.mktemp("seeds")
    write = Writer(folder / "runs")
    for seed in (0, 1):
        write("affectnet", "static_dense", noise=0.3, seed=seed)
        write("affectnet", "static", noise=0.3 + 0.3 * seed, seed=seed)
        write("sewa", "frames", noise=0.4, seed=seed)
        # The second seed spoils what the first achieves.
        write("sewa", "joint", noise=0.1 + 0.9 * seed, seed=seed)
    write("afew_va", "frames", noise=0.4)
    write("afew_va", "joint", noise=0.1)
    for path in write.paths:
        write.relabel(path, label="real")
    second = [run.path for run in read_runs(write.paths) if run.key.seed == 1]
    assert len(second) == 4
    evaluate_written(write.paths, folder / "all", **OPTIONS)
    evaluate_written(second, folder / "second", **OPTIONS)
    return folder


@pytest.mark.parametrize(
    ("name", "whole", "rows"), [("seed_differences", "differences", 4), ("seed_intervals", "intervals", 40)]
)
def test_a_seed_has_the_rows_of_an_evaluation_of_its_runs_alone(evaluated, name, whole, rows):
    found, alone = read_table(evaluated / f"all/{name}.csv"), read_table(evaluated / f"second/{whole}.csv")
    assert set(found["dataset"]) == {"affectnet", "sewa"} and set(found["seed"]) == {0, 1}
    found = found[found["seed"] == 1]
    alone = alone[alone["metric"] == "ccc"] if whole == "differences" else alone[alone["pooling"] == "pooled"]
    shared = [column for column in found.columns if column != "seed"]
    assert len(found) >= rows
    assert_frame_equal(found[shared].reset_index(drop=True), alone[shared].reset_index(drop=True), rtol=1e-9)


def test_verdicts_by_seed_are_those_of_its_runs_alone(evaluated, tmp_path):
    claims = load_claims()
    results = read_results(evaluated / "all", tmp_path)
    verdicts = verdict_table(claims, evidence_table(claims, results))
    table = verdicts.assign(by_seed=by_seed(claims, results, verdicts)).set_index(["claim", "dataset"])
    one = claims.model_copy(update={"seeds_needed": 1})
    expected = verdict_table(one, evidence_table(one, read_results(evaluated / "second", tmp_path)))
    expected = expected.set_index(["claim", "dataset"])["verdict"]
    for key in (("C1", "affectnet"), ("C3", "sewa"), ("C7", "affectnet")):
        first, second = table.loc[key, "by_seed"].split("; ")
        assert first.startswith("0: ") and second == f"1: {expected[key]}"
    assert expected["C3", "sewa"] == "not reproduced" != table.loc[("C3", "sewa"), "by_seed"].split("; ")[0][3:]
    assert table.loc[("C3", "afew_va"), "by_seed"] == "one seed only"
    assert set(table.loc[["C5", "C8"], "by_seed"]) == {""}
    # Two of five seeds settle nothing on real data.
    assert table.loc[("C3", "sewa"), "verdict"] == "inconclusive"


def test_synthetic_scores_are_not_made_by_seed_since_none_is_judged(experiment):
    assert read_table(experiment[1] / "seed_intervals.csv").empty
    assert set(read_table(experiment[1] / "seed_differences.csv")["metric"]) == {"ccc"}


def test_ratios_of_costs_are_those_of_the_seed(experiment, tmp_path):
    results = read_results(experiment[1], tmp_path)
    seeds = pd.Series(results.costs["seed"] + 1.0, index=results.costs.index)
    scratch = results.costs["method"] == "scratch"
    costs = results.costs.assign(training_cpu_s=seeds.where(scratch, 1.0))
    claims = load_claims()
    results = replace(results, costs=costs)
    rows = evidence_table(claims, results.of_seed(1)).query("statistic == 'time_ratio' and judged == 1")
    assert rows["value"].dropna().tolist() == [2.0]
