"""Scores of a classification: AUC, balanced accuracy, accuracy and Brier score.

Every function takes the true classes, integers of shape (n,) from 0 to ``classes - 1``, and probabilities of shape
(n, classes), and returns one Python float. One row is one unit that is scored: an image, or a whole clip. `METRICS`
holds the same scores as functions of means over units.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hocbench.errors import EvaluationError
from hocbench.metrics.record import Floats, Means, Metric, mean_metric
from hocbench.metrics.scales import SHARE


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
    areas = [
        float(_placements(probability[truth != place, place], probability[truth == place, place]).mean())
        for place in _two_sided(truth, probability)
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
        Between 0 and 1: half of the sum over the classes, which of two is the error of the second one's probability.
        Brier's own sum is twice that.

    Raises
    ------
    EvaluationError
        As in `balanced_accuracy`.
    """
    truth, probability = _checked(truth, probability)
    return float(np.mean(_brier_errors(truth, probability)))


def _two_sided(truth: NDArray[np.int64], probability: Floats) -> list[int]:
    """List the classes whose AUC is defined, of two classes the second only."""
    classes = (1,) if probability.shape[1] == 2 else range(probability.shape[1])
    return [place for place in classes if 0 < np.count_nonzero(truth == place) < len(truth)]


def _placements(others: Floats, values: Floats) -> Floats:
    """Share of the others that lie below each value, ties counted half: (m,) and (n,) to (n,)."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left")
    ties = np.searchsorted(ordered, values, side="right") - below
    return (below + 0.5 * ties) / len(others)


def _brier_errors(truth: NDArray[np.int64], probability: Floats) -> Floats:
    return np.asarray(((probability - np.eye(probability.shape[1])[truth]) ** 2).sum(axis=1) / 2)


def _hits(truth: NDArray[np.int64], probability: Floats) -> Floats:
    return (probability.argmax(axis=1) == truth).astype(np.float64)


def _class_hits(truth: NDArray[np.int64], probability: Floats, _: float | Floats) -> Means:
    """Mark the units, and the hits, of each class that there is."""
    hits = _hits(truth, probability)
    sums: dict[str, Floats] = {}
    for place in np.unique(truth):
        units = (truth == place).astype(np.float64)
        sums |= {f"units_{place}": units, f"hits_{place}": units * hits}
    return sums


def _balanced_accuracy(means: Means) -> Floats:
    shares = [_ratio(hits, units) for units, hits in _of_classes(means, "units_", "hits_")]
    return np.asarray(sum(shares) / len(shares))


def _balanced_accuracy_gradient(means: Means) -> Means:
    places = _places(means, "hits_")
    gradient = {}
    for place, (units, hits) in zip(places, _of_classes(means, "units_", "hits_"), strict=True):
        gradient[f"hits_{place}"] = _ratio(1.0, units) / len(places)
        gradient[f"units_{place}"] = -_ratio(hits, units**2) / len(places)
    return gradient


def _class_placements(truth: NDArray[np.int64], probability: Floats, _: float | Floats) -> Means:
    """DeLong's placements of the units of a class among all others, and of these about the AUC.

    Their sums over clusters give the AUC, and its change to first order when clusters are drawn again (DeLong et al.
    1988, doi:10.2307/2531595; for units in clusters Obuchowski 1997, doi:10.2307/2533958).
    """
    places = _two_sided(truth, probability)
    sums = {} if places else {"undefined": np.zeros(len(truth))}
    for place in places:
        units, values = truth == place, probability[:, place]
        above, below = np.zeros(len(truth)), np.zeros(len(truth))
        above[units] = _placements(values[~units], values[units])
        below[~units] = 1 - _placements(values[units], values[~units]) - above[units].mean()
        sums |= {f"units_{place}": units.astype(np.float64), f"above_{place}": above, f"below_{place}": below}
    return sums


def _auc(means: Means) -> Floats:
    areas = [
        _ratio(above, units) + _ratio(below, 1 - units)
        for units, above, below in _of_classes(means, "units_", "above_", "below_")
    ]
    return np.asarray(sum(areas) / len(areas)) if areas else means["undefined"] * np.nan


def _auc_gradient(means: Means) -> Means:
    places = _places(means, "above_")
    gradient = {} if places else {"undefined": means["undefined"] * np.nan}
    for place, (units, above, below) in zip(places, _of_classes(means, "units_", "above_", "below_"), strict=True):
        gradient[f"above_{place}"] = _ratio(1.0, units) / len(places)
        gradient[f"below_{place}"] = _ratio(1.0, 1 - units) / len(places)
        gradient[f"units_{place}"] = (_ratio(below, (1 - units) ** 2) - _ratio(above, units**2)) / len(places)
    return gradient


def _places(means: Means, kind: str) -> list[str]:
    return [name.removeprefix(kind) for name in means if name.startswith(kind)]


def _of_classes(means: Means, *kinds: str) -> Iterator[list[Floats]]:
    """Yield the means of some kinds, class by class; of the last kind there is one for each class."""
    return ([means[kind + place] for kind in kinds] for place in _places(means, kinds[-1]))


def _ratio(part: float | Floats, whole: Floats) -> Floats:
    """Divide, giving NaN where there is no unit: a class may be absent from a resampled dataset."""
    shape = np.broadcast_shapes(np.shape(part), whole.shape)
    return np.divide(part, whole, out=np.full(shape, np.nan), where=whole > 1e-12)


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


METRICS = (
    # On a logarithmic scale the interval of the AUC would hold the true one too seldom (by simulation), because
    # resampled ones are taken to first order and so may lie beyond 1.
    Metric(*("auc", "AUC", "high", SHARE, auc, _class_placements, _auc, _auc_gradient), note="units of a single class"),
    Metric(
        *("balanced_accuracy", "balanced accuracy", "high", SHARE, balanced_accuracy),
        *(_class_hits, _balanced_accuracy, _balanced_accuracy_gradient),
    ),
    mean_metric("accuracy", "accuracy", "high", SHARE, accuracy, _hits),
    mean_metric("brier", "Brier score", "low", SHARE, brier, _brier_errors),
)
