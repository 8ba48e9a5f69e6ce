import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from hocbench.evaluation import statistics
from hocbench.evaluation.intervals import resample
from hocbench.evaluation.significance import holm, slope_contrast, swap_p_values, trend_p_values
from hocbench.evaluation.statistics import PerClip
from hocbench.metrics import affect as metrics
from tests.evaluation.sums import AFFECT, STATISTIC, affect_sums

PRODUCTS = """
import hashlib
import numpy as np
from hocbench.evaluation.statistics import product
draws = np.random.default_rng(0)
pairs = [(draws.standard_normal((m, k)), draws.standard_normal((k, n))) for m, k, n in ((1500, 40, 40), (64, 300, 50))]
for multiply in (product, np.matmul):
    print(hashlib.sha256(b"".join(multiply(a, b).tobytes() for a, b in pairs)).hexdigest())
"""
FUNCTIONS = [metrics.rmse, metrics.sagr, metrics.pcc, metrics.ccc]


def make_frames(clusters=6, seeds=2, seed=0):
    generator = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), generator.integers(5, 20, clusters))
    truth = generator.normal(0.3, 0.3, cluster.size) + 0.1 * cluster
    predictions = [0.7 * truth + generator.normal(0, 0.2, cluster.size) for _ in range(seeds)]
    return cluster, truth, predictions


def sums_of(cluster, truth, predictions, centre=0.4):
    count = cluster.max() + 1
    return np.stack([affect_sums(truth, one, cluster, count, centre) for one in predictions])


def slow_scores(truth, prediction):
    return np.array([function(truth, prediction) for function in FUNCTIONS])


def test_scores_from_sums_are_the_scores_of_the_frames():
    cluster, truth, (prediction, _) = make_frames()
    for centre in (0.0, 0.4, -3.0):
        sums = sums_of(cluster, truth, [prediction], centre)
        found = STATISTIC.value(sums[0].sum(axis=0))
        np.testing.assert_allclose(found, slow_scores(truth, prediction), atol=1e-11)


def test_scores_survive_a_large_offset_when_centred():
    cluster, truth, (prediction, _) = make_frames()
    sums = sums_of(cluster, truth + 1e5, [prediction + 1e5], centre=1e5)
    expected = slow_scores(truth, prediction)[[0, 2, 3]]
    np.testing.assert_allclose(STATISTIC.value(sums[0].sum(axis=0))[[0, 2, 3]], expected, atol=1e-8)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7])
def test_constant_outputs_score_zero_correlation(value):
    cluster, truth, _ = make_frames()
    sums = sums_of(cluster, truth, [np.full(truth.size, value)])
    assert STATISTIC.value(sums[0].sum(axis=0))[2:].tolist() == [0, 0]


def together(clusters):
    return np.zeros(clusters, int)


def test_bootstrap_weights_draw_clusters_with_replacement():
    weights = statistics.bootstrap_weights(together(7), 4000, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(axis=0), 6 / 7, atol=0.08)
    again = statistics.bootstrap_weights(together(7), 4000, np.random.default_rng(0))
    np.testing.assert_array_equal(weights, again)


def test_each_fold_keeps_its_number_of_clusters_unless_one_has_a_single_cluster():
    strata = np.array([0, 0, 1, 1, 1])
    weights = statistics.bootstrap_weights(strata, 500, np.random.default_rng(0))
    assert (weights[:, :2].sum(axis=1) == 2).all() and (weights[:, 2:].sum(axis=1) == 3).all()
    assert (weights[:, 0] == 2).any()
    lonely = statistics.bootstrap_weights(np.array([0, 1, 1]), 500, np.random.default_rng(0))
    assert (lonely.sum(axis=1) == 3).all() and set(lonely[:, 0]) == {0, 1, 2, 3}


def test_gradients_are_the_derivatives_of_the_scores_and_have_no_slope_along_the_sums():
    cluster, truth, (prediction, _) = make_frames()
    sums = sums_of(cluster, truth, [prediction])[0].sum(axis=0)
    found = STATISTIC.gradient(sums)
    for k in range(len(sums)):
        step = np.zeros(len(sums))
        step[k] = 1e-5
        slope = (STATISTIC.value(sums + step) - STATISTIC.value(sums - step)) / 2e-5
        np.testing.assert_allclose(found[:, k], slope, atol=1e-8)
    np.testing.assert_allclose(found @ sums, 0, atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_gradients_of_constant_and_of_perfect_outputs_are_zero_and_finite(value):
    cluster, truth, _ = make_frames()
    constant = STATISTIC.gradient(sums_of(cluster, truth, [np.full(truth.size, value)])[0].sum(axis=0))
    assert np.isfinite(constant).all() and (constant[2:] == 0).all()
    perfect = STATISTIC.gradient(sums_of(cluster, truth, [truth])[0].sum(axis=0))
    assert np.isfinite(perfect).all() and (perfect[0] == 0).all()


def test_pooled_replicates_are_explicit_resampling_of_whole_clusters():
    cluster, truth, predictions = make_frames()
    weights = statistics.bootstrap_weights(together(6), 40, np.random.default_rng(1))
    found = resample(sums_of(cluster, truth, predictions)[None], np.ones(1), weights, together(6), STATISTIC).replicates
    for replicate, row in zip(found, weights, strict=True):
        frames = np.concatenate([np.flatnonzero(cluster == c) for c in range(6) for _ in range(row[c])])
        expected = np.mean([slow_scores(truth[frames], one[frames]) for one in predictions], axis=0)
        np.testing.assert_allclose(replicate, expected, atol=1e-11)


def test_clip_mean_replicates_are_explicit_resampling():
    generator = np.random.default_rng(2)
    owners = np.array([0, 0, 0, 1, 2, 2])
    scores = generator.normal(size=(2, 6, 4))
    totals = np.stack([scores[:, owners == c].sum(axis=1) for c in range(3)], axis=1)
    weights = statistics.bootstrap_weights(together(3), 30, generator)
    counts = np.broadcast_to(np.bincount(owners)[:, None], (2, 3, 1))
    sums = np.concatenate([totals, counts], axis=-1)[None]
    found = resample(sums, np.ones(1), weights, together(3), PerClip(AFFECT)).replicates
    for replicate, row in zip(found, weights, strict=True):
        clips = np.concatenate([np.flatnonzero(owners == c) for c in range(3) for _ in range(row[c])])
        np.testing.assert_allclose(replicate, scores[:, clips].mean(axis=(0, 1)), atol=1e-12)


def test_exact_swap_test_enumerates_all_assignments():
    cluster, truth, predictions = make_frames()
    others = [one + np.random.default_rng(8).normal(0.05, 0.2, one.size) for one in predictions]
    first, second = sums_of(cluster, truth, predictions), sums_of(cluster, truth, others)
    found = swap_p_values(first, second, 64, np.random.default_rng(0), STATISTIC)
    differences = []
    for code in range(64):
        swapped = ((code >> cluster) & 1).astype(bool)
        pairs = [(np.where(swapped, b, a), np.where(swapped, a, b)) for a, b in zip(predictions, others, strict=True)]
        differences.append(np.mean([slow_scores(truth, a) - slow_scores(truth, b) for a, b in pairs], axis=0))
    differences = np.abs(differences)
    np.testing.assert_allclose(found, (differences >= differences[0] - 1e-12).mean(axis=0))


def test_sampled_swap_test_agrees_with_scipys_permutation_test():
    cluster, truth, (prediction,) = make_frames(clusters=12, seeds=1, seed=4)
    other = prediction + np.random.default_rng(9).normal(0.0, 0.25, prediction.size)
    first, second = sums_of(cluster, truth, [prediction]), sums_of(cluster, truth, [other])
    sampled = swap_p_values(first, second, 3000, np.random.default_rng(0), STATISTIC)
    exact = swap_p_values(first, second, 4096, np.random.default_rng(0), STATISTIC)
    np.testing.assert_allclose(sampled, exact, atol=0.03)

    def mean_square_difference(a, b, axis):
        return a.mean(axis=axis) - b.mean(axis=axis)

    # For one frame per cluster the swap test of an additive score is scipy's paired permutation test.
    y, p, q = truth[:10], prediction[:10], other[:10]
    theirs = stats.permutation_test(
        ((y > 0) == (p > 0), (y > 0) == (q > 0)), lambda a, b, axis: mean_square_difference(1.0 * a, 1.0 * b, axis),
        permutation_type="samples", n_resamples=np.inf, vectorized=True,
    ).pvalue  # fmt: skip
    ours = swap_p_values(sums_of(np.arange(10), y, [p]), sums_of(np.arange(10), y, [q]), 1024, None, STATISTIC)
    assert ours[1] == pytest.approx(theirs)


def test_swap_test_is_level_under_the_null_hypothesis():
    generator = np.random.default_rng(11)
    p_values = []
    for _ in range(200):
        cluster = np.repeat(np.arange(8), 5)
        truth = generator.normal(size=40)
        both = sums_of(cluster, truth, [truth + generator.normal(size=40), truth + generator.normal(size=40)])
        p_values.append(swap_p_values(both[:1], both[1:], 256, generator, STATISTIC))
    rejected = (np.array(p_values) <= 0.05).mean(axis=0)
    assert (rejected < 0.1).all()


def test_equal_methods_have_p_one():
    cluster, truth, predictions = make_frames()
    sums = sums_of(cluster, truth, predictions)
    for replicates in (10, 64):
        assert swap_p_values(sums, sums, replicates, np.random.default_rng(0), STATISTIC).tolist() == [1, 1, 1, 1]


def test_slope_contrast_is_the_least_squares_slope():
    scores = np.array([0.1, 0.5, 0.2, 0.9])
    assert slope_contrast(4) @ scores == pytest.approx(np.polyfit(range(4), scores, 1)[0])


def test_trend_test_of_two_methods_is_the_swap_test():
    cluster, truth, (first, second) = make_frames(clusters=9, seed=6)
    both = np.stack([sums_of(cluster, truth, [first]), sums_of(cluster, truth, [second])])
    expected = swap_p_values(both[0], both[1], 512, np.random.default_rng(0), STATISTIC)
    found = trend_p_values(both, slope_contrast(2), 4000, np.random.default_rng(0), STATISTIC)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_trend_is_found_and_equal_methods_have_none():
    cluster, truth, _ = make_frames(clusters=10, seed=3)
    noise = np.random.default_rng(4).normal(0, 1, truth.size)
    outputs = [truth + size * noise for size in (0.1, 0.2, 0.3, 0.4)]
    rising = np.stack([sums_of(cluster, truth, [output]) for output in outputs])
    p_values = trend_p_values(rising, slope_contrast(4), 500, np.random.default_rng(0), STATISTIC)
    assert p_values[[0, 2, 3]].max() == pytest.approx(1 / 501)
    flat = np.stack([rising[0]] * 4)
    assert trend_p_values(flat, slope_contrast(4), 50, np.random.default_rng(0), STATISTIC).tolist() == [1, 1, 1, 1]


def test_holm_on_a_worked_example():
    # Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.5.
    found = holm(np.array([0.02, 0.5, 0.01, 0.03]))
    np.testing.assert_allclose(found, [0.06, 0.5, 0.04, 0.06])
    assert holm(np.array([0.6, 0.9])).tolist() == [1, 1]
    assert holm(np.array([])).size == 0


def test_products_depend_neither_on_the_cpu_nor_on_threads_as_those_of_blas_do():
    found = []
    for name, threads in (("Haswell", "1"), ("Nehalem", "1"), ("Haswell", "2")):
        environment = os.environ | {"OPENBLAS_CORETYPE": name, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", PRODUCTS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout.split())
    ours, theirs = zip(*found, strict=True)
    assert len(set(ours)) == 1
    if os.uname().machine == "x86_64":
        assert len(set(theirs)) > 1


def test_a_product_is_that_of_the_matrices_however_its_rows_are_cut():
    draws = np.random.default_rng(1)
    for columns in (1, 7):
        a, b = draws.standard_normal((9, 300)), draws.standard_normal((300, columns))
        whole = statistics.product(a, b)
        np.testing.assert_allclose(whole, a @ b, rtol=1e-9, atol=1e-12)
        for row in range(9):
            np.testing.assert_array_equal(statistics.product(a[row : row + 1], b), whole[row : row + 1])
