import numpy as np
import pandas as pd
import pytest

from studies.coverage.simulation import LONGEST, SHORTEST, STATISTIC, Design, population_scores, simulate_sums
from studies.coverage.study import COLUMNS, coverage_table


@pytest.mark.parametrize("seeds_vary", [False, True])
def test_population_scores_are_those_of_very_many_subjects(seeds_vary):
    seeds = 60 if seeds_vary else 1
    clusters = 400 if seeds_vary else 30_000
    sums = simulate_sums(Design(clusters, 1, seeds, seeds_vary), np.random.default_rng(0))[0]
    found = STATISTIC.value(sums.sum(axis=1)).mean(axis=0)
    np.testing.assert_allclose(found, population_scores(seeds_vary=seeds_vary), atol=0.015)


def test_frames_are_autocorrelated_and_subjects_differ():
    sums = simulate_sums(Design(2000), np.random.default_rng(1))[0, 0]
    lengths = sums[:, 0]
    assert (lengths.min(), lengths.max()) == (SHORTEST, LONGEST)
    # Were frames independent, means of some forty frames would vary by a fortieth of the variance of frames.
    means = sums[:, 2] / lengths
    total = sums.sum(axis=0)
    assert means.var() > 0.6 * (total[4] / total[0] - (total[2] / total[0]) ** 2)


def test_coverage_is_the_same_for_any_number_of_processes(monkeypatch):
    monkeypatch.setattr("studies.coverage.study.SIZES", {1: (6,), 5: (6,)})
    monkeypatch.setattr("studies.coverage.study.REPLICATES", 50)
    table = coverage_table(4, 3)
    assert list(table.columns) == COLUMNS
    pd.testing.assert_frame_equal(table, coverage_table(4, 3))
    shares = table.groupby(["seeds", "quantity", "method"]).size()
    assert set(shares) == {4}
    assert {("score", "studentised"), ("score", "BCa"), ("score", "percentile")} <= {key[1:] for key in shares.index}
    assert table["share"].between(0, 1).all() and set(table["draws"]) == {4}


@pytest.mark.parametrize("arguments", [("--draws", 0), ("--processes", -2)])
def test_a_study_that_cannot_be_made_is_refused(studies, tmp_path, arguments):
    code, _, error = studies("coverage", tmp_path / "out", *arguments)
    assert (code, f"{arguments[0]}: not valid" in error) == (2, True)
    assert not (tmp_path / "out").exists()
