"""Scores as functions of sums over clusters, and the drawing of clusters with replacement.

All four scores of a set of frames follow from eight sums over its frames. Sums add up over clusters (subjects, or
images of a still dataset), so a resampled data set is one product of a weight matrix with the clusters' sums and
frames are never touched, let alone resampled, one by one. The gradients of the scores by these sums give the share of
each cluster in a score, from which standard errors follow without any resampling.

Axes: *replicates*, *seeds* (trainings of one network), *clusters*, *sums* (`SUMS`), *metrics* (`METRICS`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
    """Turn sums over frames into scores (see `hocbench.metrics.affect` for their definitions).

    Parameters
    ----------
    sums : ndarray, (..., sums)
        Sums over all frames of a data set, with at least one frame.

    Returns
    -------
    ndarray, (..., metrics)
        In the order of `METRICS`; PCC and CCC are 0 where labels or outputs are constant.
    """
    e = _moments(sums)
    pcc = np.where(e.varies, np.clip(e.covariance / e.product, -1.0, 1.0), 0.0)
    ccc = np.where(e.varies, 2 * e.covariance / e.spread, 0.0)
    return np.stack([np.sqrt(e.error), e.equal, pcc, ccc], axis=-1)


def score_gradients(sums: Floats) -> Floats:
    """Differentiate `scores_from_sums` by the sums.

    A score does not change if all sums double, so the gradient times the sums is 0 (Euler), and the gradient times
    the sums of one cluster is the influence of that cluster.

    Parameters
    ----------
    sums : ndarray, (..., sums)
        As in `scores_from_sums`.

    Returns
    -------
    ndarray, (..., metrics, sums)
        0 where a score is constant: PCC and CCC of constant labels or outputs, RMSE of perfect outputs.
    """
    e = _moments(sums)
    rmse = np.sqrt(e.error)
    pcc, ccc = e.covariance / e.product, 2 * e.covariance / e.spread
    zero, one = np.zeros_like(rmse), np.ones_like(rmse)
    half_error = np.where(rmse > 0, 0.5 / np.where(rmse > 0, rmse, 1.0), 0.0)
    by_mean = np.zeros((*rmse.shape, len(METRICS), len(SUMS)))
    # In the order of SUMS: y, p, yy, pp, yp, squared_error, equal_signs.
    rows = (
        (zero, zero, zero, zero, zero, half_error, zero),
        (zero, zero, zero, zero, zero, zero, one),
        (
            *(pcc * e.y / e.variance_y - e.p / e.product, pcc * e.p / e.variance_p - e.y / e.product),
            *(-pcc / (2 * e.variance_y), -pcc / (2 * e.variance_p), 1 / e.product, zero, zero),
        ),
        (
            *(-2 * e.p * (1 - ccc) / e.spread, -2 * e.y * (1 - ccc) / e.spread),
            *(-ccc / e.spread, -ccc / e.spread, 2 / e.spread, zero, zero),
        ),
    )
    for metric, row in enumerate(rows):
        by_mean[..., metric, 1:] = np.stack(row, axis=-1)
    by_mean[..., 2:, :] *= e.varies[..., None, None]
    # Means are sums by n: the chain rule, and Euler's equation for n itself.
    gradients = by_mean / sums[..., None, :1]
    gradients[..., 0] = -(gradients[..., 1:] * sums[..., None, 1:]).sum(axis=-1) / sums[..., None, 0]
    return gradients


def clip_means(sums: Floats) -> Floats:
    """Average the clips' own scores: (..., metrics + 1), their sums and last their number, to (..., metrics)."""
    return sums[..., :-1] / sums[..., -1:]


def clip_mean_gradients(sums: Floats) -> Floats:
    """Differentiate `clip_means`: (..., metrics + 1) to (..., metrics, metrics + 1)."""
    metrics = sums.shape[-1] - 1
    gradients = np.zeros((*sums.shape[:-1], metrics, metrics + 1))
    places = np.arange(metrics)
    gradients[..., places, places] = 1 / sums[..., -1:]
    gradients[..., -1] = -clip_means(sums) / sums[..., -1:]
    return gradients


@dataclass(frozen=True)
class Statistic:
    """What is computed from sums over clusters, and its gradient.

    Attributes
    ----------
    value : callable
        Sums (..., k) to scores (..., metrics).
    gradient : callable
        Sums (..., k) to (..., metrics, k).
    """

    value: Callable[[Floats], Floats]
    gradient: Callable[[Floats], Floats]


POOLED = Statistic(scores_from_sums, score_gradients)
# The last of the metrics alone, for a quarter of the work.
CCC = Statistic(lambda sums: scores_from_sums(sums)[..., -1:], lambda sums: score_gradients(sums)[..., -1:, :])
PER_CLIP = Statistic(clip_means, clip_mean_gradients)


@dataclass(frozen=True)
class _Moments:
    """Means, variances and what the scores divide by; 1 there, and variances 1, where something is constant."""

    y: Floats
    p: Floats
    variance_y: Floats
    variance_p: Floats
    covariance: Floats
    product: Floats
    spread: Floats
    error: Floats
    equal: Floats
    varies: NDArray[np.bool_]


def _moments(sums: Floats) -> _Moments:
    y, p, yy, pp, yp, error, equal = np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0)
    variance_y, variance_p, covariance = yy - y * y, pp - p * p, yp - y * p
    varies = (variance_y > _ROUNDING * yy) & (variance_p > _ROUNDING * pp)
    variance_y, variance_p = np.where(varies, variance_y, 1.0), np.where(varies, variance_p, 1.0)
    product = np.sqrt(variance_y * variance_p)
    spread = np.where(varies, variance_y + variance_p + (y - p) ** 2, 1.0)
    return _Moments(y, p, variance_y, variance_p, covariance, product, spread, error, equal, varies)


def bootstrap_weights(strata: NDArray[np.intp], replicates: int, generator: np.random.Generator) -> NDArray[np.uint16]:
    """Draw how often each cluster is in each resampled data set.

    Parameters
    ----------
    strata : ndarray of int, (clusters,)
        Clusters are drawn within their stratum (a fold, whose subjects are tested by a network of its own), so that
        each keeps its size. A stratum of one cluster cannot vary, so all are drawn together if there is one.
    replicates : int
        Number of resampled data sets.
    generator : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray, (replicates, clusters)
        Counts; each row sums to the number of clusters.
    """
    weights = np.empty((replicates, len(strata)), np.uint16)
    for members in strata_members(strata):
        chances = np.full(len(members), 1 / len(members))
        for rows in blocks(replicates):
            weights[rows, members] = generator.multinomial(len(members), chances, size=rows.stop - rows.start)
    return weights


def strata_members(strata: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """List the clusters of each stratum; all in one if some stratum has a single cluster."""
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    return members if min(len(each) for each in members) > 1 else [np.arange(len(strata))]


def weighted(weights: NDArray[np.generic], table: Floats) -> Floats:
    """Add up clusters by weight: (replicates, clusters) and (..., clusters, k) to (replicates, ..., k)."""
    *outer, clusters, width = table.shape
    flat = np.ascontiguousarray(np.moveaxis(table, -2, 0)).reshape(clusters, -1)
    result = np.empty((len(weights), flat.shape[1]))
    for rows in blocks(len(weights)):
        result[rows] = product(weights[rows].astype(np.float64), flat)
    return result.reshape(len(weights), *outer, width)


def product(a: Floats, b: Floats) -> Floats:
    """Multiply two matrices with the same bytes on every machine.

    BLAS adds up in an order of its own, which depends on the CPU and on the number of threads.
    """
    return np.einsum("ij,jk->ik", a, b)


def blocks(count: int) -> Iterator[slice]:
    """Cut a number of rows into slices that bound the memory; they change no result."""
    return (slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS))
