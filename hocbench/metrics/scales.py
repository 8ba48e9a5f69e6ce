"""Scales on which intervals of scores are made: there, the spread of a score varies little with its value."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EDGE = 1 - 1e-12


@dataclass(frozen=True)
class Scale:
    """A scale, by functions of arrays of any shape.

    Attributes
    ----------
    forward, slope, backward : callable
        From a score, its derivative there, and back to a score.
    """

    forward: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]
    backward: Callable[[Floats], Floats]


PLAIN = Scale(lambda value: value, np.ones_like, lambda value: value)
# Plain, and clipped to 0 to 1.
SHARE = Scale(lambda value: value, np.ones_like, lambda value: np.clip(value, 0.0, 1.0))
# Of what is positive.
LOG = Scale(lambda value: np.log(np.maximum(value, 1e-300)), lambda value: 1 / np.maximum(value, 1e-300), np.exp)
# Fisher's, of what lies between -1 and 1.
Z = Scale(
    lambda value: np.arctanh(np.clip(value, -_EDGE, _EDGE)),
    lambda value: 1 / (1 - np.clip(value, -_EDGE, _EDGE) ** 2),
    np.tanh,
)
