"""Scores of classifications from sums over clusters, against scores of units, DeLong's errors and brute force."""

import numpy as np
import pytest
from scipy import stats

from hocbench.evaluation.intervals import resample, studentized_interval
from hocbench.evaluation.significance import swap_p_values
from hocbench.evaluation.statistics import Pooled, bootstrap_weights, cluster_sums, columns_of
from hocbench.metrics.classification import auc, probabilities
from hocbench.metrics.records import METRICS

CLASSES = METRICS["classification"]
FEW_DRAWS, MANY_DRAWS = 150, 1500


def make_units(clusters=60, classes=2, seed=0, shift=1.0, largest=4):
    """Units in clusters, whose outputs are alike within a cluster, and which are of any class."""
    draws = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), draws.integers(1, largest + 1, clusters))
    truth = draws.integers(0, classes, cluster.size)
    noise = draws.normal(size=(clusters, classes))[cluster] * 0.7 + draws.normal(size=(cluster.size, classes))
    return cluster, truth, probabilities(shift * np.eye(classes)[truth] + noise)


def sums_of(cluster, truth, probability):
    columns = columns_of(CLASSES, truth, probability)
    return Pooled(CLASSES, tuple(columns)), cluster_sums(columns, cluster, cluster.max() + 1)


def resampled_of(cluster, *pair, replicates=50, seed=0):
    """Resample the scores of one set of outputs, or the difference of two."""
    tables = [sums_of(cluster, *units) for units in pair]
    strata = np.zeros(len(tables[0][1]), int)
    weights = bootstrap_weights(strata, replicates, np.random.default_rng(seed))
    sums = np.stack([table for _, table in tables])[:, None]
    return resample(sums, np.array([1.0, -1.0])[: len(pair)], weights, strata, tables[0][0]), weights


def slow_placements(truth, score):
    positive, negative = score[truth == 1], score[truth == 0]
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return wins.mean(axis=1), wins.mean(axis=0)


def delong_covariance(truth, scores):
    """Of the AUC of several scores (DeLong et al. 1988), with n in the denominators of the two variances, not n - 1."""
    v10, v01 = zip(*(slow_placements(truth, score) for score in scores), strict=True)
    return np.cov(v10, bias=True) / (truth == 1).sum() + np.cov(v01, bias=True) / (truth == 0).sum()


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_from_sums_are_those_of_the_units_and_gradients_their_derivatives(classes):
    cluster, truth, probability = make_units(classes=classes)
    probability = np.round(probability, 1)  # for ties
    probability /= probability.sum(axis=1, keepdims=True)
    statistic, sums = sums_of(cluster, truth, probability)
    total = sums.sum(axis=0)
    expected = [metric.function(truth, probability) for metric in CLASSES]
    np.testing.assert_allclose(statistic.value(total), expected, atol=1e-12)
    gradient = statistic.gradient(total)
    np.testing.assert_allclose(gradient @ total, 0, atol=1e-12)
    for k, step in enumerate(np.eye(len(total)) * 1e-4):
        slope = (statistic.value(total + step) - statistic.value(total - step)) / 2e-4
        np.testing.assert_allclose(gradient[:, k], slope, atol=1e-8)


def test_where_each_unit_is_a_cluster_the_error_of_an_auc_is_delongs():
    _, truth, probability = make_units(clusters=80, largest=1)
    found, _ = resampled_of(np.arange(80), (truth, probability))
    variance = delong_covariance(truth, [probability[:, 1], probability[:, 1]])[0, 0]
    # One factor n / (n - 1) over all clusters stands for DeLong's two, of the positives and of the negatives.
    assert found.cluster_error[0] == pytest.approx(np.sqrt(variance * 80 / 79), rel=1e-9)


def test_the_error_of_a_difference_of_two_auc_is_delongs():
    _, truth, first = make_units(clusters=80, largest=1)
    second = probabilities(np.log(first) + np.random.default_rng(1).normal(size=first.shape))
    found, _ = resampled_of(np.arange(80), (truth, first), (truth, second))
    covariance = delong_covariance(truth, [first[:, 1], second[:, 1]])
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert found.estimate[0] == pytest.approx(auc(truth, first) - auc(truth, second), abs=1e-12)
    assert found.cluster_error[0] == pytest.approx(np.sqrt(variance * 80 / 79), rel=1e-9)


def test_the_error_of_a_clustered_auc_is_obuchowskis():
    cluster, truth, probability = make_units()
    found, _ = resampled_of(cluster, (truth, probability))
    v10, v01 = slow_placements(truth, probability[:, 1])
    area, count = v10.mean(), cluster.max() + 1
    # Sums over the positives and over the negatives of each cluster, about what is expected of as many.
    above = np.bincount(cluster[truth == 1], v10 - area, count) / (truth == 1).sum()
    below = np.bincount(cluster[truth == 0], v01 - area, count) / (truth == 0).sum()
    variance = (above**2).sum() + (below**2).sum() + 2 * (above * below).sum()
    assert found.cluster_error[0] == pytest.approx(np.sqrt(variance * count / (count - 1)), rel=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_replicates_and_errors_are_those_of_resampled_units(classes):
    cluster, truth, probability = make_units(clusters=150, classes=classes)
    found, weights = resampled_of(cluster, (truth, probability), replicates=400)
    members = [np.flatnonzero(cluster == c) for c in range(150)]
    slow = []
    for row in weights:
        units = np.concatenate([members[c] for c in np.repeat(np.arange(150), row)])
        slow.append([metric.function(truth[units], probability[units]) for metric in CLASSES])
    slow = np.array(slow)
    np.testing.assert_allclose(found.replicates[:, 1:], slow[:, 1:], atol=1e-12)
    # The AUC of a resampled dataset is taken to first order: placements stay those among all units.
    assert np.abs(found.replicates[:, 0] - slow[:, 0]).mean() < 0.1 * slow[:, 0].std()
    assert np.corrcoef(found.replicates[:, 0], slow[:, 0])[0, 1] > 0.995
    np.testing.assert_allclose(found.cluster_error, slow.std(axis=0), rtol=0.1)


def test_few_units_with_an_error_or_two_give_no_interval_beyond_what_a_score_can_be():
    cluster, truth, probability = make_units(clusters=12, shift=5.0, seed=4, largest=1)
    resampled, _ = resampled_of(cluster, (truth, probability), replicates=500)
    low, high = studentized_interval(resampled, single=True)
    assert low[-1] < high[-1] and (low >= 0).all() and (high <= 1).all()  # the last one is the Brier score


def test_a_class_without_units_leaves_the_auc_undefined_and_all_else_as_it_is():
    cluster, _, probability = make_units()
    truth = np.ones(cluster.size, int)
    found, _ = resampled_of(cluster, (truth, probability))
    low, high = studentized_interval(found, single=True)
    assert np.isnan([found.estimate[0], low[0], high[0]]).all() and found.degenerate.tolist() == [True, *[False] * 3]
    assert found.estimate[1] == found.estimate[2] and np.isfinite([low[1:], high[1:]]).all()
    statistic, sums = sums_of(cluster, truth, probability)
    p_values = swap_p_values(sums[None], sums[None], 20, np.random.default_rng(0), statistic)
    assert np.isnan(p_values[0]) and p_values[1:].tolist() == [1, 1, 1]


def test_replicates_that_lost_a_class_are_left_out_and_too_many_leave_no_interval():
    cluster = np.arange(30)
    _, _, probability = make_units(clusters=30, largest=1)
    for positives, is_finite in ((5, True), (1, False)):
        truth = (cluster < positives).astype(int)
        found, _ = resampled_of(cluster, (truth, probability), replicates=500)
        low, high = studentized_interval(found, single=True)
        assert np.isnan(found.replicates[:, 0]).any()
        assert np.isfinite(low[0]) == np.isfinite(high[0]) == is_finite


def coverage(draws, clusters=40, shift=1.2):
    """Share of simulated test sets whose interval of the AUC holds the true one; of the tests, what they reject."""
    generator = np.random.default_rng(3)
    true = stats.norm.cdf(shift / np.sqrt(2 * (1 + 0.5)))
    strata, hits, rejected = np.zeros(clusters, int), 0, 0
    for _ in range(draws):
        cluster = np.repeat(np.arange(clusters), 3)
        truth = np.repeat(generator.integers(0, 2, clusters), 3)
        outputs = [
            shift * truth + generator.normal(0, np.sqrt(0.5), clusters)[cluster] + generator.normal(size=truth.size)
            for _ in range(2)
        ]
        tables = [sums_of(cluster, truth, probabilities(np.stack([0 * z, z], axis=1))) for z in outputs]
        weights = bootstrap_weights(strata, 400, generator)
        only = tables[0][0].only(CLASSES[0])
        low, high = studentized_interval(
            resample(tables[0][1][None, None], np.ones(1), weights, strata, only), single=True
        )
        hits += low[0] <= true <= high[0]
        p = swap_p_values(tables[0][1][None], tables[1][1][None], 200, generator, only)
        rejected += p[0] <= 0.05
    return hits / draws, rejected / draws


@pytest.mark.statistics
@pytest.mark.parametrize(("clusters", "shift"), [(40, 0.5), (40, 2.0), (80, 1.2), (80, 3.5)])
def test_intervals_of_an_auc_cover_the_true_one_as_often_as_they_say(clusters, shift):
    share, rejected = coverage(MANY_DRAWS, clusters, shift)
    assert 0.93 <= share <= 0.98 and rejected <= 0.065


def test_intervals_of_an_auc_hold_the_true_one_and_tests_keep_their_level():
    share, rejected = coverage(FEW_DRAWS)
    # 0.95 and 0.05 within three of their errors at so few draws.
    assert share > 0.95 - 3 * np.sqrt(0.95 * 0.05 / FEW_DRAWS)
    assert rejected < 0.05 + 3 * np.sqrt(0.95 * 0.05 / FEW_DRAWS)
