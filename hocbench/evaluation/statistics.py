"""Cluster bootstrap, paired tests and Holm's correction, as pure functions of sums over clusters.

All four scores of a set of frames follow from eight sums over its frames. Sums add up over clusters (subjects, or
images of a still dataset), so a resampled data set is one product of a weight matrix with the clusters' sums and
frames are never touched, let alone resampled, one by one.

Axes: *replicates*, *seeds* (trainings of one network), *clusters*, *sums* (`SUMS`), *metrics* (`METRICS`).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

METRICS = ("rmse", "sagr", "pcc", "ccc")
SUMS = ("n", "y", "p", "yy", "pp", "yp", "squared_error", "equal_signs")

Floats = NDArray[np.float64]

# A variance below this share of the mean square about the centre is rounding, so the values count as constant.
_ROUNDING = 1e-12
# Rows of a weight matrix turned into double precision at a time: bounds the memory, changes no result.
_ROWS = 512


def cluster_sums(
    truth: Floats, prediction: Floats, cluster: NDArray[np.intp], clusters: int, centre: float | Floats
) -> Floats:
    """Sum over the frames of each cluster what the scores need.

    Parameters
    ----------
    truth, prediction : ndarray, (frames,)
        Finite labels and outputs.
    cluster : ndarray of int, (frames,)
        Number of each frame's cluster, 0 to ``clusters - 1``.
    clusters : int
        Number of clusters.
    centre : float or ndarray, (frames,)
        Subtracted from labels and outputs before squaring, against cancellation: a number near the mean label.
        Only sums with the same centre may be added.

    Returns
    -------
    ndarray, (clusters, sums)
        In the order of `SUMS`.
    """
    y, p = truth - centre, prediction - centre
    columns = (
        *(np.ones_like(y), y, p, y * y, p * p, y * p),
        *((prediction - truth) ** 2, (np.sign(truth) == np.sign(prediction)).astype(np.float64)),
    )
    return np.stack([np.bincount(cluster, column, minlength=clusters) for column in columns], axis=-1)


def scores_from_sums(sums: Floats) -> Floats:
    """Turn sums over frames into scores (see `hocbench.metrics` for their definitions).

    Parameters
    ----------
    sums : ndarray, (..., sums)
        Sums over all frames of a data set, with at least one frame.

    Returns
    -------
    ndarray, (..., metrics)
        In the order of `METRICS`; PCC and CCC are 0 where labels or outputs are constant.
    """
    n = sums[..., 0]
    y, p, yy, pp, yp, error, equal = np.moveaxis(sums[..., 1:] / n[..., None], -1, 0)
    variance_y, variance_p, covariance = yy - y * y, pp - p * p, yp - y * p
    varies = (variance_y > _ROUNDING * yy) & (variance_p > _ROUNDING * pp)
    product = np.where(varies, variance_y * variance_p, 1.0)
    spread = np.where(varies, variance_y + variance_p + (y - p) ** 2, 1.0)
    pcc = np.where(varies, np.clip(covariance / np.sqrt(product), -1.0, 1.0), 0.0)
    ccc = np.where(varies, 2 * covariance / spread, 0.0)
    return np.stack([np.sqrt(error), equal, pcc, ccc], axis=-1)


def bootstrap_weights(clusters: int, replicates: int, generator: np.random.Generator) -> NDArray[np.uint16]:
    """Draw how often each cluster is in each resampled data set.

    Parameters
    ----------
    clusters, replicates : int
        Sizes; each replicate draws `clusters` clusters with replacement.
    generator : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray, (replicates, clusters)
        Counts; each row sums to `clusters`.
    """
    weights = np.empty((replicates, clusters), np.uint16)
    chances = np.full(clusters, 1 / clusters)
    for rows in _blocks(replicates):
        weights[rows] = generator.multinomial(clusters, chances, size=rows.stop - rows.start)
    return weights


def pooled_replicates(sums: Floats, weights: NDArray[np.uint16]) -> Floats:
    """Score each resampled data set, all its frames together, and average over seeds.

    Every seed gets the same weights: the spread is over clusters, conditional on the seeds.

    Parameters
    ----------
    sums : ndarray, (seeds, clusters, sums)
        Sums of each seed's predictions.
    weights : ndarray, (replicates, clusters)
        From `bootstrap_weights`.

    Returns
    -------
    ndarray, (replicates, metrics)
        Mean over seeds.
    """
    return scores_from_sums(_weighted(weights, sums)).mean(axis=1)


def clip_mean_replicates(totals: Floats, clips: Floats, weights: NDArray[np.uint16]) -> Floats:
    """Average the clips' own scores in each resampled data set, and over seeds.

    Parameters
    ----------
    totals : ndarray, (seeds, clusters, metrics)
        Sum of the scores of each cluster's clips.
    clips : ndarray, (clusters,)
        Number of clips of each cluster.
    weights : ndarray, (replicates, clusters)
        From `bootstrap_weights`.

    Returns
    -------
    ndarray, (replicates, metrics)
        Mean over clips and seeds.
    """
    count = _weighted(weights, clips[None, :, None])
    return (_weighted(weights, totals) / count).mean(axis=1)


def percentile_interval(replicates: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper percentiles that enclose a share `level` of the replicates.

    Parameters
    ----------
    replicates : ndarray, (replicates, metrics)
        Scores of resampled data sets.
    level : float
        Between 0 and 1.

    Returns
    -------
    low, high : ndarray, (metrics,)
        The limits.
    """
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def swap_p_values(first: Floats, second: Floats, replicates: int, generator: np.random.Generator) -> Floats:
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

    Returns
    -------
    ndarray, (metrics,)
        p values, above 0 and at most 1.
    """
    clusters = first.shape[1]
    change = first - second
    total_first, total_second = first.sum(axis=1), second.sum(axis=1)
    observed = np.abs(_difference(total_first, total_second))
    exact = 2**clusters <= replicates
    extreme, tried = np.zeros(len(METRICS)), 0
    for rows in _blocks(2**clusters if exact else replicates):
        if exact:
            swaps = (np.arange(rows.start, rows.stop)[:, None] >> np.arange(clusters)) & 1
        else:
            swaps = generator.integers(0, 2, (rows.stop - rows.start, clusters), dtype=np.uint8)
        moved = _weighted(swaps, change)
        difference = np.abs(_difference(total_first - moved, total_second + moved))
        extreme += (difference >= observed - 1e-12).sum(axis=0)
        tried += len(swaps)
    return extreme / tried if exact else (extreme + 1) / (tried + 1)


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


def _difference(first: Floats, second: Floats) -> Floats:
    """Scores of the first minus those of the second, mean over seeds: (..., seeds, sums) to (..., metrics)."""
    return (scores_from_sums(first) - scores_from_sums(second)).mean(axis=-2)


def _weighted(weights: NDArray[np.integer], table: Floats) -> Floats:
    """Add up clusters by weight: (replicates, clusters) and (seeds, clusters, k) to (replicates, seeds, k)."""
    seeds, clusters, width = table.shape
    flat = np.ascontiguousarray(table.transpose(1, 0, 2)).reshape(clusters, seeds * width)
    result = np.empty((len(weights), seeds * width))
    for rows in _blocks(len(weights)):
        result[rows] = weights[rows].astype(np.float64) @ flat
    return result.reshape(len(weights), seeds, width)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS))
