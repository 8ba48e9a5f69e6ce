"""From run directories to tidy tables of scores, intervals, differences and records."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation import figure_data, files, run_tables
from hocbench.evaluation.accumulate import check_runs, collect, window_columns
from hocbench.evaluation.clip_tables import ClipTable
from hocbench.evaluation.differences import paired_differences, seed_differences
from hocbench.evaluation.pooling import Cell, Tables, complete_seeds, one_seed_tables, pool
from hocbench.evaluation.resampling import Setup, contrasts
from hocbench.evaluation.smoothing import check_windows
from hocbench.evaluation.statistics import PerClip, Statistic
from hocbench.evaluation.trends import trend_table
from hocbench.experiment.description import KEY_COLUMNS, META, Description, RowKey
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.metrics.record import Floats, Metric
from hocbench.metrics.records import PRIMARY
from hocbench.runs.finished import read_runs

logger = logging.getLogger(__name__)

SCORE_COLUMNS = [
    *KEY_COLUMNS,
    *("seed", "fold", "target", "metric", "pooling", "value", "n_frames", "n_clusters", "label"),
]
INTERVAL_COLUMNS = [
    *KEY_COLUMNS,
    *("target", "metric", "pooling", "mean", "low", "high", "seed_sd", "n_seeds", "n_folds", "n_clusters"),
    *("interval", "note", "label"),
]
SEED_INTERVAL_COLUMNS = [
    *KEY_COLUMNS,
    *("seed", "target", "metric", "pooling", "mean", "low", "high", "n_folds", "n_clusters"),
    *("interval", "note", "label"),
]


def evaluate(
    run_dirs: Sequence[Path], out: Path, description: Description, replicates: int, seed: int, windows: Sequence[int]
) -> None:
    """Score finished runs and write all result tables.

    Parameters
    ----------
    run_dirs : sequence of Path
        Run directories, in any order.
    out : Path
        Folder of the tables; made if need be.
    description : Description
        Datasets, methods and the rows to show; kept beside the tables.
    replicates : int
        Bootstrap replicates.
    seed : int
        Root seed of the resampling.
    windows : sequence of int
        Odd lengths in frames, from which the smoothing window is chosen on the validation part.

    Raises
    ------
    RunError
        If a run directory is unfinished or was changed.
    EvaluationError
        If there are no runs, two runs are the same, synthetic and real data are mixed, or predictions are not finite.
    """
    check_windows(windows)
    runs = read_runs(run_dirs)
    setup = Setup(description, check_runs(runs, description), replicates, seed)
    collected = collect(runs, description, windows)
    intervals = interval_table(collected.tables, setup)
    tables = {
        "scores": score_table(collected.tables, setup),
        "intervals": intervals,
        "differences": paired_differences(collected.tables, setup),
        "seed_intervals": seed_interval_table(collected.tables, setup),
        "seed_differences": seed_differences(collected.tables, setup),
        "trends": trend_table(collected.tables, setup),
        "sparsity": run_tables.sparsity(runs),
        "history": run_tables.histories(runs),
        "costs": run_tables.costs(runs),
        "counts": run_tables.frame_counts(runs),
        "windows": files.sorted_table(collected.windows, window_columns(description)),
        "factors": figure_data.factors(runs),
        "quadrants": figure_data.quadrants(collected.errors, setup.labels),
    }
    with staged(out, "evaluate") as folder:
        for name, table in tables.items():
            files.write_csv(table, folder / f"{name}.csv")
        files.write_parquet(run_tables.timelines(collected.timelines), folder / "timelines.parquet")
        files.write_parquet(figure_data.circumplex(runs, description), folder / "circumplex.parquet")
        files.write_json(flat_metrics(intervals), folder / "metrics.json")
        write_text(description.text() + "\n", folder / META)
        names = [*(f"{name}.csv" for name in tables), "timelines.parquet", "circumplex.parquet", "metrics.json", META]
        files.write_seal(names, folder)
    logger.info("Scored %d runs of %d methods into %s", len(runs), len(collected.tables), out)


def score_table(tables: Mapping[RowKey, Tables], setup: Setup) -> pd.DataFrame:
    """Score each run by itself.

    Parameters
    ----------
    tables : mapping of RowKey to mapping of (seed, fold) to ClipTable
        All runs.
    setup : Setup
        What the evaluation was told.

    Returns
    -------
    DataFrame
        `SCORE_COLUMNS`; pooling is "pooled" (all frames together) or "per_video" (mean of the clips' own scores,
        absent for still images).
    """
    rows = []
    for key, entries in tables.items():
        for (seed, fold), table in entries.items():
            shared = vars(key) | {"seed": seed, "fold": fold, "n_frames": table.frames}
            shared |= {"n_clusters": len(set(table.subjects)), "label": setup.labels[key.dataset]}
            values = {"pooled": table.statistic.value(table.sums.sum(axis=1))}
            if table.has_clips:
                values["per_video"] = table.clip_scores.mean(axis=1)
            rows += [shared | cell for cell in _cells(values, table)]
    return files.sorted_table(rows, SCORE_COLUMNS)


def interval_table(tables: Mapping[RowKey, Tables], setup: Setup) -> pd.DataFrame:
    """Score each method with its folds pooled, with 95 % studentised cluster-bootstrap intervals.

    Parameters
    ----------
    tables : mapping of RowKey to mapping of (seed, fold) to ClipTable
        All runs.
    setup : Setup
        What the evaluation was told.

    Returns
    -------
    DataFrame
        `INTERVAL_COLUMNS`. `interval` says what varies: with fewer than `SEEDS_NEEDED` seeds the clusters only, and
        the interval is conditional on the seeds. It is NaN with one cluster; `seed_sd` (n - 1 in the denominator) is
        NaN with one seed. `note` says "one cluster", or why a score says nothing, such as "constant predictions".
    """
    return files.sorted_table(_method_rows(tables, setup), INTERVAL_COLUMNS)


def seed_interval_table(tables: Mapping[RowKey, Tables], setup: Setup) -> pd.DataFrame:
    """Score each method by each training seed alone, as if no other had been run.

    Only pooled, and only on real data, since claims compare no other scores with published ones.

    Parameters
    ----------
    tables, setup
        As `interval_table` takes them.

    Returns
    -------
    DataFrame
        `SEED_INTERVAL_COLUMNS`, for real data sets with several training seeds.
    """
    real = {key: entries for key, entries in tables.items() if setup.labels[key.dataset] == "real"}
    rows = [
        {"seed": training} | row
        for training, own in one_seed_tables(real)
        for row in _method_rows(own, setup, pooled_only=True)
    ]
    return files.sorted_table(rows, SEED_INTERVAL_COLUMNS)


def flat_metrics(intervals: pd.DataFrame) -> dict[str, float]:
    """Pick the primary scores of every method as ``dataset.method.target.ccc``, for ``dvc metrics``.

    Parameters
    ----------
    intervals : DataFrame
        From `interval_table`.

    Returns
    -------
    dict of str to float
        The method is spelled as its id and the axes that differ from the default, joined by underscores.
    """
    chosen = intervals[intervals["metric"].isin(PRIMARY.values()) & (intervals["pooling"] == "pooled")]
    return {
        ".".join([row["dataset"], _slug(row), row["target"], row["metric"]]): row["mean"]
        for _, row in chosen.iterrows()
        if pd.notna(row["mean"])
    }


def _slug(row: "pd.Series[Any]") -> str:
    factorization = f"_{row['factorization']}" if row["factorization"] not in ("", "cp") else ""
    rank = f"_rank{row['rank']}" if row["rank"] not in ("", "same") else ""
    lasso = f"_lasso{row['lasso']:g}" if row["lasso"] else ""
    ablation = f"_{row['ablation']}" if row["ablation"] else ""
    return f"{row['method']}{factorization}{rank}{lasso}{ablation}"


def _cells(values: Mapping[str, Floats], of: ClipTable) -> list[dict[str, Any]]:
    """Spread (targets, metrics) over rows."""
    return [
        {"pooling": pooling, "target": target, "metric": metric.id, "value": table[i, j]}
        for pooling, table in values.items()
        for i, target in enumerate(of.targets)
        for j, metric in enumerate(of.statistic.metrics)
    ]


def _method_rows(tables: Mapping[RowKey, Tables], setup: Setup, *, pooled_only: bool = False) -> list[dict[str, Any]]:
    """Score each method with its folds pooled; the clips' own scores can be left out."""
    rows: list[dict[str, Any]] = []
    for key, entries in tables.items():
        seeds, folds = complete_seeds(entries, key)
        if seeds:
            cell = pool(key, entries, seeds, folds)
            shared = vars(key) | setup.shared(cell)
            rows += [shared | row for row in _interval_rows(cell, setup, pooled_only=pooled_only)]
    return rows


def _interval_rows(cell: Cell, setup: Setup, *, pooled_only: bool) -> list[dict[str, Any]]:
    poolings: dict[str, tuple[Statistic, Callable[[Cell, int], Floats]]] = {"pooled": (cell.statistic, _frame_sums)}
    if cell.has_clips and not pooled_only:
        poolings["per_video"] = (PerClip(cell.statistic.metrics), _clip_sums)
    rows = []
    for pooling, (statistic, sums) in poolings.items():
        for contrast in contrasts(setup, [cell], np.ones(1), statistic=statistic, sums=sums, single=True):
            resampled = contrast.resampled
            values = {
                "mean": resampled.estimate,
                "low": contrast.low,
                "high": contrast.high,
                "seed_sd": resampled.seed_sd,
            }
            for place, metric in enumerate(statistic.metrics):
                note = _note(cell, metric, is_degenerate=pooling == "pooled" and bool(resampled.degenerate[place]))
                row: dict[str, Any] = {"target": contrast.target, "metric": metric.id, "pooling": pooling, "note": note}
                rows.append(row | {name: column[place] for name, column in values.items()})
    return rows


def _frame_sums(cell: Cell, target: int) -> Floats:
    return cell.sums[target]


def _clip_sums(cell: Cell, target: int) -> Floats:
    totals = cell.clip_totals[target]
    clips = np.broadcast_to(cell.clips[:, None], (*totals.shape[:-1], 1))
    return np.concatenate([totals, clips], axis=-1)


def _note(cell: Cell, metric: Metric, *, is_degenerate: bool) -> str:
    if len(cell.clusters) < 2:
        return "one cluster"
    return metric.note if is_degenerate else ""
