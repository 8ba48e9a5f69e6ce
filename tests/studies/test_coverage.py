"""Coverage of the intervals and level of the tests, on 2,000 simulated test sets of each size: some ten minutes."""

import os

import numpy as np
import pytest

from studies.coverage.study import LEVEL, coverage_table

pytestmark = pytest.mark.statistics
DRAWS = 2000
PROMISED_FROM = 40  # clusters


@pytest.fixture(scope="module")
def table():
    return coverage_table(DRAWS, 0, processes=os.cpu_count() or 1)


@pytest.mark.parametrize("quantity", ["score", "difference"])
@pytest.mark.parametrize("seeds", [1, 5])
def test_studentised_intervals_cover_the_truth_as_often_as_they_say(table, quantity, seeds):
    own = table[(table["quantity"] == quantity) & (table["method"] == "studentised") & (table["seeds"] == seeds)]
    shares = own[own["clusters"] >= PROMISED_FROM]
    assert len(shares) >= 4
    assert shares["share"].between(0.93, 0.97).all(), shares.to_string()


def test_percentile_intervals_of_few_clusters_do_not(table):
    # The reason for studentised ones; if this ever fails, the simpler interval would do.
    own = table[(table["quantity"] == "score") & (table["seeds"] == 1) & (table["clusters"] == 10)]
    by_method = own.groupby("method")["share"].mean()
    assert by_method["percentile"] < 0.92 < by_method["studentised"]


@pytest.mark.parametrize("method", ["swap", "swap, Holm", "trend"])
def test_tests_reject_true_hypotheses_no_more_often_than_they_say(table, method):
    own = table[(table["quantity"] == "test") & (table["method"] == method)]
    # Four standard errors of a share of 0.05 from 2,000 draws.
    allowed = LEVEL + 4 * np.sqrt(LEVEL * (1 - LEVEL) / DRAWS)
    assert len(own) == 20
    assert (own["share"] <= allowed).all(), own.to_string()
    # Of few clusters there are too few swaps for a p value below the level.
    many = own[own["clusters"] >= PROMISED_FROM]
    if method != "swap, Holm":
        assert (many["share"] >= 2 * LEVEL - allowed).all(), own.to_string()
