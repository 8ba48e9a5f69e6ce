"""Scores of a classification: AUC, balanced accuracy, accuracy and Brier score.

Every function takes the true classes, integers of shape (n,) from 0 to ``classes - 1``, and probabilities of shape
(n, classes), and returns one Python float. One row is one unit that is scored: an image, or a whole clip.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hocbench.errors import EvaluationError


def probabilities(logits: ArrayLike) -> NDArray[np.float64]:
    """Turn logits into probabilities (softmax).

    Parameters
    ----------
    logits : array_like, (..., classes)
        Outputs of a network; a unit of several frames has the mean of theirs.

    Returns
    -------
    ndarray, (..., classes)
        Positive, summing to 1 over the last axis.
    """
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def auc(truth: ArrayLike, probability: ArrayLike) -> float:
    """Area under the ROC curve (Hanley and McNeil 1982, doi:10.1148/radiology.143.1.7063747); the larger the better.

    The chance that a unit of a class gets a larger probability of it than a unit of another class, ties counted half.
    Of two classes that of the second one; of more, the mean over all classes of each against the rest.

    Parameters
    ----------
    truth, probability : array_like
        See the module.

    Returns
    -------
    float
        Between 0 and 1; the mean over those classes that have units on both sides.

    Raises
    ------
    EvaluationError
        If all units are of one class, or as in `balanced_accuracy`.
    """
    truth, probability = _checked(truth, probability)
    classes = probability.shape[1]
    sides = [truth == place for place in ((1,) if classes == 2 else range(classes))]
    columns = [1] if classes == 2 else list(range(classes))
    areas = [
        _area(probability[side, column], probability[~side, column])
        for side, column in zip(sides, columns, strict=True)
        if 0 < side.sum() < len(side)
    ]
    if not areas:
        raise EvaluationError(
            "The AUC of units of a single class is not defined. Check that the part has units of each class."
        )
    return float(np.mean(areas))


def balanced_accuracy(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean over the classes of the share of their units that are recognised; the larger the better.

    Parameters
    ----------
    truth, probability : array_like
        See the module. A class without units is left out of the mean.

    Returns
    -------
    float
        Between 0 and 1; ``1 / classes`` is chance.

    Raises
    ------
    EvaluationError
        If the arrays are empty, do not belong together, hold no probabilities, or a class is unknown.
    """
    truth, probability = _checked(truth, probability)
    hits = probability.argmax(axis=1) == truth
    return float(np.mean([hits[truth == place].mean() for place in np.unique(truth)]))


def accuracy(truth: ArrayLike, probability: ArrayLike) -> float:
    """Share of units whose most probable class is the true one; the larger the better.

    Parameters
    ----------
    truth, probability : array_like
        See the module.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    EvaluationError
        As in `balanced_accuracy`.
    """
    truth, probability = _checked(truth, probability)
    return float(np.mean(probability.argmax(axis=1) == truth))


def brier(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared error of the probabilities (Brier 1950); the smaller the better.

    Parameters
    ----------
    truth, probability : array_like
        See the module.

    Returns
    -------
    float
        Of two classes between 0 and 1, the error of the second one's probability; of more between 0 and 2, the sum
        over the classes.

    Raises
    ------
    EvaluationError
        As in `balanced_accuracy`.
    """
    truth, probability = _checked(truth, probability)
    errors = (probability - np.eye(probability.shape[1])[truth]) ** 2
    return float(np.mean(errors[:, 1] if probability.shape[1] == 2 else errors.sum(axis=1)))


def _area(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, side="left")
    ties = np.searchsorted(ordered, inside, side="right") - below
    return float(np.mean(below + 0.5 * ties) / len(outside))


def _checked(truth: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Both arrays, after the checks that every score needs."""
    classes, values = np.asarray(truth), np.asarray(probability, np.float64)
    if classes.ndim != 1 or values.ndim != 2 or len(classes) != len(values) or values.shape[1] < 2:
        raise EvaluationError(
            "A score of a classification needs true classes (n,) and probabilities (n, classes) of at least two "
            f"classes, but truth has shape {classes.shape} and the probabilities {values.shape}."
        )
    if len(classes) == 0:
        raise EvaluationError("A score of no units is not defined. Check that the part has labelled units.")
    if not np.isin(classes, np.arange(values.shape[1])).all():
        raise EvaluationError(
            f"True classes are {', '.join(map(str, np.unique(classes)))}, but there are probabilities of classes 0 to "
            f"{values.shape[1] - 1}. Check the classes of the dataset."
        )
    if not (np.isfinite(values).all() and (values >= 0).all() and np.allclose(values.sum(axis=1), 1)):
        raise EvaluationError(
            "Probabilities must not be negative and sum to 1 in each row; look for a run that diverged."
        )
    return classes.astype(np.int64), values
