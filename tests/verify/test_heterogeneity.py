"""Spread between laboratories, against a textbook, slower estimators and simulations."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import f_oneway, t

from hocbench.verify.heterogeneity import between

# Strength of fabric of four looms, four samples each: Montgomery, Design and Analysis of Experiments, the example of
# the random-effects model: F = 15.68, variance within looms 1.90, between looms 6.96.
LOOMS = np.array([[98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98]], dtype=float)


def found(by_seed):
    return between(by_seed.mean(axis=1), by_seed)


def simulate(draws, laboratories, seeds, tau, seed=0):
    """By-seed values of many experiments, with a standard deviation of 1 between seeds."""
    random = np.random.default_rng(seed)
    effects = tau * random.standard_normal((draws, laboratories, 1))
    return effects + random.standard_normal((draws, laboratories, seeds))


def test_the_textbook():
    looms = found(LOOMS)
    assert (looms.q / 3, looms.seed_sd**2, looms.tau**2) == pytest.approx((15.68, 1.90, 6.96), abs=0.005)
    assert looms.mean == pytest.approx(95.4375)
    assert looms.between_sd == pytest.approx(LOOMS.mean(axis=1).std(ddof=1))
    # Higgins: Student's quantile times the root of tau squared, the noise of one more, and the error of the mean.
    error = (looms.tau**2 + 1.8958 / 4) / 4
    half = t.ppf(0.975, 2) * np.sqrt(looms.tau**2 + 1.8958 / 4 + error)
    assert (looms.low, looms.high) == pytest.approx((95.4375 - half, 95.4375 + half), rel=1e-4)


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


@pytest.mark.parametrize(("laboratories", "seeds", "tau"), [(2, 2, 0), (3, 2, 2), (5, 2, 0), (5, 2, 1), (8, 5, 0.5)])
def test_the_estimators_agree_and_the_test_is_that_of_an_analysis_of_variance(laboratories, seeds, tau):
    for by_seed in simulate(5, laboratories, seeds, tau, seed=laboratories):
        result, values = found(by_seed), by_seed.mean(axis=1)
        variances = np.full(laboratories, by_seed.var(axis=1, ddof=1).mean() / seeds)
        q, tau2 = der_simonian_laird(values, variances)
        assert (result.q, result.tau**2) == pytest.approx((q, tau2), abs=1e-9)
        assert result.tau**2 == pytest.approx(paule_mandel(values, variances), abs=1e-9)
        assert result.p == pytest.approx(f_oneway(*by_seed).pvalue)
        assert result.i2 == pytest.approx(max(0, 1 - (laboratories - 1) / q))


@pytest.mark.parametrize(("tau", "seeds"), [(0, 2), (1, 2), (3, 2), (1, 1)])
def test_one_more_laboratory_lies_in_the_interval(tau, seeds):
    experiments = simulate(3000, 6, seeds, tau, seed=7)
    inside = 0
    for by_seed in experiments:
        result = found(by_seed[:-1])
        inside += result.low <= by_seed[-1].mean() <= result.high
    # t with two degrees of freedom less than laboratories is on the safe side where seeds tell the noise, too.
    assert 0.945 < inside / len(experiments) < 0.995


def test_laboratories_that_differ_by_seeds_alone_are_rarely_called_different():
    p = np.array([found(by_seed).p for by_seed in simulate(3000, 5, 2, 0, seed=3)])
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    # Where a seed does the same to all laboratories, less often still.
    shared = np.random.default_rng(4).standard_normal((3000, 1, 2))
    p = np.array([found(by_seed).p for by_seed in simulate(3000, 5, 2, 0, seed=5) + shared])
    assert (p < 0.05).mean() < 0.03


def test_the_same_seed_is_compared_between_laboratories():
    by_seed = np.array([[0.0, 10.0], [2.0, 12.0], [4.0, 14.0]])
    assert (found(by_seed).same_seed_sd, found(by_seed).seed_sd) == pytest.approx((2, np.sqrt(50)))


def test_what_cannot_be_known_is_not_a_number():
    one = found(np.array([[0.5, 0.6]]))
    assert (one.mean, one.seed_sd) == pytest.approx((0.55, 0.0707107))
    assert np.isnan([one.between_sd, one.same_seed_sd, one.tau, one.q, one.p, one.i2, one.low, one.high]).all()
    two = found(np.array([[0.5, 0.6], [0.7, 0.8]]))
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
