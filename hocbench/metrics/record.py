"""What a metric is: all that evaluation, claims and tables know of it stands in one record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hocbench.metrics.scales import Floats, Scale

Means = Mapping[str, Floats]
Better = Literal["high", "low"]
Sums = Callable[[NDArray[Any], Floats, float | Floats], Means]


@dataclass(frozen=True)
class Metric:
    """A score that follows from means over what is scored (frames, or units of a classification).

    Means add up over clusters, so that resampled datasets are scored without touching a frame; the gradient gives the
    share of each cluster in the score, from which standard errors follow.

    Attributes
    ----------
    id, title : str
        In columns of tables, and what people read.
    better : {"high", "low"}
        Which scores are good.
    scale : Scale
        On which the interval of a score is made.
    function : callable
        Truth and outputs to the score, as a Python float; the definition that the rest has to agree with.
    sums : callable
        Truth, outputs and a centre to what is summed, by name, one number per frame or unit; metrics may share names.
    value : callable
        Means by name, each of shape (...), to scores of shape (...).
    gradient : callable
        Means by name to the derivatives of the score by them; names left out have none.
    degenerate : float
        The value where the score says nothing (NaN always counts), with `note` beside it in tables.
    note : str
        Why it says nothing there.
    """

    id: str
    title: str
    better: Better
    scale: Scale
    function: Callable[..., float]
    sums: Sums
    value: Callable[[Means], Floats]
    gradient: Callable[[Means], Means]
    degenerate: float = np.nan
    note: str = ""


def mean_metric(
    id: str,
    title: str,
    better: Better,
    scale: Scale,
    function: Callable[..., float],
    of: Callable[[NDArray[Any], Floats], Floats],
) -> Metric:
    """Make the record of a score that is a mean over frames or units; `of` gives the number of each."""

    def sums(truth: NDArray[Any], output: Floats, _: float | Floats) -> Means:
        return {id: of(truth, output)}

    def value(means: Means) -> Floats:
        return means[id]

    def gradient(means: Means) -> Means:
        return {id: np.ones_like(means[id])}

    return Metric(id, title, better, scale, function, sums, value, gradient)
