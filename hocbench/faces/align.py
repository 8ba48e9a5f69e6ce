"""Where a face lies in a picture, and the crop that is cut from there."""

import math

import numpy as np

from hocbench.opencv import cv2

# Places of the eye centres and of the mouth's centre in a crop of margin 1, in shares of its side from its middle.
# With the usual margin of 1.25 the crop reaches from the hair line to below the chin.
TEMPLATE = np.array([[-0.215, -0.21], [0.215, -0.21], [0.0, 0.275]])
# Where the left eye begins in the 68-point scheme, and in its 49 points without the jaw; the right eye follows.
LEFT_EYE = {68: 36, 49: 19}
EYE_POINTS = 6


def from_landmarks(landmarks: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Find the similarity transforms, (..., 2, 3) from picture to crop, that bring eyes and mouth to the template.

    Landmarks are x, y, x, y, ... in pixels, (..., 136) in the 68-point scheme or (..., 98) without the jaw; ``size`` is
    pixels per side of the crop; a ``margin`` of 1 is a tight crop, a larger one shows more around the face.
    """
    points = landmarks.reshape(*landmarks.shape[:-1], -1, 2).astype(np.float64)
    left = LEFT_EYE[points.shape[-2]]
    right, mouth = left + EYE_POINTS, left + 2 * EYE_POINTS
    eyes = [points[..., start : start + EYE_POINTS, :].mean(axis=-2) for start in (left, right)]
    corners = (points[..., mouth, :] + points[..., mouth + 6, :]) / 2
    return similarity(np.stack([*eyes, corners], axis=-2), (TEMPLATE / margin + 0.5) * size)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit rotation, scale and shift in least squares; points ``(..., n, 2)`` as complex numbers make it linear."""
    a, b = source[..., 0] + 1j * source[..., 1], target[..., 0] + 1j * target[..., 1]
    middle_a, middle_b = a.mean(axis=-1), b.mean(axis=-1)
    a0, b0 = a - middle_a[..., None], b - middle_b[..., None]
    z = (a0.conj() * b0).sum(axis=-1) / np.maximum((a0.real**2 + a0.imag**2).sum(axis=-1), 1e-12)
    shift = middle_b - z * middle_a
    rows = [z.real, -z.imag, shift.real, z.imag, z.real, shift.imag]
    return np.stack(rows, axis=-1).reshape(*z.shape, 2, 3)


def from_box(box: tuple[float, float, float, float], size: int, margin: float) -> np.ndarray:
    """Find the transform of a square around the box ``(x, y, width, height)`` in pixels; see `from_landmarks`."""
    x, y, width, height = box
    scale = size / (margin * max(width, height))
    centre = (x + width / 2, y + height / 2)
    return np.array([[scale, 0, size / 2 - scale * centre[0]], [0, scale, size / 2 - scale * centre[1]]])


def cut(picture: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Warp a picture ``(H, W, 3)`` uint8 into a crop ``(size, size, 3)``; pixels outside repeat the edge."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    # warpAffine looks at four pixels only, so a large picture is averaged down first.
    if scale < 0.5:
        small = cv2.resize(picture, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        fx, fy = small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]
        matrix = matrix @ np.array([[1 / fx, 0, 0], [0, 1 / fy, 0], [0, 0, 1]])
        picture = small
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
