"""Simulated clustered, autocorrelated labels and outputs whose scores are known, to try intervals and tests on.

A subject has a level of its own (labels), and a bias of its own (outputs); within a clip labels and errors are
first-order autoregressive, so frames are far from independent. Training seeds differ in gain and bias. All is normal,
so that the scores of the whole population follow in closed form.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from hocbench.evaluation.statistics import Pooled, cluster_sums, columns_of
from hocbench.metrics.record import Floats
from hocbench.metrics.records import METRICS

SHORTEST, LONGEST = 20, 60  # frames of a subject's clip
MEMORY = 0.9  # correlation of a frame with the next
MEAN, LEVEL_SD, WITHIN_SD = 0.15, 0.3, 0.2  # labels, as wide as those of valence in [-1, 1]
GAIN, BIAS_SD, NOISE_SD = 0.7, 0.12, 0.15
SEED_GAIN_SD, SEED_BIAS_SD = 0.06, 0.05
POPULATION_SEEDS = 4000
STATISTIC = Pooled(METRICS["affect"], tuple(columns_of(METRICS["affect"], np.empty(0), np.empty(0))))


@dataclass(frozen=True)
class Design:
    """Size of a simulated test set.

    Attributes
    ----------
    clusters : int
        Subjects, each with one clip of `SHORTEST` to `LONGEST` frames.
    methods : int
        Networks that are exchangeable: the same law of errors, drawn for each by itself.
    seeds : int
        Trainings of each network.
    seeds_vary : bool
        Whether trainings differ in gain and bias.
    """

    clusters: int
    methods: int = 1
    seeds: int = 1
    seeds_vary: bool = False


def simulate_sums(design: Design, generator: np.random.Generator) -> Floats:
    """Draw a test set and all outputs on it: sums over each subject's frames, (methods, seeds, clusters, sums)."""
    lengths = generator.integers(SHORTEST, LONGEST + 1, design.clusters)
    in_clip = np.arange(LONGEST) < lengths[:, None]
    level = generator.normal(MEAN, LEVEL_SD, (design.clusters, 1))
    truth = level + WITHIN_SD * _autoregressive((design.clusters,), generator)
    cluster = np.broadcast_to(np.arange(design.clusters)[:, None], truth.shape)[in_clip]
    sums = np.empty((design.methods, design.seeds, design.clusters, 8))
    for method in range(design.methods):
        own_bias = generator.normal(0, BIAS_SD, (design.clusters, 1))
        for seed in range(design.seeds):
            gain, bias = _seed(generator) if design.seeds_vary else (GAIN, 0.0)
            noise = NOISE_SD * _autoregressive((design.clusters,), generator)
            output = MEAN + gain * (truth - MEAN) + bias + own_bias + noise
            columns = columns_of(STATISTIC.metrics, truth[in_clip], output[in_clip], MEAN)
            sums[method, seed] = cluster_sums(columns, cluster, design.clusters)
    return sums


def population_scores(*, seeds_vary: bool) -> Floats:
    """Return the scores over all possible subjects and frames, (metrics,), as `STATISTIC` has them.

    Where trainings differ, the mean is taken over `POPULATION_SEEDS` of them.
    """
    if not seeds_vary:
        return _scores_of_seed(GAIN, 0.0)
    generator = np.random.default_rng(0)  # a fixed quadrature rule, no draw of the simulation
    return np.mean([_scores_of_seed(*_seed(generator)) for _ in range(POPULATION_SEEDS)], axis=0)


def _scores_of_seed(gain: float, bias: float) -> Floats:
    variance = LEVEL_SD**2 + WITHIN_SD**2
    covariance, output = gain * variance, gain**2 * variance + BIAS_SD**2 + NOISE_SD**2
    means = np.array([MEAN, MEAN + bias])
    both = stats.multivariate_normal(means, np.array([[variance, covariance], [covariance, output]]))
    below = both.cdf(np.zeros(2))
    edges = stats.norm.cdf(0.0, means, np.sqrt([variance, output]))
    equal = 1 - edges.sum() + 2 * below
    # The sums of an imaginary data set of one frame on average.
    y, p = 0.0, bias
    error = (gain - 1) ** 2 * variance + BIAS_SD**2 + NOISE_SD**2 + bias**2
    return STATISTIC.value(np.array([1.0, y, p, variance, output + p * p, covariance + y * p, error, equal]))


def _seed(generator: np.random.Generator) -> tuple[float, float]:
    return generator.normal(GAIN, SEED_GAIN_SD), generator.normal(0, SEED_BIAS_SD)


def _autoregressive(shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """Stationary series of unit variance, one of LONGEST frames for each place of a shape."""
    steps = generator.standard_normal((*shape, LONGEST))
    steps[..., 1:] *= np.sqrt(1 - MEMORY**2)
    for frame in range(1, LONGEST):
        steps[..., frame] += MEMORY * steps[..., frame - 1]
    return steps
