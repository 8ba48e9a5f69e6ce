"""Bounds at which verdicts flip, against verdicts judged anew at every bound of a grid."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.claims.evidence import EMPTY, EVIDENCE_COLUMNS, evidence_table, place_of
from hocbench.claims.margins import MARGIN, margin_table, sides, verdict_pieces, width_of
from hocbench.claims.results import read_results
from hocbench.claims.schema import Test as Asked
from hocbench.claims.schema import load_claims
from hocbench.claims.verdicts import judge, verdict_table

GRID = 50
# Sixty-fourths are exact in binary, so that a bound can lie on a limit.
sixty_fourths = st.integers(-64, 64).map(lambda n: n / 64)
RANGES = (
    {"at_least": -0.25},
    {"at_most": 0.5},
    {"at_least": -0.25, "at_most": 0.5},
    {"at_least": -0.25, "at_most": 0.25},
    {"published": "a table", "margin": 0.25},
)


@st.composite
def judged(draw):
    """Two tests with ranges of any kind, and rows of them that lie anywhere."""
    tests, rows = [], []
    for place in (1, 2):
        bounds = draw(st.sampled_from(RANGES))
        tests.append(Asked(statistic="score" if "published" in bounds else "difference", **bounds))
        for _ in range(draw(st.integers(0, 3))):
            limits = sorted([draw(sixty_fourths), draw(sixty_fourths)])
            if draw(st.booleans()) and draw(st.booleans()):
                limits = [np.nan, np.nan]
            row = {"test": place, "statistic": tests[-1].statistic, "low": limits[0], "high": limits[1], "judged": 1}
            row |= {"lasso": draw(st.sampled_from([0.0, 0.5])), "value": 0.0, "n_seeds": draw(st.sampled_from([1, 5]))}
            row["metric"] = draw(st.sampled_from(["ccc", "rmse"]))
            row["published"] = draw(sixty_fourths) if "published" in bounds else np.nan
            row["outcome"] = "missing" if draw(st.integers(0, 7)) == 0 else ""
            rows.append(EMPTY | row)
    evidence = pd.DataFrame(rows, columns=EVIDENCE_COLUMNS)
    judging = {"combine": draw(st.sampled_from(["all", "any"])), "seeds_needed": 5}
    return tests, evidence, draw(st.sampled_from(["real", "synthetic", "none"])), judging


def ranges_of(test, published, bound=None, side=""):
    """Spell out a range, by the words of the schema."""
    at_least, at_most, margin = test.at_least, test.at_most, test.margin
    if side == MARGIN and margin is None:
        at_least, at_most = -bound, bound
    elif side:
        at_least, at_most, margin = (
            bound if side == name else present
            for name, present in (("at_least", at_least), ("at_most", at_most), ("margin", margin))
        )
    if margin is not None:
        return published - margin, published + margin
    return -np.inf if at_least is None else at_least, np.inf if at_most is None else at_most


def rated(evidence, tests, place=0, bound=None, side=""):
    """Place every row anew, with one bound of one test at another value."""
    rows = []
    for row in evidence.to_dict("records"):
        low, high = ranges_of(
            tests[row["test"] - 1], row["published"], *((bound, side) if row["test"] == place else ())
        )
        outcome = row["outcome"] if row["outcome"] == "missing" else place_of(row["low"], row["high"], low, high)
        rows.append(row | {"tolerance_low": low, "tolerance_high": high, "outcome": outcome})
    return pd.DataFrame(rows, columns=EVIDENCE_COLUMNS)


def verdict_at(pieces, width):
    (piece,) = [piece for piece in pieces if piece.start <= width < piece.end]
    return piece.verdict


@settings(max_examples=6, deadline=None)
@given(judged())
def test_every_margin_of_a_grid_gets_the_verdict_that_the_pieces_say(data):
    tests, evidence, label, judging = data
    present = rated(evidence, tests)
    for place, test in enumerate(tests, 1):
        for side, _ in sides(test):
            pieces = verdict_pieces(present, place, test, side, lambda rows: judge(rows, label, **judging)[0])
            assert pieces[-1].end == np.inf
            for first, second in pairwise(pieces):
                assert first.end == second.start and first.verdict != second.verdict
            # Steps of a sixteenth lie on the limits of some intervals and between those of others.
            grid = [width for width in np.arange(GRID) / 16 - 1.5 if width >= pieces[0].start]
            for width in [*grid, *(piece.start for piece in pieces[1:])]:
                moved = rated(evidence, tests, place, width_of(side, width), side)
                assert judge(moved, label, **judging)[0] == verdict_at(pieces, width), (side, width)


@pytest.fixture(scope="module")
def results(experiment, tmp_path_factory):
    """The planted runs, with the counts of the networks at full width."""
    tables = tmp_path_factory.mktemp("tables")
    counts = {"dense 2-D": 11.2, "CP 2-D": 11.195, "CP 3-D, transducted": 11.243, "dense 3-D": 33.17, "(2+1)-D": 31.3}
    parameters = pd.DataFrame({"network": counts.keys(), "parameters": [1e6 * value for value in counts.values()]})
    parameters.to_csv(tables / "parameters.csv", index=False)
    return read_results(experiment[1], tables)


def real(results):
    """Return the same results as if they were of real data."""
    names = ("differences", "intervals", "costs", "sparsity")
    return replace(results, **{name: getattr(results, name).assign(label="real") for name in names})


def with_bound(claim, place, side, bound):
    """Write another bound into a test of a claim."""
    bounds = {side: bound}
    if side == MARGIN and claim.tests[place - 1].margin is None:
        bounds = {"at_least": -bound, "at_most": bound}
    tests = tuple(
        test.model_copy(update=bounds) if number == place else test for number, test in enumerate(claim.tests, 1)
    )
    return claim.model_copy(update={"tests": tests})


# Two seeds are enough here, or nothing on real data would ever be settled.
CLAIMS = load_claims().model_copy(update={"seeds_needed": 2})


def judged_anew(row, bound, results):
    """Judge the claim that a row of the table is about from the measured results, with another bound."""
    (claim,) = [claim for claim in CLAIMS.claims if claim.id == row["claim"]]
    claims = CLAIMS.model_copy(update={"claims": (with_bound(claim, row["test"], row["side"], bound),)})
    verdicts = verdict_table(claims, evidence_table(claims, results))
    return verdicts.set_index("dataset")["verdict"][row["dataset"]]


@pytest.mark.parametrize(
    ("label", "claim", "dataset"),
    [("synthetic", "C6", "affectnet"), ("synthetic", "C5", ""), ("real", "C3", "sewa")],
)
def test_the_table_agrees_with_claims_judged_anew_at_fifty_margins(results, label, claim, dataset):
    found = real(results) if label == "real" else results
    table = margin_table(CLAIMS, evidence_table(CLAIMS, found))
    flips = 0
    own = table[(table["claim"] == claim) & (table["dataset"] == dataset)]
    # One of each kind, because claims are judged anew from all that was measured.
    for row in own.drop_duplicates(["side", "statistic"]).to_dict("records"):
        present, tighter, wider = (
            width_of(row["side"], row[name]) for name in ("bound", "tighter_bound", "wider_bound")
        )
        # Half as far again as the farther flip, but not to a margin of nothing.
        reach = 1.5 * max(
            [abs(end - present) for end in (tighter, wider) if np.isfinite(end)], default=abs(present) / 4
        )
        lowest = max(present - reach, abs(present) / 20 if row["side"] == MARGIN else -np.inf)
        for width in np.linspace(lowest, present + reach, GRID):
            anew = judged_anew(row, width_of(row["side"], width), found)
            assert anew == row["verdict"] or width < tighter or width >= wider
            flips += anew != row["verdict"]
        for flip, verdict, outward in ((tighter, row["tighter_verdict"], -1e-6), (wider, row["wider_verdict"], 1e-6)):
            if np.isfinite(flip):
                assert judged_anew(row, width_of(row["side"], flip - outward), found) == row["verdict"]
                assert judged_anew(row, width_of(row["side"], flip + outward), found) == verdict
    assert flips
