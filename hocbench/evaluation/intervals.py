"""Intervals of scores and of contrasts between methods, from resampled clusters.

A contrast is a weighted sum of the scores of methods: weight 1 for a score by itself, 1 and -1 for a paired
difference, the weights of a least-squares slope for a trend. Its standard error follows from the influence of each
cluster (infinitesimal jackknife), in the data as in every resampled data set, so the bootstrap can be studentised
without a second level of resampling.

Where seeds vary too, their mean is a random effect of its own: with so few of them, resampling would understate it, so
it enters each replicate as a normal deviate with the error of its own estimate (a t distribution with seeds - 1
degrees of freedom if nothing else varied).

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 12.5, 14.3 and 21; for resampling whole
clusters, Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8; for symmetric
intervals, Hall, On symmetric bootstrap confidence intervals, JRSS B 50 (1988).
"""

from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hocbench.evaluation.statistics import Statistic, blocks, product, strata_members, weighted
from hocbench.metrics.record import Floats
from hocbench.metrics.scales import PLAIN, Scale

LEVEL = 0.95
SEEDS_NEEDED = 5  # with fewer, intervals are conditional on the seeds
# Pivots of fewer clusters have tails without end; Student's quantiles stand in for them.
FEWEST_CLUSTERS = 8
# Of the replicates, so many must have a spread of their own, or the clusters are too few or too alike.
_LEAST_USABLE = 0.9
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Resampled:
    """A contrast in the data and in resampled data sets.

    Attributes
    ----------
    estimate, cluster_error : ndarray, (metrics,)
        The contrast, mean over seeds, and its standard error over clusters.
    seed_sd : ndarray, (metrics,)
        Standard deviation of the contrast over seeds; NaN with one seed.
    seed_error : ndarray, (metrics,)
        Standard error of the mean over seeds beyond what clusters explain, since the error over clusters has that.
    influence : ndarray, (clusters, metrics)
        Share of each cluster in the estimate's deviation; sums to 0.
    replicates, errors : ndarray, (replicates, metrics)
        The contrast and its standard error over clusters in each resampled data set.
    seeds : int
        Number of seeds.
    scales : tuple of Scale
        Of each metric.
    degenerate : ndarray of bool, (metrics,)
        Whether the score of some method and seed says nothing.
    """

    estimate: Floats
    cluster_error: Floats
    seed_sd: Floats
    seed_error: Floats
    influence: Floats
    replicates: Floats
    errors: Floats
    seeds: int
    scales: tuple[Scale, ...]
    degenerate: NDArray[np.bool_]

    @property
    def effect_size(self) -> Floats:
        """The estimate in standard deviations of the clusters' own contributions; NaN where these do not vary."""
        deviation = self.cluster_error * np.sqrt(len(self.influence))
        return np.divide(self.estimate, deviation, out=np.full(len(deviation), np.nan), where=deviation > _NO_SPREAD)


def resample(
    sums: Floats,
    contrast: Floats,
    weights: NDArray[np.uint16],
    strata: NDArray[np.intp],
    statistic: Statistic,
) -> Resampled:
    """Compute a contrast and its standard error in the data and in each resampled data set.

    Parameters
    ----------
    sums : ndarray, (methods, seeds, clusters, k)
        Sums over the same frames, with the same centre.
    contrast : ndarray, (methods,)
        Weight of each method.
    weights : ndarray, (replicates, clusters)
        From `bootstrap_weights`.
    strata : ndarray of int, (clusters,)
        As given to `bootstrap_weights`.
    statistic : Statistic
        What is computed from the sums.

    Returns
    -------
    Resampled
        See there.
    """
    seeds, clusters = sums.shape[1:3]
    members = strata_members(strata)
    ones = np.ones((1, clusters))
    values = statistic.value(sums.sum(axis=2))
    by_seed = np.einsum("m,msk->sk", contrast, values)
    seed_sd = by_seed.std(axis=0, ddof=1) if seeds > 1 else np.full(by_seed.shape[1], np.nan)
    estimate, influence = _contrast(weighted(ones, sums), sums, contrast, statistic)
    replicates = np.empty((len(weights), estimate.shape[-1]))
    errors = np.empty_like(replicates)
    for rows in blocks(len(weights)):
        drawn = weights[rows]
        replicates[rows], moved = _contrast(weighted(drawn, sums), sums, contrast, statistic)
        errors[rows] = _standard_errors(moved, drawn.astype(np.float64), members)
    return Resampled(
        estimate=estimate[0],
        cluster_error=_standard_errors(influence, ones, members)[0],
        seed_sd=seed_sd,
        seed_error=_seed_error(seed_sd, sums, contrast, statistic, members),
        influence=np.moveaxis(influence[0], 0, -1),
        replicates=replicates,
        errors=errors,
        seeds=seeds,
        scales=tuple(metric.scale for metric in statistic.metrics),
        degenerate=(np.isnan(values) | (values == [each.degenerate for each in statistic.metrics])).any(axis=(0, 1)),
    )


def studentized_interval(
    resampled: Resampled, *, single: bool, generator: np.random.Generator | None = None
) -> tuple[Floats, Floats]:
    """Enclose a contrast by the bootstrap-t method; of fewer than `FEWEST_CLUSTERS` clusters, by Student's.

    Parameters
    ----------
    resampled : Resampled
        From `resample`.
    single : bool
        Whether the contrast is a score by itself: the interval is then made on a scale on which its spread varies
        little (logarithm of RMSE, Fisher's z of CCC, ...) and stays within the score's range. That of differences and
        slopes, whose distribution is nearly symmetric, is made symmetric, which has a smaller error of coverage.
    generator : numpy.random.Generator, optional
        Source of the seeds' deviates; None for an interval conditional on the seeds.

    Returns
    -------
    low, high : ndarray, (metrics,)
        NaN with one cluster, and where too few resampled data sets have a spread. Both are the estimate where no
        cluster differs from the others.
    """
    if single:
        # What clusters explain of it is little there, and leaving it in covers better by simulation.
        resampled = replace(resampled, seed_error=resampled.seed_sd / np.sqrt(resampled.seeds))
    limits = [
        _pivot_limits(resampled, metric, single=single, deviates=deviates)
        for metric, deviates in enumerate(_seed_deviates(resampled, generator))
    ]
    low, high = np.array(limits).T
    return low, high


def percentile_interval(replicates: Floats, level: float = LEVEL) -> tuple[Floats, Floats]:
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


def bca_interval(resampled: Resampled) -> tuple[Floats, Floats]:
    """Percentiles corrected for bias and acceleration (BCa); compared with the others in the simulations.

    Parameters
    ----------
    resampled : Resampled
        From `resample`; its influence gives the acceleration.

    Returns
    -------
    low, high : ndarray, (metrics,)
        The limits.
    """
    normal, count = NormalDist(), len(resampled.replicates)
    below = np.clip((resampled.replicates < resampled.estimate).mean(axis=0), 0.5 / count, 1 - 0.5 / count)
    bias = np.array([normal.inv_cdf(share) for share in below])
    squares = (resampled.influence**2).sum(axis=0)
    cubes = (resampled.influence**3).sum(axis=0)
    acceleration = cubes / (6 * np.where(squares > 0, squares, 1.0) ** 1.5)
    limits = []
    for tail in (normal.inv_cdf((1 - LEVEL) / 2), normal.inv_cdf((1 + LEVEL) / 2)):
        shares = [normal.cdf(z) for z in bias + (bias + tail) / (1 - acceleration * (bias + tail))]
        limits.append([np.quantile(column, q) for column, q in zip(resampled.replicates.T, shares, strict=True)])
    return np.array(limits[0]), np.array(limits[1])


def _contrast(totals: Floats, sums: Floats, contrast: Floats, statistic: Statistic) -> tuple[Floats, Floats]:
    """Value (replicates, metrics) and influence (replicates, metrics, clusters) of a contrast.

    The influence of a cluster here is that of one copy of it.
    """
    methods, seeds, clusters, width = sums.shape
    value = np.einsum("m,rmsk->rk", contrast, statistic.value(totals)) / seeds
    gradients = statistic.gradient(totals) * contrast[:, None, None, None] / seeds
    rows, metrics = len(totals), value.shape[-1]
    flat = np.moveaxis(gradients, -2, 1).reshape(rows * metrics, methods * seeds * width)
    influence = product(flat, np.moveaxis(sums, 2, -1).reshape(methods * seeds * width, clusters))
    return value, influence.reshape(rows, metrics, clusters)


def _seed_error(
    seed_sd: Floats, sums: Floats, contrast: Floats, statistic: Statistic, members: list[NDArray[np.intp]]
) -> Floats:
    """Estimate the standard error over seeds, without what they differ by because of the clusters that were drawn."""
    seeds, clusters = sums.shape[1:3]
    if seeds == 1:
        return np.full(len(seed_sd), np.nan)
    ones = np.ones((1, clusters))
    alone = [sums[:, [seed]] for seed in range(seeds)]
    influences = np.stack([_contrast(weighted(ones, own), own, contrast, statistic)[1][0] for own in alone])
    apart = _standard_errors(influences - influences.mean(axis=0), np.ones((seeds, clusters)), members)
    interaction = (apart**2).sum(axis=0) / (seeds - 1)
    return np.sqrt(np.maximum(seed_sd**2 - interaction, 0.0) / seeds)


def _standard_errors(influence: Floats, weights: Floats, members: list[NDArray[np.intp]]) -> Floats:
    """Add up squared influences, (replicates, metrics, clusters), to standard errors, (replicates, metrics)."""
    variance = np.zeros(influence.shape[:2])
    for own in members:
        count = len(own)
        if count < 2:
            return np.full(influence.shape[:2], np.nan)
        part = influence[:, :, own]
        drawn = weights[:, None, own]
        total = (drawn * part).sum(axis=-1)
        variance += count / (count - 1) * np.maximum((drawn * part**2).sum(axis=-1) - total**2 / count, 0.0)
    return np.sqrt(variance)


def _seed_deviates(resampled: Resampled, generator: np.random.Generator | None) -> list[tuple[Floats, Floats] | None]:
    """Deviation of the seeds' mean, and its estimated standard error, in each replicate and metric."""
    metrics = len(resampled.estimate)
    if generator is None:
        return [None] * metrics
    count, freedom = len(resampled.replicates), resampled.seeds - 1
    # The same draws for all metrics, so that no metric depends on how many there are.
    normal, ratio = generator.standard_normal(count), np.sqrt(generator.chisquare(freedom, count) / freedom)
    return [(error * normal, error * ratio) for error in resampled.seed_error]


def _pivot_limits(
    resampled: Resampled, metric: int, *, single: bool, deviates: tuple[Floats, Floats] | None
) -> tuple[float, float]:
    estimate, cluster_error = resampled.estimate[metric], resampled.cluster_error[metric]
    replicates, errors = resampled.replicates[:, metric], resampled.errors[:, metric]
    if not np.isfinite(cluster_error):
        return np.nan, np.nan
    error = cluster_error
    if deviates is not None:
        error = float(np.hypot(cluster_error, resampled.seed_error[metric]))
        replicates, errors = replicates + deviates[0], np.hypot(errors, deviates[1])
    if error <= _NO_SPREAD * max(1.0, abs(estimate)):
        return float(estimate), float(estimate)
    scale = resampled.scales[metric] if single else PLAIN
    if len(resampled.influence) < FEWEST_CLUSTERS:
        return _students_limits(estimate, error, len(resampled.influence) - 1, scale)
    usable = errors > 1e-6 * error
    if usable.mean() < _LEAST_USABLE:
        return np.nan, np.nan
    centre, moved = scale.forward(estimate), scale.forward(replicates[usable])
    pivots = (moved - centre) / (errors[usable] * scale.slope(replicates[usable]))
    if single:
        below, above = np.quantile(pivots, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    else:
        above = np.quantile(np.abs(pivots), LEVEL)
        below = -above
    width = error * scale.slope(estimate)
    return float(scale.backward(centre - above * width)), float(scale.backward(centre - below * width))


def _students_limits(estimate: float, error: float, freedom: int, scale: Scale) -> tuple[float, float]:
    from scipy.special import stdtrit  # heavy, and of use here only

    centre, width = scale.forward(np.array(estimate)), error * scale.slope(np.array(estimate))
    tail = stdtrit(freedom, (1 + LEVEL) / 2) * width
    return float(scale.backward(centre - tail)), float(scale.backward(centre + tail))
