"""From frame-by-frame predictions to the sums per clip and per cluster that all statistics need."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.errors import EvaluationError
from hocbench.evaluation.statistics import Floats, cluster_sums, scores_from_sums
from hocbench.experiment.description import RowKey
from hocbench.runs.finished import TARGETS, Run

logger = logging.getLogger(__name__)

# Frames with these statuses may lack a prediction: there was no picture to look at.
WITHOUT_PICTURE = frozenset({"frame_missing", "image_unreadable", "no_face"})


@dataclass(frozen=True)
class ClipTable:
    """What is kept of the test predictions of one run.

    Attributes
    ----------
    source : str
        The run directory, for messages.
    clips, subjects : ndarray of str, (clips,)
        Names, sorted by clip; the subject of each clip is its cluster.
    sums : ndarray, (targets, clips, sums)
        See `hocbench.evaluation.statistics.SUMS`, about the centres of the dataset.
    clip_scores : ndarray, (targets, clips, metrics)
        Scores of each clip by itself.
    fingerprint : str
        Hash of the clips, subjects, frames and labels that were scored.
    """

    source: str
    clips: NDArray[np.str_]
    subjects: NDArray[np.str_]
    sums: Floats
    clip_scores: Floats
    fingerprint: str

    @property
    def frames(self) -> int:
        """Number of scored frames."""
        return int(self.sums[0, :, 0].sum())

    @property
    def has_clips(self) -> bool:
        """Whether some clip has several frames, so that scores per clip mean something."""
        return bool((self.sums[0, :, 0] > 1).any())


@dataclass(frozen=True)
class Cell:
    """One method with its folds pooled, ready for the statistics.

    Attributes
    ----------
    key : RowKey
        The row.
    seeds, folds : tuple of int
        What went in: every seed has every fold.
    clusters : tuple of str
        Subjects, sorted.
    sums : ndarray, (targets, seeds, clusters, sums)
        Sums over each subject's frames.
    clip_totals : ndarray, (targets, seeds, clusters, metrics)
        Sums of the scores of each subject's clips.
    clips : ndarray, (clusters,)
        Number of each subject's clips.
    strata : ndarray of int, (clusters,)
        Place in `folds` of the fold that tests each subject.
    has_clips : bool
        Whether scores per clip mean something.
    """

    key: RowKey
    seeds: tuple[int, ...]
    folds: tuple[int, ...]
    clusters: tuple[str, ...]
    sums: Floats
    clip_totals: Floats
    clips: Floats
    strata: NDArray[np.intp]
    has_clips: bool


Tables = Mapping[tuple[int, int], ClipTable]  # keyed by (seed, fold)


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
    labelled = _finite(table, [f"truth_{target}" for target in TARGETS])
    predicted = _finite(table, list(TARGETS))
    lost = labelled & ~predicted & ~table["status"].isin(WITHOUT_PICTURE).to_numpy()
    if lost.any():
        row = table[lost].iloc[0]
        raise EvaluationError(
            f"{run.path / 'predictions.parquet'} has no finite prediction for {lost.sum()} frames, first frame "
            f"{row['frame']} of clip {row['clip']} ({part}, status {row['status']}): the training diverged. "
            "Fit the run again with a smaller learning rate."
        )
    return table[labelled & predicted].reset_index(drop=True)


def clip_table(frames: pd.DataFrame, centres: Sequence[float], source: str) -> ClipTable:
    """Reduce scored frames to sums per clip.

    Parameters
    ----------
    frames : DataFrame
        From `scored_frames`, sorted by clip and frame.
    centres : sequence of float
        A number near the mean label of each target, the same for all runs of a dataset.
    source : str
        The run directory, for messages.

    Returns
    -------
    ClipTable
        Clips sorted by name.

    Raises
    ------
    EvaluationError
        If there are no frames, or a clip has two subjects.
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
    sums, scores = [], []
    for target, centre in zip(TARGETS, centres, strict=True):
        truth = frames[f"truth_{target}"].to_numpy(np.float64)
        prediction = frames[target].to_numpy(np.float64)
        hashed.update(truth.astype("<f4").tobytes())
        sums.append(cluster_sums(truth, prediction, codes, len(clips), centre))
        own = np.bincount(codes, truth) / np.bincount(codes)
        scores.append(scores_from_sums(cluster_sums(truth, prediction, codes, len(clips), own[codes])))
    return ClipTable(
        source=source,
        clips=np.asarray(clips, dtype=np.str_),
        subjects=pairs["subject"].to_numpy(np.str_),
        sums=np.stack(sums),
        clip_scores=np.stack(scores),
        fingerprint=hashed.hexdigest(),
    )


def complete_seeds(tables: Tables, key: RowKey) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Find the folds of a method and the seeds that have all of them.

    Parameters
    ----------
    tables : mapping of (seed, fold) to ClipTable
        The runs there are.
    method : RowKey
        For the log.

    Returns
    -------
    seeds, folds : tuple of int
        Sorted. Seeds that lack a fold are left out, because their pooled clips would differ.
    """
    folds = tuple(sorted({fold for _, fold in tables}))
    seeds = tuple(sorted({seed for seed, _ in tables}))
    complete = tuple(seed for seed in seeds if all((seed, fold) in tables for fold in folds))
    if complete != seeds:
        lacking = sorted(set(seeds) - set(complete))
        logger.warning("%s, %s: seeds %s lack folds and enter no interval", key.dataset, key.method, lacking)
    return complete, folds


def pool(key: RowKey, tables: Tables, seeds: Sequence[int], folds: Sequence[int]) -> Cell:
    """Pool the folds of each seed: every clip is tested once.

    Parameters
    ----------
    key : RowKey
        The row.
    tables : mapping of (seed, fold) to ClipTable
        At least all pairs of `seeds` and `folds`.
    seeds, folds : sequence of int
        What to pool.

    Returns
    -------
    Cell
        Sums per subject.

    Raises
    ------
    EvaluationError
        If two seeds were scored on different frames, or a clip is tested in two folds.
    """
    first = [tables[seeds[0], fold] for fold in folds]
    for seed in seeds:
        for fold, expected in zip(folds, first, strict=True):
            check_same_frames(tables[seed, fold], expected)
    clips = np.concatenate([table.clips for table in first])
    names, counts = np.unique(clips, return_counts=True)
    if (counts > 1).any():
        raise EvaluationError(
            f"Clip {names[counts > 1][0]} of {key.dataset} is tested in two folds ({first[0].source} and others). "
            "Make the splits again."
        )
    clusters, codes = np.unique(np.concatenate([table.subjects for table in first]), return_inverse=True)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(clusters)))
    by_seed = [[tables[seed, fold] for fold in folds] for seed in seeds]
    sums = np.stack([np.concatenate([table.sums for table in row], axis=1) for row in by_seed], axis=1)
    scores = np.stack([np.concatenate([table.clip_scores for table in row], axis=1) for row in by_seed], axis=1)
    return Cell(
        key=key,
        seeds=tuple(seeds),
        folds=tuple(folds),
        clusters=tuple(str(name) for name in clusters),
        sums=np.add.reduceat(sums[..., order, :], starts, axis=-2),
        clip_totals=np.add.reduceat(scores[..., order, :], starts, axis=-2),
        clips=np.bincount(codes).astype(np.float64),
        strata=np.repeat(np.arange(len(folds)), [len(table.clips) for table in first])[order][starts],
        has_clips=any(table.has_clips for table in first),
    )


def common_cells(methods: Sequence[RowKey], tables: Mapping[RowKey, Tables]) -> list[Cell] | None:
    """Pool methods over the folds that all have, for the seeds that have all of these; None if there are none.

    Raises
    ------
    EvaluationError
        If two methods were scored on different frames.
    """
    common = set.intersection(*(set(tables[method]) for method in methods))
    folds = sorted({fold for _, fold in common})
    seeds = [seed for seed in sorted({seed for seed, _ in common}) if all((seed, fold) in common for fold in folds)]
    if not seeds:
        return None
    for method in methods[1:]:
        for fold in folds:
            check_same_frames(tables[methods[0]][seeds[0], fold], tables[method][seeds[0], fold])
    return [pool(method, tables[method], seeds, folds) for method in methods]


def one_seed_tables(tables: Mapping[RowKey, Tables]) -> Iterator[tuple[int, dict[RowKey, Tables]]]:
    """Yield each training seed with the runs of it alone, of the data sets that have several seeds."""
    seeds: dict[str, set[int]] = {}
    for method, entries in tables.items():
        seeds.setdefault(method.dataset, set()).update(seed for seed, _ in entries)
    varied = {method: entries for method, entries in tables.items() if len(seeds[method.dataset]) > 1}
    for seed in sorted({seed for entries in varied.values() for seed, _ in entries}):
        own = (
            (method, {key: each for key, each in entries.items() if key[0] == seed})
            for method, entries in varied.items()
        )
        yield seed, {method: entries for method, entries in own if entries}


def check_same_frames(table: ClipTable, expected: ClipTable) -> None:
    """Refuse to compare runs that were scored on different frames or labels.

    Raises
    ------
    EvaluationError
        Naming both runs.
    """
    if table.fingerprint != expected.fingerprint:
        raise EvaluationError(
            f"{table.source} ({table.frames} scored test frames) and {expected.source} ({expected.frames}) were not "
            "scored on the same subjects, frames and labels, so they cannot be compared. Fit both again from the same "
            "crops."
        )


def _finite(table: pd.DataFrame, columns: list[str]) -> NDArray[np.bool_]:
    return np.isfinite(table[columns].to_numpy(np.float64)).all(axis=1)
