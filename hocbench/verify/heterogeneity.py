"""Spread between laboratories beside that between training seeds: a random-effects model.

Laboratories share data, test subjects and training seeds, so none of these is noise between them. What is noise is what
rounding makes of each seed by itself, since training lets it grow: how differently a seed comes out from laboratory to
laboratory, apart from what a laboratory does to all its seeds alike. That is the remainder of the two-way analysis of
variance with laboratories as the random factor and seeds as blocks, and the variance of a laboratory's mean is the same
divided by the number of seeds. The spread between seeds would be too much: a part of it, the first weights, is the same
everywhere. As the noise is one number for all laboratories, the estimators of DerSimonian and Laird (1986), of Paule
and Mandel (1982) and restricted maximum likelihood agree. It is itself estimated from few seeds, which is why Q divided
by its degrees of freedom is held against an F and not a chi-squared distribution.

Source: Higgins and Thompson, Statistics in Medicine 21 (2002), for I squared; Higgins, Thompson and Spiegelhalter,
JRSS A 172 (2009), for the prediction interval.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, stdtrit

LEVEL = 0.95
NOTHING = 1e-18  # a variance below this is rounding of the tables, which have ten digits
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Between:
    """One number in several laboratories; what cannot be known from so few of them, or from one seed, is NaN.

    Attributes
    ----------
    mean : float
        Over laboratories.
    between_sd : float
        Standard deviation of the laboratories' values.
    seed_sd : float
        Standard deviation over seeds within a laboratory, pooled over laboratories.
    same_seed_sd : float
        Standard deviation of the same seed between laboratories, pooled over seeds.
    tau : float
        Standard deviation between laboratories of what each does to all its seeds alike.
    q, p : float
        Cochran's Q, and how often laboratories that do nothing of the kind would have a larger one.
    i2 : float
        Share of that in the variance between laboratories.
    low, high : float
        Prediction interval for what one more laboratory measures, its own noise of training included.
    """

    mean: float
    between_sd: float
    seed_sd: float
    same_seed_sd: float
    tau: float
    q: float
    p: float
    i2: float
    low: float
    high: float


def between(values: Floats, by_seed: Floats) -> Between:
    """Separate what laboratories do to all seeds alike from what becomes of each seed by itself.

    ``values`` (laboratories,) are means over seeds, ``by_seed`` (laboratories, seeds) the same seed by seed.
    """
    laboratories, seeds = by_seed.shape
    unknown = float("nan")
    variance = _no_rounding(float(values.var(ddof=1))) if laboratories > 1 else unknown
    same_seed = float(np.sqrt(by_seed.var(axis=0, ddof=1).mean())) if laboratories > 1 else unknown
    within = float(by_seed.var(axis=1, ddof=1).mean()) if seeds > 1 else unknown
    noise = _no_rounding(_remainder(by_seed) / seeds) if laboratories > 1 and seeds > 1 else unknown
    q = p = i2 = tau = unknown
    if laboratories > 1 and seeds > 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = float(np.divide(variance, noise))
            i2 = max(0.0, float(1 - np.divide(noise, variance)))
        q, p = (laboratories - 1) * ratio, float(fdtrc(laboratories - 1, (laboratories - 1) * (seeds - 1), ratio))
        tau = max(0.0, variance - noise) ** 0.5
    mean = float(values.mean())
    # tau squared and the noise of one more laboratory; with one seed, the two cannot be separated.
    spread = max(variance, noise) if seeds > 1 else variance
    half = prediction_factor(laboratories) * spread**0.5
    return Between(mean, variance**0.5, within**0.5, same_seed, tau, q, p, i2, mean - half, mean + half)


def _no_rounding(variance: float) -> float:
    return 0.0 if variance < NOTHING else variance


def _remainder(by_seed: Floats) -> float:
    """Return the mean square of what neither the laboratory nor the seed explains."""
    rest = by_seed - by_seed.mean(axis=0) - by_seed.mean(axis=1, keepdims=True) + by_seed.mean()
    return float((rest**2).sum() / ((by_seed.shape[0] - 1) * (by_seed.shape[1] - 1)))


def prediction_factor(laboratories: int) -> float:
    """Return how many standard deviations of one laboratory the prediction interval reaches to either side.

    That of Higgins, with the error of the mean of so many laboratories; NaN for fewer than three of them.
    """
    if laboratories < 3:
        return float("nan")
    return float(stdtrit(laboratories - 2, (1 + LEVEL) / 2)) * (1 + 1 / laboratories) ** 0.5
