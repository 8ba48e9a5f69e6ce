"""No range changes behind the back of the day that says since when it stands."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from hocbench.claims.schema import load_claims

LOG = Path(__file__).with_name("ranges.csv")
# What methods were called when their ranges were first recorded: another name of the same method is no other range.
RECORDED = {
    "static": "CP 2-D, static",
    "static_dense": "dense 2-D, static",
    "static_smoothed": "CP 2-D, static + moving average",
    "lasso": "CP 2-D, LASSO",
    "frames": "CP 2-D, fine-tuned on frames (reference)",
    "temporal": "CP 3-D, temporal factors trained",
    "joint": "CP 3-D, temporal then joint",
    "scratch": "CP 3-D from scratch",
    "scratch_dense": "dense 3-D from scratch",
    "scratch_2plus1d": "dense (2+1)-D from scratch",
}


def ranges_hash(claim, seeds_needed):
    """Hash what decides about a claim: what is judged, by which range, and how tests are combined."""
    # Without defaults, so that a key that no claim uses yet changes nothing.
    judged = [test.model_dump(mode="json", exclude_defaults=True) for test in claim.tests if not test.shown]
    for test in judged:
        test |= {name: RECORDED.get(test[name], test[name]) for name in ("method", "reference") if name in test}
    decisive = {"tests": judged, "combine": claim.combine, "seeds_needed": seeds_needed}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def unrecorded(claims, log):
    """Name the claims whose ranges are not the last that were recorded, or not of that day."""
    last = log.groupby("claim").last()
    return [
        f"{claim.id},{claim.since},{ranges_hash(claim, claims.seeds_needed)}"
        for claim in claims.claims
        if claim.id not in last.index
        or tuple(last.loc[claim.id]) != (str(claim.since), ranges_hash(claim, claims.seeds_needed))
    ]


@pytest.fixture(scope="module")
def log():
    return pd.read_csv(LOG, dtype=str)


def test_ranges_are_those_that_were_recorded_on_their_day(log):
    lines = unrecorded(load_claims(), log)
    assert not lines, "ranges changed: set since to today in claims.yaml, and append to ranges.csv:\n" + "\n".join(
        lines
    )


def test_one_day_has_one_set_of_ranges_and_days_go_forward(log):
    assert not log.duplicated(["claim", "since"]).any()
    assert all(days.is_monotonic_increasing for _, days in log.groupby("claim")["since"])


@pytest.mark.parametrize("change", [{"at_least": -0.03}, {"targets": ("valence",)}, {"method": "static_dense"}])
def test_a_changed_range_is_found_out(log, change):
    claims = load_claims()
    first = claims.claims[0]
    tests = (first.tests[0].model_copy(update=change), *first.tests[1:])
    changed = claims.model_copy(update={"claims": (first.model_copy(update={"tests": tests}), *claims.claims[1:])})
    assert [line.split(",")[0] for line in unrecorded(changed, log)] == ["C1"]


def test_words_about_a_claim_may_change(log):
    claims = load_claims()
    edited = tuple(claim.model_copy(update={"protocol": "other words"}) for claim in claims.claims)
    assert not unrecorded(claims.model_copy(update={"claims": edited}), log)
