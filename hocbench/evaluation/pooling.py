"""From the clips of single runs to the sums per cluster that all statistics need, folds pooled."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hocbench.errors import EvaluationError
from hocbench.evaluation.clip_tables import ClipTable, joined
from hocbench.evaluation.statistics import Pooled
from hocbench.experiment.description import RowKey
from hocbench.metrics.record import Floats

logger = logging.getLogger(__name__)


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
    targets : tuple of str
        Of the task.
    statistic : Pooled
        What is computed from the sums.
    sums : ndarray, (targets, seeds, clusters, sums)
        Sums over each subject's frames, or units of a classification.
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
    targets: tuple[str, ...]
    statistic: Pooled
    sums: Floats
    clip_totals: Floats
    clips: Floats
    strata: NDArray[np.intp]
    has_clips: bool


Tables = Mapping[tuple[int, int], ClipTable]  # keyed by (seed, fold)


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
    statistic = joined(first)[0]
    sums = np.stack([joined(row)[1] for row in by_seed], axis=1)
    scores = np.stack([np.concatenate([table.clip_scores for table in row], axis=1) for row in by_seed], axis=1)
    return Cell(
        key=key,
        seeds=tuple(seeds),
        folds=tuple(folds),
        clusters=tuple(str(name) for name in clusters),
        targets=first[0].targets,
        statistic=statistic,
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
