"""The four scores of continuous emotion estimation: RMSE, SAGR, PCC and CCC.

Every function takes ``(truth, prediction)``, two arrays of shape (n,), and returns one Python float. `METRICS` holds
the same scores as functions of means over frames.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hocbench.errors import EvaluationError
from hocbench.metrics.record import Floats, Means, Metric, mean_metric
from hocbench.metrics.scales import LOG, SHARE, Z

# A variance below this share of the mean square about the centre is rounding, so the values count as constant.
_ROUNDING = 1e-12


def rmse(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Root mean square error; the smaller the better.

    Parameters
    ----------
    truth, prediction : array_like, (n,)
        Labels and outputs, in label units.

    Returns
    -------
    float
        At least 0, in label units.

    Raises
    ------
    EvaluationError
        If the arrays are empty, of different length, not one-dimensional, or not finite.
    """
    truth, prediction = _checked(truth, prediction)
    return float(np.sqrt(np.mean((prediction - truth) ** 2)))


def sagr(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Sign agreement: the share of frames whose label and output have equal signs; the larger the better.

    Zero is a sign of its own (`numpy.sign`), so an output of zero agrees only with a label of zero.

    Parameters
    ----------
    truth, prediction : array_like, (n,)
        Labels and outputs.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    EvaluationError
        If the arrays are empty, of different length, not one-dimensional, or not finite.
    """
    truth, prediction = _checked(truth, prediction)
    return float(np.mean(np.sign(truth) == np.sign(prediction)))


def pcc(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Pearson correlation; 0 if either array is constant.

    Parameters
    ----------
    truth, prediction : array_like, (n,)
        Labels and outputs.

    Returns
    -------
    float
        Between -1 and 1.

    Raises
    ------
    EvaluationError
        If the arrays are empty, of different length, not one-dimensional, or not finite.
    """
    truth, prediction = _checked(truth, prediction)
    if np.ptp(truth) == 0 or np.ptp(prediction) == 0:
        return 0.0
    covariance = np.mean((truth - truth.mean()) * (prediction - prediction.mean()))
    return float(np.clip(covariance / (truth.std() * prediction.std()), -1.0, 1.0))


def ccc(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Concordance correlation (Lin 1989, doi:10.2307/2532051) with population standard deviations.

    ``2 cov(y, p) / (var(y) + var(p) + (mean(y) - mean(p))**2)``; 0 if either array is constant.

    Parameters
    ----------
    truth, prediction : array_like, (n,)
        Labels and outputs.

    Returns
    -------
    float
        Between -1 and 1.

    Raises
    ------
    EvaluationError
        If the arrays are empty, of different length, not one-dimensional, or not finite.
    """
    truth, prediction = _checked(truth, prediction)
    if np.ptp(truth) == 0 or np.ptp(prediction) == 0:
        return 0.0
    covariance = np.mean((truth - truth.mean()) * (prediction - prediction.mean()))
    spread = truth.var() + prediction.var() + (truth.mean() - prediction.mean()) ** 2
    return float(2 * covariance / spread)


def _checked(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both arrays in double precision, after the checks that every score needs."""
    arrays = {"truth": np.asarray(truth, np.float64), "prediction": np.asarray(prediction, np.float64)}
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes["truth"] != shapes["prediction"] or len(shapes["truth"]) != 1:
        raise EvaluationError(
            f"A score needs two one-dimensional arrays of one length, but truth has shape {shapes['truth']} and "
            f"prediction {shapes['prediction']}. Pass one target (valence or arousal) at a time."
        )
    if shapes["truth"] == (0,):
        raise EvaluationError("A score of no frames is not defined. Check that the part has usable frames.")
    for name, array in arrays.items():
        bad = np.flatnonzero(~np.isfinite(array))
        if bad.size:
            raise EvaluationError(
                f"The {name} in row {bad[0]} is {array[bad[0]]} ({bad.size} of {array.size} rows are not finite). "
                "Leave out frames without a label, or look for a run that diverged."
            )
    return arrays["truth"], arrays["prediction"]


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
    varies: NDArray[np.bool_]


def _moments(means: Means) -> _Moments:
    y, p, yy, pp, yp = (means[name] for name in ("y", "p", "yy", "pp", "yp"))
    variance_y, variance_p, covariance = yy - y * y, pp - p * p, yp - y * p
    varies = (variance_y > _ROUNDING * yy) & (variance_p > _ROUNDING * pp)
    variance_y, variance_p = np.where(varies, variance_y, 1.0), np.where(varies, variance_p, 1.0)
    product = np.sqrt(variance_y * variance_p)
    spread = np.where(varies, variance_y + variance_p + (y - p) ** 2, 1.0)
    return _Moments(y, p, variance_y, variance_p, covariance, product, spread, varies)


def _products(truth: Floats, prediction: Floats, centre: float | Floats) -> Means:
    """First and second moments about a centre, a number near the mean label: squares then lose no digits."""
    y, p = truth - centre, prediction - centre
    return {"y": y, "p": p, "yy": y * y, "pp": p * p, "yp": y * p}


def _squared_error(truth: Floats, prediction: Floats, _: float | Floats) -> Means:
    return {"squared_error": (prediction - truth) ** 2}


def _equal_signs(truth: Floats, prediction: Floats) -> Floats:
    return (np.sign(truth) == np.sign(prediction)).astype(np.float64)


def _rmse(means: Means) -> Floats:
    return np.sqrt(means["squared_error"])


def _rmse_gradient(means: Means) -> Means:
    root = _rmse(means)
    return {"squared_error": np.where(root > 0, 0.5 / np.where(root > 0, root, 1.0), 0.0)}


def _pcc(means: Means) -> Floats:
    e = _moments(means)
    return np.where(e.varies, np.clip(e.covariance / e.product, -1.0, 1.0), 0.0)


def _pcc_gradient(means: Means) -> Means:
    e = _moments(means)
    pcc = e.covariance / e.product
    return {
        "y": (pcc * e.y / e.variance_y - e.p / e.product) * e.varies,
        "p": (pcc * e.p / e.variance_p - e.y / e.product) * e.varies,
        "yy": -pcc / (2 * e.variance_y) * e.varies,
        "pp": -pcc / (2 * e.variance_p) * e.varies,
        "yp": 1 / e.product * e.varies,
    }


def _ccc(means: Means) -> Floats:
    e = _moments(means)
    return np.where(e.varies, 2 * e.covariance / e.spread, 0.0)


def _ccc_gradient(means: Means) -> Means:
    e = _moments(means)
    ccc = 2 * e.covariance / e.spread
    return {
        "y": -2 * e.p * (1 - ccc) / e.spread * e.varies,
        "p": -2 * e.y * (1 - ccc) / e.spread * e.varies,
        "yy": -ccc / e.spread * e.varies,
        "pp": -ccc / e.spread * e.varies,
        "yp": 2 / e.spread * e.varies,
    }


_CONSTANT = "constant predictions"
METRICS = (
    Metric("rmse", "RMSE", "low", LOG, rmse, _squared_error, _rmse, _rmse_gradient),
    mean_metric("sagr", "SAGR", "high", SHARE, sagr, _equal_signs),
    Metric("pcc", "PCC", "high", Z, pcc, _products, _pcc, _pcc_gradient, degenerate=0.0, note=_CONSTANT),
    Metric("ccc", "CCC", "high", Z, ccc, _products, _ccc, _ccc_gradient, degenerate=0.0, note=_CONSTANT),
)
