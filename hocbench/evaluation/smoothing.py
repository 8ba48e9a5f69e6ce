"""The moving average of frame-by-frame outputs: the honest baseline of every video network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.datasets.columns import NO_CROP
from hocbench.errors import EvaluationError
from hocbench.metrics.affect import ccc
from hocbench.windows import cut_runs


@dataclass(frozen=True)
class WindowScore:
    """Validation score of one window.

    Attributes
    ----------
    window : int
        Length in frames, odd.
    ccc : tuple of float
        CCC of each target over all validation frames.
    """

    window: int
    ccc: tuple[float, ...]

    @property
    def mean_ccc(self) -> float:
        """Mean over the targets."""
        return float(np.mean(self.ccc))


def moving_average(values: NDArray[np.float64], frames: NDArray[np.int64], window: int) -> NDArray[np.float64]:
    """Average each frame with its neighbours of the same clip.

    Parameters
    ----------
    values : ndarray, (frames, targets)
        Outputs of one clip, finite.
    frames : ndarray of int, (frames,)
        Frame numbers, increasing.
    window : int
        Odd length in frames; the window is shortened at both ends of each run of frames without a gap, across which
        the networks for video do not see either (`hocbench.windows.cut_runs`).

    Returns
    -------
    ndarray, (frames, targets)
        Means over the frames within ``window // 2`` of each frame.
    """
    half = window // 2
    places = np.arange(len(frames))
    start, stop = np.empty_like(places), np.empty_like(places)
    for run in cut_runs(frames)[0]:
        start[run] = np.maximum(run - half, run[0])
        stop[run] = np.minimum(run + half, run[-1]) + 1
    # Sums are taken about the clip's mean, so that long clips lose no digits.
    centre = values.mean(axis=0)
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values - centre, axis=0)])
    return centre + (running[stop] - running[start]) / (stop - start)[:, None]


def smooth(predictions: pd.DataFrame, targets: Sequence[str], window: int) -> pd.DataFrame:
    """Replace the outputs by their moving averages, clip by clip.

    A frame without a crop keeps its answer, which no network gave, and is a gap to the others.

    Parameters
    ----------
    predictions : DataFrame
        Scored frames with columns clip, frame, status and the targets, sorted by clip and frame.
    targets : sequence of str
        Names of the outputs.
    window : int
        Odd length in frames.

    Returns
    -------
    DataFrame
        A copy with smoothed outputs in double precision.
    """
    result = predictions.copy()
    values = predictions[list(targets)].to_numpy(np.float64)
    frames = predictions["frame"].to_numpy(np.int64)
    smoothed = values.copy()
    seen = np.flatnonzero(predictions["status"].to_numpy() != NO_CROP)
    for own in predictions.iloc[seen].groupby("clip", sort=True).indices.values():
        rows = seen[own]
        smoothed[rows] = moving_average(values[rows], frames[rows], window)
    for column, target in enumerate(targets):
        result[target] = smoothed[:, column]
    return result


def score_windows(validation: pd.DataFrame, targets: Sequence[str], windows: Sequence[int]) -> list[WindowScore]:
    """Score every window on the validation part.

    Parameters
    ----------
    validation : DataFrame
        Scored validation frames (see `smooth`) with the labels, ``truth_valence`` and so on.
    targets : sequence of str
        Names of the outputs.
    windows : sequence of int
        Odd lengths in frames.

    Returns
    -------
    list of WindowScore
        By increasing window.

    Raises
    ------
    EvaluationError
        If there is no window, a window is even or not positive, or there are no validation frames.
    """
    check_windows(windows)
    if validation.empty:
        raise EvaluationError(
            "A smoothing window can only be chosen on validation frames, and there are none. "
            "Give the split a validation part."
        )
    scores = []
    for window in sorted(set(windows)):
        smoothed = smooth(validation, targets, window)
        values = tuple(ccc(smoothed[f"truth_{target}"], smoothed[target]) for target in targets)
        scores.append(WindowScore(window=window, ccc=values))
    return scores


def best_window(scores: Sequence[WindowScore]) -> int:
    """Choose the window with the largest mean CCC on validation; of equals the shortest."""
    return min(scores, key=lambda score: (-score.mean_ccc, score.window)).window


def check_windows(windows: Sequence[int]) -> None:
    """Refuse an empty list of windows, and windows that have no centre frame.

    Raises
    ------
    EvaluationError
        Naming the window.
    """
    if not windows:
        raise EvaluationError("The list of smoothing windows is empty. Give at least one odd length, such as 1.")
    for window in windows:
        if window < 1 or window % 2 == 0:
            raise EvaluationError(
                f"A smoothing window of {window} frames has no centre frame. Give odd lengths of at least 1."
            )
