"""From frame-by-frame predictions to what is kept of each clip of a run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.datasets.columns import NO_CROP
from hocbench.errors import EvaluationError
from hocbench.evaluation.statistics import Pooled, cluster_sums, columns_of
from hocbench.experiment.tasks import Task
from hocbench.metrics.classification import probabilities
from hocbench.metrics.record import Floats
from hocbench.metrics.records import METRICS
from hocbench.runs.finished import Run

# Frames with these statuses may lack a prediction: there was no picture to look at.
WITHOUT_PICTURE = frozenset({"frame_missing", "image_unreadable", "no_face"})


@dataclass(frozen=True)
class Units:
    """The clips of a classification.

    Attributes
    ----------
    truth : ndarray of int, (clips,)
        Numbers of their classes.
    probability : ndarray, (clips, classes)
        Of the mean logits of their frames.
    """

    truth: NDArray[np.int64]
    probability: Floats


@dataclass(frozen=True)
class ClipTable:
    """What is kept of the test predictions of one run.

    Attributes
    ----------
    source : str
        The run directory, for messages.
    clips, subjects : ndarray of str, (clips,)
        Names, sorted by clip; the subject of each clip is its cluster.
    lengths : ndarray of int, (clips,)
        Number of scored frames of each clip.
    targets : tuple of str
        Of the task.
    statistic : Pooled
        What is computed from the sums.
    sums : ndarray, (targets, clips, sums)
        About the centres of the dataset; of a classification for the run by itself, see `joined`.
    clip_scores : ndarray, (targets, clips, metrics)
        Scores of each clip by itself; none of a classification, of which a clip is one unit.
    units : Units or None
        Of a classification.
    fingerprint : str
        Hash of the clips, subjects, frames and labels that were scored.
    """

    source: str
    clips: NDArray[np.str_]
    subjects: NDArray[np.str_]
    lengths: NDArray[np.int64]
    targets: tuple[str, ...]
    statistic: Pooled
    sums: Floats
    clip_scores: Floats
    units: Units | None
    fingerprint: str

    @property
    def frames(self) -> int:
        """Number of scored frames."""
        return int(self.lengths.sum())

    @property
    def has_clips(self) -> bool:
        """Whether some clip has several frames that are scored, so that scores per clip mean something."""
        return self.units is None and bool((self.lengths > 1).any())


def scored_frames(run: Run, part: str) -> pd.DataFrame:
    """Read the frames of one part that have a label and an output.

    Parameters
    ----------
    run : Run
        A finished run.
    part : str
        ``"validation"`` or ``"test"``.

    Returns
    -------
    DataFrame
        Sorted by clip and frame; frames without a label, or without a picture and an output, are left out.

    Raises
    ------
    EvaluationError
        If a frame with label and picture has no finite output.
    """
    table = run.predictions()
    table = table[table["part"] == part].reset_index(drop=True)
    labelled = _finite(table, run.spec.task.truth_columns)
    predicted = _finite(table, run.spec.task.output_columns)
    lost = labelled & ~predicted & ~table["status"].isin(WITHOUT_PICTURE).to_numpy()
    if lost.any():
        row = table[lost].iloc[0]
        raise EvaluationError(
            f"{run.path / 'predictions.parquet'} has no finite prediction for {lost.sum()} frames, first frame "
            f"{row['frame']} of clip {row['clip']} ({part}, status {row['status']}): the training diverged. "
            "Fit the run again with a smaller learning rate."
        )
    return table[labelled & predicted].reset_index(drop=True)


def clip_table(frames: pd.DataFrame, task: Task, centres: Sequence[float], source: str) -> ClipTable:
    """Reduce scored frames to what is kept of each clip.

    Parameters
    ----------
    frames : DataFrame
        From `scored_frames`, sorted by clip and frame.
    task : Task
        What is predicted.
    centres : sequence of float
        A number near the mean label of each target, the same for all runs of a dataset; of no use to a classification.
    source : str
        The run directory, for messages.

    Returns
    -------
    ClipTable
        Clips sorted by name.

    Raises
    ------
    EvaluationError
        If there are no frames, or a clip has two subjects, or two classes.
    """
    if frames.empty:
        raise EvaluationError(f"No test frame of {source} can be scored. Look into its predictions.parquet.")
    codes, clips = pd.factorize(frames["clip"], sort=True)
    pairs = frames[["clip", "subject"]].drop_duplicates().sort_values("clip", kind="stable")
    if len(pairs) != len(clips):
        clip = pairs.loc[pairs["clip"].duplicated(), "clip"].iloc[0]
        raise EvaluationError(f"Clip {clip} of {source} has two subjects. Index the dataset again.")
    hashed = hashlib.sha256("\n".join([*clips, *pairs["subject"]]).encode())
    hashed.update(codes.astype("<i8").tobytes() + frames["frame"].to_numpy("<i8").tobytes())
    for column in task.truth_columns:
        hashed.update(frames[column].to_numpy(np.float64).astype("<f4").tobytes())
    units = _units(frames, codes, len(clips), task, source) if task.unit == "clip" else None
    statistic, sums, scores = _of_units(units) if units else _of_frames(frames, codes, len(clips), task, centres)
    return ClipTable(
        source=source,
        clips=np.asarray(clips, dtype=np.str_),
        subjects=pairs["subject"].to_numpy(np.str_),
        lengths=np.bincount(codes),
        targets=task.targets,
        statistic=statistic,
        sums=sums,
        clip_scores=scores,
        units=units,
        fingerprint=hashed.hexdigest(),
    )


def joined(tables: Sequence[ClipTable]) -> tuple[Pooled, Floats]:
    """Join the clips of the folds of one seed: what is computed of them, and their sums (targets, clips, sums).

    Of a classification the sums of a clip depend on all others, because a placement is a rank among them.
    """
    units = [table.units for table in tables if table.units is not None]
    if not units:
        return tables[0].statistic, np.concatenate([table.sums for table in tables], axis=1)
    truth, probability = (np.concatenate([getattr(each, name) for each in units]) for name in ("truth", "probability"))
    return _of_units(Units(truth, probability))[:2]


def _of_frames(
    frames: pd.DataFrame, codes: NDArray[np.intp], clips: int, task: Task, centres: Sequence[float]
) -> tuple[Pooled, Floats, Floats]:
    metrics, sums, scores = METRICS[task.kind], [], []
    for column, output, centre in zip(task.truth_columns, task.output_columns, centres, strict=True):
        truth, prediction = frames[column].to_numpy(np.float64), frames[output].to_numpy(np.float64)
        columns = columns_of(metrics, truth, prediction, centre)
        statistic = Pooled(metrics, tuple(columns))
        sums.append(cluster_sums(columns, codes, clips))
        own = np.bincount(codes, truth) / np.bincount(codes)
        by_clip = cluster_sums(columns_of(metrics, truth, prediction, own[codes]), codes, clips)
        scores.append(statistic.value(by_clip))
    return statistic, np.stack(sums), np.stack(scores)


def _of_units(units: Units) -> tuple[Pooled, Floats, Floats]:
    metrics, count = METRICS["classification"], len(units.truth)
    columns = columns_of(metrics, units.truth, units.probability)
    sums = cluster_sums(columns, np.arange(count), count)
    return Pooled(metrics, tuple(columns)), sums[None], np.empty((1, count, 0))


def _units(frames: pd.DataFrame, codes: NDArray[np.intp], clips: int, task: Task, source: str) -> Units:
    """Average the logits of each clip; frames without a crop, whose answer no network gave, only where all are."""
    (column,) = task.truth_columns
    truth = frames[column].to_numpy(np.int64)
    first = truth[np.unique(codes, return_index=True)[1]]
    if (truth != first[codes]).any():
        clip = frames["clip"][truth != first[codes]].iloc[0]
        raise EvaluationError(f"Clip {clip} of {source} has frames of two classes. Index the dataset again.")
    seen = (frames["status"] != NO_CROP).to_numpy(np.float64)
    seen = np.where(np.bincount(codes, seen)[codes] > 0, seen, 1.0)
    logits = [np.bincount(codes, seen * frames[name].to_numpy(np.float64)) for name in task.output_columns]
    return Units(first, probabilities(np.stack(logits, axis=1) / np.bincount(codes, seen)[:, None]))


def _finite(table: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.bool_]:
    return np.isfinite(table[list(columns)].to_numpy(np.float64)).all(axis=1)
