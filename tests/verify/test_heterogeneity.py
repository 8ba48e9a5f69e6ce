"""Spread between laboratories, against a textbook, slower estimators and simulations."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import t

from hocbench.verify.heterogeneity import between

# Vascular grafts, extruded at four pressures from six batches of resin: Montgomery, Design and Analysis of Experiments,
# the example of the randomized block design: mean squares of pressures 59.39, of the error 7.33; F = 8.11, p = 0.0019.
GRAFTS = np.array(
    [
        [90.3, 89.2, 98.2, 93.9, 87.4, 97.9],
        [92.5, 89.5, 90.6, 94.7, 87.0, 95.8],
        [85.5, 90.8, 89.6, 86.2, 88.0, 93.4],
        [82.5, 89.5, 85.6, 87.4, 78.9, 90.7],
    ]
)


def found(by_seed):
    return between(by_seed.mean(axis=1), by_seed)


def simulate(draws, laboratories, seeds, tau, seed=0, common=2.0):
    """By-seed values of many experiments: 1 by itself, and what seeds and laboratories do alike."""
    random = np.random.default_rng(seed)
    effects = tau * random.standard_normal((draws, laboratories, 1)) + common * random.standard_normal(
        (draws, 1, seeds)
    )
    return effects + random.standard_normal((draws, laboratories, seeds))


def test_the_textbook():
    grafts = found(GRAFTS)
    assert grafts.q / 3 == pytest.approx(8.11, abs=0.005)
    assert grafts.p == pytest.approx(0.0019, abs=0.00005)
    assert grafts.tau**2 == pytest.approx((59.39 - 7.33) / 6, abs=0.005)
    # Higgins: Student's quantile times the root of tau squared, the noise of one more, and the error of the mean.
    half = t.ppf(0.975, 2) * np.sqrt(grafts.tau**2 + 7.33 / 6 + 59.39 / 6 / 4)
    assert (grafts.low, grafts.high) == pytest.approx((GRAFTS.mean() - half, GRAFTS.mean() + half), abs=0.01)


def der_simonian_laird(values, variances):
    """Q and tau squared, in their general form for unequal variances."""
    weights = 1 / variances
    q = (weights * (values - (weights * values).sum() / weights.sum()) ** 2).sum()
    return q, max(0.0, (q - len(values) + 1) / (weights.sum() - (weights**2).sum() / weights.sum()))


def paule_mandel(values, variances):
    """Tau squared at which Q is what it should be."""

    def excess(tau2):
        weights = 1 / (variances + tau2)
        return (weights * (values - (weights * values).sum() / weights.sum()) ** 2).sum() - len(values) + 1

    return brentq(excess, 0, 100) if excess(0) > 0 else 0.0


def remainder(by_seed):
    """Mean square of a least-squares fit of laboratories and seeds, by brute force."""
    laboratories, seeds = by_seed.shape
    rows, columns = np.indices(by_seed.shape)
    design = np.hstack([np.eye(laboratories)[rows.ravel()], np.eye(seeds)[columns.ravel()]])
    fit = design @ np.linalg.lstsq(design, by_seed.ravel(), rcond=None)[0]
    return ((by_seed.ravel() - fit) ** 2).sum() / ((laboratories - 1) * (seeds - 1))


@pytest.mark.parametrize(("laboratories", "seeds", "tau"), [(2, 2, 0), (3, 2, 2), (5, 2, 0), (5, 2, 1), (8, 5, 0.5)])
def test_the_estimators_agree(laboratories, seeds, tau):
    for by_seed in simulate(5, laboratories, seeds, tau, seed=laboratories):
        result, values = found(by_seed), by_seed.mean(axis=1)
        variances = np.full(laboratories, remainder(by_seed) / seeds)
        q, tau2 = der_simonian_laird(values, variances)
        assert (result.q, result.tau**2) == pytest.approx((q, tau2), rel=1e-6, abs=1e-9)
        assert result.tau**2 == pytest.approx(paule_mandel(values, variances), rel=1e-6, abs=1e-9)
        assert result.i2 == pytest.approx(max(0, 1 - (laboratories - 1) / q))


@pytest.mark.parametrize(("tau", "seeds"), [(0, 2), (1, 2), (3, 2), (1, 1)])
def test_one_more_laboratory_lies_in_the_interval(tau, seeds):
    experiments = simulate(3000, 6, seeds, tau, seed=7)
    inside = 0
    for by_seed in experiments:
        result = found(by_seed[:-1])
        inside += result.low <= by_seed[-1].mean() <= result.high
    # Two degrees of freedom less than laboratories is one less than needed where nothing but these tell the spread.
    assert 0.945 < inside / len(experiments) < 0.995


@pytest.mark.parametrize("common", [0, 5])
def test_laboratories_without_a_difference_are_rarely_called_different(common):
    p = np.array([found(by_seed).p for by_seed in simulate(4000, 5, 2, 0, seed=3, common=common)])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.011)


def test_the_same_seed_is_compared_between_laboratories():
    by_seed = np.array([[0.0, 10.0], [2.0, 12.0], [4.0, 14.0]])
    assert (found(by_seed).same_seed_sd, found(by_seed).seed_sd) == pytest.approx((2, np.sqrt(50)))


def test_what_cannot_be_known_is_not_a_number():
    one = found(np.array([[0.5, 0.6]]))
    assert (one.mean, one.seed_sd) == pytest.approx((0.55, 0.0707107))
    assert np.isnan([one.between_sd, one.same_seed_sd, one.tau, one.q, one.p, one.i2, one.low, one.high]).all()
    two = found(np.array([[0.5, 0.61], [0.7, 0.8]]))
    assert np.isnan([two.low, two.high]).all() and two.tau > 0
    seed = found(np.array([[0.5], [0.6], [0.7]]))
    assert np.isnan([seed.seed_sd, seed.tau, seed.q, seed.p, seed.i2]).all()
    assert (seed.between_sd, seed.same_seed_sd) == pytest.approx((0.1, 0.1)) and seed.low < 0.5


def test_the_same_numbers_everywhere_are_no_spread():
    same = found(np.full((3, 2), 0.25))
    assert (same.between_sd, same.tau, same.low, same.high) == (0, 0, 0.25, 0.25)
    assert np.isnan(same.p)
    apart = found(np.array([[0.25, 0.25], [0.5, 0.5]]))
    assert (apart.p, apart.i2, apart.q) == (0, 1, np.inf)
