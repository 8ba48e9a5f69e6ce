"""Which frames of a clip follow each other: cut into runs without gaps, and these into windows (no torch)."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np

# First frame and length of each stretch of usable frames of a clip, from 0; a clip without gaps has one.
Stretches = tuple[tuple[int, int], ...]
Clips = Mapping[Stretches, float]  # number of clips of this form


def cut_runs(frames: np.ndarray, step: int = 1) -> list[list[np.ndarray]]:
    """Cut a clip into runs of frames that are ``step`` apart, never across a gap.

    ``frames`` are the numbers of its usable frames in its video, ascending, one at least. Returns, for each of the
    first ``step`` frames that the clip can be begun at, the runs of its every ``step``-th frame, as places in
    ``frames``; every place is in exactly one run.
    """
    offsets = (frames - frames[0]) % step
    parts = []
    for offset in np.unique(offsets):
        places = np.flatnonzero(offsets == offset)
        parts.append(np.split(places, np.flatnonzero(np.diff(frames[places]) != step) + 1))
    return parts


def trained_runs(frames: np.ndarray, length: int, step: int = 1) -> list[np.ndarray]:
    """Choose the runs of a clip that are trained on in windows of ``length`` frames; see `cut_runs`.

    A run that fills less than half a window would make a clip that mostly stands still, and where a clip has many gaps
    there would be many of these; they are left out where the clip has a longer run, and else all but the longest are,
    so that a clip that is short as a whole is trained on.
    """
    chosen: list[np.ndarray] = []
    for runs in cut_runs(frames, step):
        chosen += [run for run in runs if 2 * len(run) >= length] or [max(runs, key=len)]
    return chosen


def count_trained(frames: np.ndarray, length: int, step: int = 1) -> int:
    """Count the windows that do not overlap in the runs that are trained on; a short run gives one."""
    return sum(max(1, len(run) // length) for run in trained_runs(frames, length, step))


def trained_windows(frames: np.ndarray, length: int, rng: np.random.Generator, step: int = 1) -> list[np.ndarray]:
    """Cut the runs that are trained on into windows from a random start; a short run repeats its last frame.

    Returns `count_trained` windows: places in ``frames``, (length,) each.
    """
    windows = []
    for run in trained_runs(frames, length, step):
        count = max(1, len(run) // length)
        start = int(rng.integers(0, max(1, len(run) - count * length + 1)))
        windows += [_window(run, start + k * length, length) for k in range(count)]
    return windows


def covering_windows(frames: np.ndarray, length: int, step: int = 1) -> list[np.ndarray]:
    """Cover all runs by windows that begin half a window after each other; a short run repeats its last frame.

    A network knows nothing beyond the ends of a window, so a frame at one's edge is seen in the middle of another. The
    last window ends with its run. Returns places in ``frames``, (length,) each; every place is in at least one.
    """
    windows = []
    for runs in cut_runs(frames, step):
        for run in runs:
            last = max(0, len(run) - length)
            windows += [
                _window(run, start, length) for start in sorted({*range(0, last + 1, max(1, length // 2)), last})
            ]
    return windows


def _window(run: np.ndarray, start: int, length: int) -> np.ndarray:
    return run[np.minimum(np.arange(start, start + length), len(run) - 1)]


def stretches(frames: np.ndarray) -> Stretches:
    """Describe a clip by its usable frames alone, see `cut_runs`; clips of the same form have as many windows."""
    return tuple((int(frames[run[0]] - frames[0]), len(run)) for runs in cut_runs(frames) for run in runs)


def training_items(clips: Clips, length: int | None, step: int = 1, limit: int | None = None) -> float:
    """Count the images, or the windows, that are learned from in one epoch.

    ``clips`` holds the number of clips of each form; a still image is a clip of one frame. ``length`` is None for
    images, ``step`` leads from one frame of a window to the next, and ``limit`` is how many clips are learned from
    where these are fewer: a part of average clips.
    """
    if length is None:
        items = _images(clips)
    else:
        items = sum(number * _trained(clip, length, step) for clip, number in clips.items())
    there = sum(clips.values())
    return items if limit is None else items * min(1.0, limit / there)


def evaluation_items(clips: Clips, length: int | None, step: int = 1) -> float:
    """Count the images, or the overlapping windows, of one pass of prediction; see `training_items`."""
    if length is None:
        return _images(clips)
    return sum(number * _covering(clip, length, step) for clip, number in clips.items())


def batches(items: float, batch_size: int) -> int:
    """Count the batches of an epoch of so many images or windows; fewer than a batch are one."""
    return max(1, int(items) // batch_size)


def _images(clips: Clips) -> float:
    return sum(length * number for clip, number in clips.items() for _, length in clip)


# Each run of a plan asks for the same clips.
@lru_cache(maxsize=2**14)
def _trained(clip: Stretches, length: int, step: int) -> int:
    return count_trained(_frames(clip), length, step)


@lru_cache(maxsize=2**14)
def _covering(clip: Stretches, length: int, step: int) -> int:
    return len(covering_windows(_frames(clip), length, step))


def _frames(clip: Stretches) -> np.ndarray:
    return np.concatenate([np.arange(first, first + length) for first, length in clip])
