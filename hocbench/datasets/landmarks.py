"""Points of a face, from the numbers that a file holds."""

from typing import Any

import numpy as np


def to_points(numbers: Any, count: int = 68) -> np.ndarray:
    """Flatten the landmarks of one face, numbers or their text in any shape, to float32 x, y, x, y, ...

    The array is empty if these are not ``count`` points with finite coordinates.
    """
    try:
        points = np.asarray(numbers, dtype=np.float32).ravel()
    except (TypeError, ValueError, OverflowError):
        points = np.empty(0, np.float32)
    return points if len(points) == 2 * count and np.isfinite(points).all() else np.empty(0, np.float32)
