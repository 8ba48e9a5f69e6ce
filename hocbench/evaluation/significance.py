"""Permutation tests of differences and trends between methods, and Holm's correction.

Tests and intervals answer different questions, so that they may disagree near the border: a test asks whether methods
could be exchangeable, an interval how large the difference is. Axes as in `hocbench.evaluation.statistics`.
"""

import numpy as np

from hocbench.evaluation.statistics import Statistic, blocks, weighted
from hocbench.metrics.record import Floats

# A permuted difference this close to the observed one is the same but for rounding.
_ROUNDING = 1e-12


def swap_p_values(
    first: Floats, second: Floats, replicates: int, generator: np.random.Generator, statistic: Statistic
) -> Floats:
    """Test by cluster permutation whether two methods score alike on the same frames.

    If they are exchangeable, swapping their outputs for a whole cluster (for every seed at once) changes nothing in
    distribution. With few clusters every swap is tried and p is exact; otherwise `replicates` random ones are, and
    the observed assignment counts as one of them. Two-sided.

    Parameters
    ----------
    first, second : ndarray, (seeds, clusters, sums)
        Sums of both methods over the same frames, with the same centre.
    replicates : int
        Number of random swaps.
    generator : numpy.random.Generator
        Source of the random swaps.
    statistic : Statistic
        What is computed from the sums.

    Returns
    -------
    ndarray, (metrics,)
        p values, above 0 and at most 1; NaN for a score that is not defined.
    """
    clusters = first.shape[1]
    change = first - second
    total_first, total_second = first.sum(axis=1), second.sum(axis=1)
    observed = np.abs(_difference(total_first, total_second, statistic))
    exact = 2**clusters <= replicates
    extreme, tried = np.zeros(len(observed)), 0
    for rows in blocks(2**clusters if exact else replicates):
        if exact:
            swaps = (np.arange(rows.start, rows.stop)[:, None] >> np.arange(clusters)) & 1
        else:
            swaps = generator.integers(0, 2, (rows.stop - rows.start, clusters), dtype=np.uint8)
        moved = weighted(swaps, change)
        difference = np.abs(_difference(total_first - moved, total_second + moved, statistic))
        extreme += (difference >= observed - _ROUNDING).sum(axis=0)
        tried += len(swaps)
    p_values = extreme / tried if exact else (extreme + 1) / (tried + 1)
    return np.where(np.isnan(observed), np.nan, p_values)


def trend_p_values(
    sums: Floats, contrast: Floats, replicates: int, generator: np.random.Generator, statistic: Statistic
) -> Floats:
    """Test by cluster permutation whether scores go up or down along ordered methods (ranks, LASSO weights).

    Without a trend the outputs of the methods are exchangeable within each cluster, so the order of the methods is
    drawn anew for each cluster, for every seed at once. The observed order counts as one draw. Two-sided.

    Parameters
    ----------
    sums : ndarray, (methods, seeds, clusters, sums)
        Sums over the same frames with the same centre, in the order of the trend.
    contrast : ndarray, (methods,)
        From `slope_contrast`.
    replicates : int
        Number of random orders.
    generator : numpy.random.Generator
        Source of the orders.
    statistic : Statistic
        What is computed from the sums.

    Returns
    -------
    ndarray, (metrics,)
        p values, above 0 and at most 1; NaN for a score that is not defined.
    """
    methods, _, clusters, _ = sums.shape
    observed = np.abs(_slope(sums.sum(axis=2)[None], contrast, statistic))[0]
    extreme = np.zeros(len(observed))
    for rows in blocks(replicates):
        orders = generator.permuted(
            np.broadcast_to(np.arange(methods), (rows.stop - rows.start, clusters, methods)), axis=-1
        )
        totals = [
            sum(weighted(orders[..., place] == method, sums[method]) for method in range(methods))
            for place in range(methods)
        ]
        slopes = np.abs(_slope(np.stack(totals, axis=1), contrast, statistic))
        extreme += (slopes >= observed - _ROUNDING).sum(axis=0)
    return np.where(np.isnan(observed), np.nan, (extreme + 1) / (replicates + 1))


def slope_contrast(methods: int) -> Floats:
    """Weights whose product with scores is their least-squares slope, in score per step.

    Parameters
    ----------
    methods : int
        At least 2, in the order of the trend; steps count as equal.

    Returns
    -------
    ndarray, (methods,)
        They sum to 0.
    """
    steps = np.arange(methods) - (methods - 1) / 2
    return steps / (steps**2).sum()


def _slope(totals: Floats, contrast: Floats, statistic: Statistic) -> Floats:
    """Contrast of the mean score over seeds: (..., methods, seeds, sums) to (..., metrics)."""
    return np.einsum("m,...mk->...k", contrast, statistic.value(totals).mean(axis=-2))


def holm(p_values: Floats) -> Floats:
    """Correct p values for their number (Holm 1979), keeping the family-wise error rate.

    Parameters
    ----------
    p_values : ndarray, (comparisons,)
        Uncorrected p values of one family.

    Returns
    -------
    ndarray, (comparisons,)
        Corrected p values in the same order, at most 1.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected


def _difference(first: Floats, second: Floats, statistic: Statistic) -> Floats:
    """Scores of the first minus those of the second, mean over seeds: (..., seeds, sums) to (..., metrics)."""
    return (statistic.value(first) - statistic.value(second)).mean(axis=-2)
