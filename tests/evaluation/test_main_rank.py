"""Two ranks in one experiment: whatever is about one of them is about the main rank, the first of the sweep."""

import json

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from hocbench.evaluation.differences import COLUMNS
from hocbench.evaluation.files import read_table
from hocbench.experiment.description import read_description
from tests.evaluation.conftest import description_of

MAIN = pytest.mark.parametrize("main", ["0.22", "0.1"])
# They depend on how many rows there are.
OF_THE_FAMILY = ["p_holm", "n_comparisons"]


def of_main(table, main):
    return table[table["rank"].isin(["", main])].reset_index(drop=True)


def test_the_main_rank_is_the_first_of_the_sweep_and_the_matched_one_if_there_is_one(write_run):
    paths = [write_run(rank=rank) for rank in (0.22, 0.1)]
    assert description_of(paths).rank == "0.22"
    assert description_of([*paths, write_run(rank="same")]).rank == "same"


@MAIN
def test_networks_without_a_rank_are_compared_at_the_main_one(ranked, main):
    both, alone = (read_table(folder / "differences.csv") for folder in ranked[main])
    assert set(both["rank"]) == {"", "0.22", "0.1"}
    assert set(both.loc[both["rank"] == "", "method"]) == {"inflated", "scratch_dense"}
    columns = [column for column in COLUMNS if column not in OF_THE_FAMILY]
    assert_frame_equal(of_main(both, main)[columns], alone[columns])


@MAIN
@pytest.mark.parametrize("name", ["timelines", "circumplex"])
def test_drawn_frames_are_of_the_main_rank(ranked, main, name):
    both, alone = (pd.read_parquet(folder / f"{name}.parquet") for folder in ranked[main])
    assert len(both)
    assert_frame_equal(both, alone)


def test_drawn_frames_of_another_main_rank_are_others(ranked):
    for name in ("timelines", "circumplex"):
        first, second = (pd.read_parquet(ranked[main][0] / f"{name}.parquet") for main in ("0.22", "0.1"))
        assert len(first) == len(second) and not first.equals(second)


@MAIN
@pytest.mark.parametrize("name", ["sparsity", "intervals", "scores", "quadrants", "factors", "costs"])
def test_rows_of_the_main_rank_are_those_of_an_experiment_without_the_other(ranked, main, name):
    both, alone = (read_table(folder / f"{name}.csv") for folder in ranked[main])
    assert {"0.22", "0.1"} <= set(both["rank"])
    assert_frame_equal(of_main(both, main), alone)


def test_trends_run_over_both_ranks_from_the_smaller_to_the_larger(ranked):
    trends = read_table(ranked["0.22"][0] / "trends.csv").query("axis == 'rank'")
    assert set(trends["levels"]) == {"0.1;0.22"}
    assert set(trends["rank"]) == {""} and {"static", "joint", "static_smoothed"} <= set(trends["method"])


def test_both_ranks_have_scores_of_their_own_and_stand_in_the_description(ranked):
    both, alone = ranked["0.1"]
    metrics = json.loads((both / "metrics.json").read_text())
    assert {"sewa.joint_rank0.22.valence.ccc", "sewa.joint_rank0.1.valence.ccc", "sewa.inflated.arousal.ccc"} <= set(
        metrics
    )
    found = read_description(both)
    assert (found.rank, found.ranks) == ("0.1", ("0.22", "0.1")) and read_description(alone).ranks == ("0.1",)
    assert {row.rank for row in found.rows if found.is_main(row)} == {"", "0.1"}
