"""One pass over the predictions of all runs, which leaves only sums per clip behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.errors import EvaluationError
from hocbench.evaluation import run_tables
from hocbench.evaluation.figure_data import quadrant_sums
from hocbench.evaluation.pooling import ClipTable, Method, clip_table, scored_frames
from hocbench.evaluation.smoothing import best_window, score_windows, smooth
from hocbench.experiment.plan import is_smoothed, smoothed_name
from hocbench.runs.finished import TARGETS, Run

WINDOW_COLUMNS = [
    *(
        "dataset",
        "method",
        "rank",
        "lasso",
        "variant",
        "seed",
        "fold",
        "window",
        "ccc_valence",
        "ccc_arousal",
        "mean_ccc",
    ),
    *("chosen", "label"),
]


@dataclass
class Collected:
    """What one pass over the predictions of all runs leaves behind.

    Attributes
    ----------
    tables : dict of Method to dict of (seed, fold) to ClipTable
        Sums per clip.
    windows : list of dict
        Rows of the table of smoothing windows.
    timelines : list of (str, Run, DataFrame)
        Methods, runs and test frames to be drawn.
    errors : dict of (Method, seed) to ndarray
        Errors by quadrant, folds added up, see `hocbench.evaluation.figure_data.quadrant_sums`.
    """

    tables: dict[Method, dict[tuple[int, int], ClipTable]] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    timelines: list[tuple[str, Run, pd.DataFrame]] = field(default_factory=list)
    errors: dict[tuple[Method, int], NDArray[np.float64]] = field(default_factory=dict)


def check_runs(runs: Sequence[Run]) -> dict[str, str]:
    """Find the label of each dataset, refusing runs that cannot stand in one table.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs.

    Returns
    -------
    dict of str to str
        ``"synthetic"`` or ``"real"`` for each dataset.

    Raises
    ------
    EvaluationError
        If there are no runs, they are of several profiles, a dataset has both labels, or two runs share method, seed
        and fold.
    """
    if not runs:
        raise EvaluationError("There are no run directories to evaluate. Train first, or check the folder of runs.")
    other = next((run for run in runs if run.profile != runs[0].profile), None)
    if other is not None:
        raise EvaluationError(
            f"{runs[0].path} is of profile {runs[0].profile!r} and {other.path} of {other.profile!r}: their parameters "
            "differ. Evaluate each profile apart."
        )
    labels: dict[str, Run] = {}
    seen: dict[tuple[Method, int, int], Run] = {}
    for run in runs:
        first = labels.setdefault(run.axes.dataset, run)
        if first.label != run.label:
            raise EvaluationError(
                f"{first.path} is of {first.label} data and {run.path} of {run.label} data, both called "
                f"{run.axes.dataset}. Evaluate synthetic and real runs apart."
            )
        other = seen.setdefault((Method.of(run), run.axes.seed, run.axes.fold), run)
        if other is not run:
            raise EvaluationError(
                f"{other.path} and {run.path} are the same method, seed and fold. Give only the runs of one plan."
            )
    return {dataset: run.label for dataset, run in sorted(labels.items())}


def collect(runs: Sequence[Run], windows: Sequence[int]) -> Collected:
    """Read the predictions of each run once and reduce them to sums, adding the smoothed methods.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs, sorted.
    windows : sequence of int
        Odd lengths in frames.

    Returns
    -------
    Collected
        Sums per clip of every method, window choices, and what is to be drawn.
    """
    result = Collected()
    centres: dict[str, list[float]] = {}
    drawn = run_tables.timeline_runs(runs) or ()
    for run in runs:
        frames = scored_frames(run, "test")
        means = [float(frames[f"truth_{target}"].mean()) for target in TARGETS]
        centre = centres.setdefault(run.axes.dataset, means)
        method, axes = Method.of(run), run.axes
        _add(result, method, run, clip_table(frames, centre, str(run.path)), frames)
        if run in drawn:
            result.timelines.append((method.method, run, frames))
        if is_smoothed(axes.dataset, axes.stage, axes.kind, axes.lasso):
            derived = smoothed_method(method)
            smoothed = smooth(frames, _choose_window(result, derived, run, windows))
            _add(result, derived, run, clip_table(smoothed, centre, f"{run.path} (smoothed)"), smoothed)
            if run in drawn:
                result.timelines.append((derived.method, run, smoothed))
    return result


def smoothed_method(method: Method) -> Method:
    """Name the method that averages the outputs of another over time."""
    return Method(
        dataset=method.dataset,
        method=smoothed_name(method.method),
        kind=method.kind,
        stage=f"{method.stage}_smoothed",
        rank=method.rank,
        lasso=method.lasso,
        variant=method.variant,
    )


def _add(result: Collected, method: Method, run: Run, table: ClipTable, frames: pd.DataFrame) -> None:
    result.tables.setdefault(method, {})[run.axes.seed, run.axes.fold] = table
    key = method, run.axes.seed
    result.errors[key] = result.errors.get(key, 0.0) + quadrant_sums(frames)


def _choose_window(result: Collected, method: Method, run: Run, windows: Sequence[int]) -> int:
    try:
        scores = score_windows(scored_frames(run, "validation"), windows)
    except EvaluationError as error:
        raise EvaluationError(f"{run.path}: {error}") from error
    chosen = best_window(scores)
    shared = {"dataset": method.dataset, "method": method.method, "rank": method.rank, "lasso": method.lasso}
    shared |= {"variant": method.variant, "seed": run.axes.seed, "fold": run.axes.fold, "label": run.label}
    for score in scores:
        values = {f"ccc_{target}": value for target, value in zip(TARGETS, score.ccc, strict=True)}
        values |= {"window": score.window, "mean_ccc": score.mean_ccc, "chosen": int(score.window == chosen)}
        result.windows.append(shared | values)
    return chosen
