"""Random changes of crops, the same for all frames of a clip, drawn once per epoch and sample."""

from dataclasses import dataclass

import numpy as np

from hocbench.experiment.spec import StepSpec
from hocbench.opencv import cv2

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of RGB, ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for each sample; all ranges are uniform and symmetric.

    Attributes
    ----------
    mirror : ndarray of bool, (samples,)
        Turned left to right, about half of them.
    matrices : ndarray, (samples, 2, 3) or None
        Rotation, scale and shift about the middle, in shares of the side; None if none is asked for.
    colours : ndarray, (samples, 3) or None
        Factors of brightness, contrast and saturation; None if none is asked for.
    """

    mirror: np.ndarray
    matrices: np.ndarray | None
    colours: np.ndarray | None

    def apply(self, pixels: np.ndarray, places: list[int]) -> np.ndarray:
        """Change samples.

        Parameters
        ----------
        pixels : ndarray, shape (n, size, size, 3) or (n, T, size, size, 3), uint8
            RGB; may be changed in place.
        places : list of int
            Which samples they are.
        """
        turned = self.mirror[places]
        pixels[turned] = pixels[turned][..., ::-1, :]
        for i, place in enumerate(places):
            frames = pixels[i].reshape(-1, *pixels.shape[-3:])
            if self.matrices is not None:
                _warp(frames, self.matrices[place])
            if self.colours is not None:
                _colour(frames, self.colours[place])
        return pixels


def draw(count: int, steps: StepSpec, rng: np.random.Generator) -> Augmentation:
    """Draw the changes of all samples of an epoch at once, so that no worker's share of them matters.

    Parameters
    ----------
    count : int
        Number of samples.
    steps : StepSpec
        Its ``mirror`` and ``augmentation``.
    rng : Generator
        Of this epoch.
    """
    wanted = steps.augmentation
    mirror = rng.random(count) < 0.5 if steps.mirror else np.zeros(count, bool)
    matrices = colours = None
    if wanted.rotation_degrees or wanted.scale or wanted.shift:
        angle, zoom, right, down = rng.uniform(-1, 1, (4, count))
        turn = (1 + wanted.scale * zoom) * np.exp(1j * np.deg2rad(wanted.rotation_degrees) * angle)
        right, down = wanted.shift * right, wanted.shift * down
        rows = [[turn.real, -turn.imag, right], [turn.imag, turn.real, down]]
        matrices = np.moveaxis(np.array(rows), -1, 0)
    if wanted.brightness or wanted.contrast or wanted.saturation:
        ranges = np.array([wanted.brightness, wanted.contrast, wanted.saturation])
        colours = (1 + ranges * rng.uniform(-1, 1, (count, 3))).astype(np.float32)
    return Augmentation(mirror, matrices, colours)


def _warp(frames: np.ndarray, matrix: np.ndarray) -> None:
    size = frames.shape[1]
    middle = (size - 1) / 2
    shift = matrix[:, 2] * size + middle - matrix[:, :2] @ (middle, middle)
    whole = np.column_stack([matrix[:, :2], shift])
    for frame in frames:
        frame[:] = cv2.warpAffine(frame, whole, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _colour(frames: np.ndarray, factors: np.ndarray) -> None:
    """Scale brightness, then contrast about the clip's mean grey, then saturation about each pixel's grey."""
    brightness, contrast, saturation = factors
    values = frames.astype(np.float32) * brightness
    mean = float((values @ GREY).mean())
    values = mean + contrast * (values - mean)
    grey = (values @ GREY)[..., None]
    frames[:] = np.clip(np.rint(grey + saturation * (values - grey)), 0, 255).astype(np.uint8)
