"""Scores as functions of sums over clusters, and the drawing of clusters with replacement.

All scores of a set of frames follow from a few sums over its frames (`hocbench.metrics.record`). Sums add up over
clusters (subjects, or images of a still dataset), so a resampled data set is one product of a weight matrix with the
clusters' sums and frames are never touched, let alone resampled, one by one. The gradients of the scores by these sums
give the share of each cluster in a score, from which standard errors follow without any resampling.

Axes: *replicates*, *seeds* (trainings of one network), *clusters*, *sums* (the number of frames and those that metrics
name), *metrics*.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hocbench.metrics.record import Floats, Metric

# Rows of a weight matrix turned into double precision at a time: bounds the memory, changes no result.
_ROWS = 512


def columns_of(
    metrics: Sequence[Metric], truth: NDArray[Any], output: Floats, centre: float | Floats = 0.0
) -> dict[str, Floats]:
    """Compute what the metrics sum over frames or units.

    Parameters
    ----------
    metrics : sequence of Metric
        What is to be scored.
    truth : ndarray, (n,)
        Labels: finite numbers, or numbers of classes.
    output : ndarray, (n,) or (n, classes)
        Outputs, or probabilities of classes.
    centre : float or ndarray, (n,)
        Subtracted from labels and outputs before squaring, against cancellation: a number near the mean label.
        Only sums with the same centre may be added.

    Returns
    -------
    dict of str to ndarray, (n,)
        By name. The order of sums is part of the bytes of results: those of metrics with many come first.
    """
    parts = sorted((metric.sums(truth, output, centre) for metric in metrics), key=len, reverse=True)
    return {name: column for part in parts for name, column in part.items()}


def cluster_sums(columns: Mapping[str, Floats], cluster: NDArray[np.intp], clusters: int) -> Floats:
    """Sum over the frames of each cluster what the scores need.

    Parameters
    ----------
    columns : mapping of str to ndarray, (frames,)
        From `columns_of`.
    cluster : ndarray of int, (frames,)
        Number of each frame's cluster, 0 to ``clusters - 1``.
    clusters : int
        Number of clusters.

    Returns
    -------
    ndarray, (clusters, sums)
        The number of frames, then the columns in their order.
    """
    ones = np.ones(len(cluster))
    return np.stack([np.bincount(cluster, column, minlength=clusters) for column in (ones, *columns.values())], axis=-1)


class Statistic(Protocol):
    """What is computed from sums over clusters, and its gradient."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The scores, in their order."""

    def value(self, sums: Floats) -> Floats:
        """Turn sums (..., k) over a data set, with at least one frame, into scores (..., metrics)."""

    def gradient(self, sums: Floats) -> Floats:
        """Differentiate `value` by the sums: (..., k) to (..., metrics, k); 0 where a score is constant."""


@dataclass(frozen=True)
class Pooled:
    """Scores of all frames together.

    A score does not change if all sums double, so the gradient times the sums is 0 (Euler), and the gradient times
    the sums of one cluster is the influence of that cluster.

    Attributes
    ----------
    metrics : tuple of Metric
        The scores, in their order.
    names : tuple of str
        What the sums after the first, which is the number of frames, are of.
    """

    metrics: tuple[Metric, ...]
    names: tuple[str, ...]

    def value(self, sums: Floats) -> Floats:
        """Turn sums (..., k) over a data set, with at least one frame, into scores (..., metrics)."""
        means = self._means(sums)
        return np.stack([metric.value(means) for metric in self.metrics], axis=-1)

    def gradient(self, sums: Floats) -> Floats:
        """Differentiate `value` by the sums: (..., k) to (..., metrics, k)."""
        means = self._means(sums)
        by_mean = np.zeros((*sums.shape[:-1], len(self.metrics), sums.shape[-1]))
        for place, metric in enumerate(self.metrics):
            for name, derivative in metric.gradient(means).items():
                by_mean[..., place, 1 + self.names.index(name)] = derivative
        # Means are sums by n: the chain rule, and Euler's equation for n itself.
        gradients = by_mean / sums[..., None, :1]
        gradients[..., 0] = -(gradients[..., 1:] * sums[..., None, 1:]).sum(axis=-1) / sums[..., None, 0]
        return gradients

    def only(self, metric: Metric) -> "Pooled":
        """Return the statistic of one metric alone, of the same sums, for a part of the work."""
        return Pooled((metric,), self.names)

    def _means(self, sums: Floats) -> dict[str, Floats]:
        return dict(zip(self.names, np.moveaxis(sums[..., 1:] / sums[..., :1], -1, 0), strict=True))


@dataclass(frozen=True)
class PerClip:
    """Means of the clips' own scores, of sums of these and, last, the number of clips: (..., metrics + 1)."""

    metrics: tuple[Metric, ...]

    def value(self, sums: Floats) -> Floats:
        """Average: (..., metrics + 1) to (..., metrics)."""
        return sums[..., :-1] / sums[..., -1:]

    def gradient(self, sums: Floats) -> Floats:
        """Differentiate `value`: (..., metrics + 1) to (..., metrics, metrics + 1)."""
        metrics = sums.shape[-1] - 1
        gradients = np.zeros((*sums.shape[:-1], metrics, metrics + 1))
        places = np.arange(metrics)
        gradients[..., places, places] = 1 / sums[..., -1:]
        gradients[..., -1] = -self.value(sums) / sums[..., -1:]
        return gradients


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
