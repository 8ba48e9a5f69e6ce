"""One pass over the predictions of all runs, which leaves only sums per clip behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.errors import EvaluationError
from hocbench.evaluation.clip_tables import ClipTable, clip_table, scored_frames
from hocbench.evaluation.figure_data import quadrant_sums
from hocbench.evaluation.run_tables import timeline_runs
from hocbench.evaluation.smoothing import best_window, score_windows, smooth
from hocbench.experiment.description import KEY_COLUMNS, Description, RowKey
from hocbench.experiment.tasks import CLASS, VALENCE_AROUSAL
from hocbench.runs.finished import Run


def window_columns(description: Description) -> list[str]:
    """List the columns of the table of smoothing windows: of each target that is smoothed in some dataset its CCC."""
    targets = [VALENCE_AROUSAL.targets, *(each.task.targets for each in description.datasets.values())]
    smoothed = dict.fromkeys(f"ccc_{name}" for names in targets for name in names if name != CLASS)
    return [*KEY_COLUMNS, "seed", "fold", "window", *smoothed, "mean_ccc", "chosen", "label"]


@dataclass
class Collected:
    """What one pass over the predictions of all runs leaves behind.

    Attributes
    ----------
    tables : dict of RowKey to dict of (seed, fold) to ClipTable
        Sums per clip.
    windows : list of dict
        Rows of the table of smoothing windows.
    timelines : list of (str, Run, DataFrame)
        Ids of methods, runs and test frames to be drawn.
    errors : dict of (RowKey, seed) to ndarray
        Errors by quadrant of valence and arousal, folds added up, see `hocbench.evaluation.figure_data.quadrant_sums`.
    """

    tables: dict[RowKey, dict[tuple[int, int], ClipTable]] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    timelines: list[tuple[str, Run, pd.DataFrame]] = field(default_factory=list)
    errors: dict[tuple[RowKey, int], NDArray[np.float64]] = field(default_factory=dict)


def check_runs(runs: Sequence[Run], description: Description) -> dict[str, str]:
    """Find the label of each dataset, refusing runs that cannot stand in one table.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs.
    description : Description
        The experiment that they are of.

    Returns
    -------
    dict of str to str
        ``"synthetic"`` or ``"real"`` for each dataset.

    Raises
    ------
    EvaluationError
        If there are no runs, they are of several profiles, one is of a dataset or method that the experiment does not
        have, a dataset has both labels, or two runs share method, seed and fold.
    """
    if not runs:
        raise EvaluationError("There are no run directories to evaluate. Train first, or check the folder of runs.")
    other = next((run for run in runs if run.spec.profile != runs[0].spec.profile), None)
    if other is not None:
        raise EvaluationError(
            f"{runs[0].path} is of profile {runs[0].spec.profile!r} and {other.path} of {other.spec.profile!r}: their "
            "parameters differ. Evaluate each profile apart."
        )
    labels: dict[str, Run] = {}
    seen: dict[tuple[RowKey, int, int], Run] = {}
    for run in runs:
        if run.key.dataset not in description.datasets or run.key.method not in description.methods:
            raise EvaluationError(
                f"{run.path} is of {run.key.method} on {run.key.dataset}, which is no part of this experiment. Give "
                "only the runs of one plan."
            )
        first = labels.setdefault(run.key.dataset, run)
        if first.label != run.label:
            raise EvaluationError(
                f"{first.path} is of {first.label} data and {run.path} of {run.label} data, both called "
                f"{run.key.dataset}. Evaluate synthetic and real runs apart."
            )
        other = seen.setdefault((run.row, run.key.seed, run.key.fold), run)
        if other is not run:
            raise EvaluationError(
                f"{other.path} and {run.path} are the same method, seed and fold. Give only the runs of one plan."
            )
    return {dataset: run.label for dataset, run in sorted(labels.items())}


def collect(runs: Sequence[Run], description: Description, windows: Sequence[int]) -> Collected:
    """Read the predictions of each run once and reduce them to sums, adding the smoothed methods.

    Parameters
    ----------
    runs : sequence of Run
        Finished runs, sorted.
    description : Description
        Which methods have smoothed ones, and which runs are drawn.
    windows : sequence of int
        Odd lengths in frames.

    Returns
    -------
    Collected
        Sums per clip of every method, window choices, and what is to be drawn.
    """
    result = Collected()
    centres: dict[str, list[float]] = {}
    drawn = timeline_runs(runs, description)
    for run in runs:
        frames = scored_frames(run, "test")
        task = run.spec.task
        means = [float(frames[column].mean()) for column in task.truth_columns]
        centre = centres.setdefault(run.key.dataset, means)
        _add(result, run.row, run, clip_table(frames, task, centre, str(run.path)), frames, run in drawn)
        averaged = description.averaged(run.row)
        if averaged:
            row = replace(run.row, method=averaged)
            smoothed = smooth(frames, task.targets, _choose_window(result, row, run, windows))
            table = clip_table(smoothed, task, centre, f"{run.path} (smoothed)")
            _add(result, row, run, table, smoothed, run in drawn)
    return result


def _add(result: Collected, row: RowKey, run: Run, table: ClipTable, frames: pd.DataFrame, is_drawn: bool) -> None:
    seed = run.key.seed
    result.tables.setdefault(row, {})[seed, run.key.fold] = table
    if run.spec.task == VALENCE_AROUSAL:
        result.errors[row, seed] = result.errors.get((row, seed), 0.0) + quadrant_sums(frames)
    if is_drawn:
        result.timelines.append((row.method, run, frames))


def _choose_window(result: Collected, row: RowKey, run: Run, windows: Sequence[int]) -> int:
    try:
        scores = score_windows(scored_frames(run, "validation"), run.spec.task.targets, windows)
    except EvaluationError as error:
        raise EvaluationError(f"{run.path}: {error}") from error
    chosen = best_window(scores)
    shared = vars(row) | {"seed": run.key.seed, "fold": run.key.fold, "label": run.label}
    for score in scores:
        values = {f"ccc_{target}": value for target, value in zip(run.spec.task.targets, score.ccc, strict=True)}
        values |= {"window": score.window, "mean_ccc": score.mean_ccc, "chosen": int(score.window == chosen)}
        result.windows.append(shared | values)
    return chosen
