import numpy as np
import pytest
from scipy import stats

from hocbench.evaluation.intervals import (
    Resampled,
    bca_interval,
    percentile_interval,
    resample,
    studentized_interval,
)
from hocbench.evaluation.statistics import bootstrap_weights
from hocbench.metrics import affect as metrics
from hocbench.metrics.records import METRICS
from studies.coverage.simulation import Design, simulate_sums
from tests.evaluation.sums import STATISTIC, affect_sums

ONE, PAIR = np.ones(1), np.array([1.0, -1.0])


def resampled_of(sums, contrast=ONE, replicates=1000, seed=0):
    strata = np.zeros(sums.shape[2], int)
    weights = bootstrap_weights(strata, replicates, np.random.default_rng(seed))
    return resample(sums, contrast, weights, strata, STATISTIC)


def frames_as_clusters(count, seed=5):
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=count)
    prediction = 0.8 * truth + generator.normal(0, 0.6, size=count)
    sums = affect_sums(truth, prediction, np.arange(count), count, 0.0)[None, None]
    return truth, prediction, sums


def test_standard_error_is_that_of_the_jackknife():
    truth, prediction, sums = frames_as_clusters(60)
    found = resampled_of(sums, replicates=200)
    for place, function in enumerate((metrics.rmse, metrics.sagr, metrics.pcc, metrics.ccc)):
        left_out = [function(np.delete(truth, i), np.delete(prediction, i)) for i in range(60)]
        error = np.sqrt(59 / 60 * ((left_out - np.mean(left_out)) ** 2).sum())
        assert found.cluster_error[place] == pytest.approx(error, rel=0.08)
    np.testing.assert_allclose(found.influence.sum(axis=0), 0, atol=1e-12)


def test_standard_errors_of_replicates_are_those_of_the_resampled_data():
    sums = simulate_sums(Design(12, methods=2, seeds=2), np.random.default_rng(1))
    strata = np.array([0] * 5 + [1] * 7)
    weights = bootstrap_weights(strata, 6, np.random.default_rng(2))
    found = resample(sums, PAIR, weights, strata, STATISTIC)
    for row, estimate, error in zip(weights, found.replicates, found.errors, strict=True):
        places = np.repeat(np.arange(12), row)
        again = resample(sums[:, :, places], PAIR, weights[:1], strata[places], STATISTIC)
        np.testing.assert_allclose(again.estimate, estimate, atol=1e-12)
        np.testing.assert_allclose(again.cluster_error, error, atol=1e-12)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_percentile_and_bca_agree_with_scipy(method):
    truth, prediction, sums = frames_as_clusters(80)
    found = resampled_of(sums, replicates=4000)
    ours = percentile_interval(found.replicates) if method == "percentile" else bca_interval(found)
    theirs = stats.bootstrap(
        (truth, prediction), metrics.ccc, paired=True, vectorized=False, n_resamples=2000, method=method,
        rng=np.random.default_rng(3),
    ).confidence_interval  # fmt: skip
    np.testing.assert_allclose([ours[0][3], ours[1][3]], theirs, atol=0.02)


def test_the_studentised_interval_of_a_mean_is_students():
    # SAGR of single frames is a mean; of many clusters its bootstrap-t interval is that of Student.
    _, _, sums = frames_as_clusters(200)
    low, high = studentized_interval(resampled_of(sums, replicates=8000), single=True)
    share = sums[0, 0, :, 7]
    expected = stats.t.interval(0.95, 199, share.mean(), stats.sem(share))
    np.testing.assert_allclose([low[1], high[1]], expected, atol=0.01)


def test_an_interval_of_very_few_clusters_is_students():
    sums = simulate_sums(Design(4), np.random.default_rng(3))
    found = resampled_of(sums)
    low, high = studentized_interval(found, single=True)
    centre, error = np.log(found.estimate[0]), found.cluster_error[0] / found.estimate[0]
    assert (np.log(low[0]), np.log(high[0])) == pytest.approx(stats.t.interval(0.95, 3, centre, error))


def test_intervals_stay_within_the_range_of_a_score():
    sums = simulate_sums(Design(5), np.random.default_rng(8))
    low, high = studentized_interval(resampled_of(sums), single=True)
    assert low[0] > 0 and 0 <= low[1] <= high[1] <= 1 and low[2:].min() >= -1 and high[2:].max() <= 1


def test_seeds_widen_the_interval_to_students_if_nothing_else_varies():
    seeds = np.array([0.50, 0.52, 0.55, 0.58, 0.60])
    error = np.full(4, stats.sem(seeds))
    same = np.full((20000, 4), seeds.mean())
    tiny = np.full_like(same, 1e-9)
    deviation = error * np.sqrt(5)
    scales, degenerate = tuple(metric.scale for metric in METRICS["affect"]), np.zeros(4, bool)
    resampled = Resampled(same[0], tiny[0], deviation, error, np.zeros((30, 4)), same, tiny, 5, scales, degenerate)
    low, high = studentized_interval(resampled, single=False, generator=np.random.default_rng(0))
    expected = stats.t.interval(0.95, 4, seeds.mean(), error[0])
    np.testing.assert_allclose([low[3], high[3]], expected, rtol=0.02)


def test_seeds_that_differ_by_the_frames_that_were_drawn_add_no_error_of_their_own():
    same, other = (
        resampled_of(simulate_sums(Design(300, seeds=40, seeds_vary=vary), np.random.default_rng(5)), replicates=100)
        for vary in (False, True)
    )
    assert (same.seed_error < 0.6 * same.seed_sd / np.sqrt(40)).all()
    np.testing.assert_allclose(other.seed_error, other.seed_sd / np.sqrt(40), rtol=0.2)


def test_the_same_generator_gives_the_same_interval_and_no_global_one_is_touched():
    sums = simulate_sums(Design(10, seeds=5, seeds_vary=True), np.random.default_rng(8))
    before = np.random.get_state()[1].copy()
    first, second = (
        studentized_interval(resampled_of(sums), single=True, generator=np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_one_cluster_has_no_interval_and_equal_methods_differ_by_nothing():
    alone = resampled_of(simulate_sums(Design(1), np.random.default_rng(0)), replicates=100)
    assert np.isnan(studentized_interval(alone, single=True)).all()
    one = simulate_sums(Design(8), np.random.default_rng(0))
    same = resampled_of(np.concatenate([one, one]), PAIR, replicates=100)
    assert not np.any(studentized_interval(same, single=False))
    assert np.isnan(same.effect_size).all()


def test_constant_outputs_score_zero_and_are_flagged():
    generator = np.random.default_rng(0)
    truth, cluster = generator.normal(size=100), np.repeat(np.arange(10), 10)
    found = resampled_of(affect_sums(truth, np.full(100, 0.2), cluster, 10, 0.0)[None, None])
    low, high = studentized_interval(found, single=True)
    assert found.degenerate.tolist() == [False, False, True, True] and low[2:].tolist() == high[2:].tolist() == [0, 0]
    assert low[0] < found.estimate[0] < high[0]


def test_effect_size_is_the_difference_in_deviations_of_clusters():
    # With one frame per cluster and SAGR, this is Cohen's d of the paired differences.
    generator = np.random.default_rng(2)
    truth, first, second = generator.normal(size=(3, 50))
    places = np.arange(50)
    sums = np.stack([affect_sums(truth, one, places, 50, 0.0)[None] for one in (first, second)])
    change = 1.0 * (np.sign(truth) == np.sign(first)) - (np.sign(truth) == np.sign(second))
    assert resampled_of(sums, PAIR).effect_size[1] == pytest.approx(change.mean() / change.std(ddof=1))
