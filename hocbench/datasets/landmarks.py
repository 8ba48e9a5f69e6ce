"""Points of a face, from the numbers that a file holds."""

from typing import Any

import numpy as np


def to_points(numbers: Any, count: int = 68) -> np.ndarray:
    """Flatten the landmarks of one face.

    Parameters
    ----------
    numbers : array_like
        As a file holds them: numbers or their text, in any shape.
    count : int
        Points of the scheme.

    Returns
    -------
    ndarray of float32, (2 * count,) or (0,)
        x, y, x, y, ...; empty if these are not so many finite numbers.
    """
    try:
        points = np.asarray(numbers, dtype=np.float32).ravel()
    except (TypeError, ValueError, OverflowError):
        points = np.empty(0, np.float32)
    return points if len(points) == 2 * count and np.isfinite(points).all() else np.empty(0, np.float32)
