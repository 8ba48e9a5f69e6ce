"""The spread between laboratories, and how often it calls an undisturbed one different."""

import numpy as np
import pytest
from scipy import stats

from hocbench.verify.spread import CONSTANT, SPREAD, UNKNOWN, Spreads, prior
from hocbench.verify.tables import TABLES

SCORES = next(table for table in TABLES if table.name == "scores")
KEYS = dict.fromkeys(SCORES.keys, "") | {"dataset": "sewa", "method": "CP", "metric": "ccc", "target": "valence"}


def row(value, **changes):
    return KEYS | {"seed": "0", "fold": "0"} | changes | {"value": f"{value:.10g}"}


def key(**changes):
    values = row(0, **changes)
    return tuple(values[name] for name in SCORES.keys)


def test_of_two_laboratories_the_interval_is_that_of_the_next_of_three():
    spreads = Spreads(SCORES, [[row(0.5)], [row(0.6)]])
    found = spreads.of(key(), "value")
    sd = np.std([0.5, 0.6], ddof=1)
    assert found.centre == pytest.approx(0.55)
    assert found.scale == pytest.approx(sd * np.sqrt(1 + 1 / 2))
    assert (found.df, found.basis) == (1, SPREAD)
    assert found.half_width(0.05) == pytest.approx(stats.t.ppf(0.975, 1) * found.scale)


def test_like_cells_are_pooled_and_witnesses_counted_once():
    first = [row(0.5), row(0.7, target="arousal"), row(0.4, seed="1")]
    second = [row(0.52), row(0.76, target="arousal"), row(0.41, seed="1")]
    found = Spreads(SCORES, [first, second]).of(key(), "value")
    assert found.scale == pytest.approx(np.sqrt((0.02**2 + 0.06**2 + 0.01**2) / 2 / 3 * 1.5))
    assert found.df == 3
    windows = next(table for table in TABLES if table.name == "windows")
    keys = dict.fromkeys(windows.keys, "")
    tables = [[keys | {"window": str(w), "mean_ccc": f"{x + w / 9:.3f}"} for w in (1, 3)] for x in (0.1, 0.2)]
    found = Spreads(windows, tables).of(tuple((keys | {"window": "3"}).values()), "mean_ccc")
    assert found.df == 1  # of one training, windows are one witness


def test_equal_values_count_once():
    once = Spreads(SCORES, [[row(0.5)], [row(0.6)]]).of(key(), "value")
    assert Spreads(SCORES, [[row(0.5)], [row(0.6)], [row(0.5)]]).of(key(), "value") == once


def test_without_a_spread():
    alone = Spreads(SCORES, [[row(0.5)]]).of(key(), "value")
    assert (alone.scale, alone.basis, alone.half_width(0.05)) == (None, UNKNOWN, None)
    agreed = Spreads(SCORES, [[row(0.5)], [row(0.5)]]).of(key(), "value")
    assert (agreed.scale, agreed.basis, agreed.half_width(0.05)) == (0.0, CONSTANT, 0.0)
    assert Spreads(SCORES, [[row(0.5)], [row(0.6)]]).of(key(method="other"), "value").centre is None


def test_the_prior_of_known_variances_is_found():
    rng = np.random.default_rng(0)
    true = 0.04 * 8 / rng.chisquare(8, 4000)
    variance, df = prior(true * rng.chisquare(3, 4000) / 3, [3.0] * 4000)
    assert variance == pytest.approx(0.04, rel=0.1)
    assert df == pytest.approx(8, rel=0.15)


def test_variances_that_are_alike_are_taken_to_be_one():
    rng = np.random.default_rng(1)
    variance, df = prior(0.04 * rng.chisquare(3, 50) / 3, [3.0] * 50)
    assert variance == pytest.approx(0.04, rel=0.3)
    assert df > 20


def simulated(rng, labs, groups):
    """Draw laboratories: methods differ in how chaotic they are, targets of one training go together."""
    sds = 0.01 * np.sqrt(6 / rng.chisquare(6, groups))
    tables = []
    for _ in range(labs):
        rows = []
        for group in range(groups):
            for seed in ("0", "1"):
                shared, own = rng.normal(size=1), rng.normal(size=2)
                for target, noise in zip(("valence", "arousal"), 0.8 * shared + 0.6 * own, strict=True):
                    rows.append(row(0.5 + sds[group] * noise, method=f"m{group}", seed=seed, target=target))
        tables.append(rows)
    return tables


def misses(tables, shift=0.0, level=0.05):
    """Whether any score of the last laboratory is called different, moved by so much in one method."""
    *others, last = tables
    spreads = Spreads(SCORES, others)
    cells = spreads.varying
    for each in last:
        found = spreads.of(tuple(each[name] for name in SCORES.keys), "value")
        value = float(each["value"]) + (shift if each["method"] == "m0" else 0.0)
        if abs(value - found.centre) > found.half_width(level / len(cells)):
            return True
    return False


def test_an_undisturbed_laboratory_is_called_different_in_five_of_a_hundred_at_most():
    rng = np.random.default_rng(2)
    alarms = sum(misses(simulated(rng, 6, 30)) for _ in range(200))
    assert stats.binomtest(alarms, 200, 0.05, alternative="greater").pvalue > 0.01
    # A rule that never says anything would do as well; this one sees a method that is off.
    assert sum(misses(simulated(rng, 6, 30), shift=0.15) for _ in range(60)) > 45
