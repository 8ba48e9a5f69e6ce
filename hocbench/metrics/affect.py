"""The four scores of continuous emotion estimation: RMSE, SAGR, PCC and CCC.

Every function takes ``(truth, prediction)``, two arrays of shape (n,), and returns one Python float.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hocbench.errors import EvaluationError


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
