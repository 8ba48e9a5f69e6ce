"""From run directories to tidy tables of scores, intervals, differences and records."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation import figure_data, files, run_tables
from hocbench.evaluation.accumulate import WINDOW_COLUMNS, check_runs, collect
from hocbench.evaluation.differences import paired_differences, seed_differences
from hocbench.evaluation.intervals import SEEDS_NEEDED, Resampled, resample, studentized_interval
from hocbench.evaluation.pooling import Cell, Method, Tables, complete_seeds, one_seed_tables, pool, what_varies
from hocbench.evaluation.smoothing import check_windows
from hocbench.evaluation.statistics import METRICS, PER_CLIP, POOLED, Floats, bootstrap_weights, scores_from_sums
from hocbench.evaluation.trends import trend_table
from hocbench.files.staging import staged
from hocbench.runs.finished import TARGETS, read_runs
from hocbench.seeds import generator

logger = logging.getLogger(__name__)

SCORE_COLUMNS = [
    *("dataset", "method", "kind", "stage", "rank", "lasso", "variant", "seed", "fold", "target", "metric"),
    *("pooling", "value", "n_frames", "n_clusters", "label"),
]
INTERVAL_COLUMNS = [
    *("dataset", "method", "kind", "stage", "rank", "lasso", "variant", "target", "metric", "pooling"),
    *("mean", "low", "high", "seed_sd", "n_seeds", "n_folds", "n_clusters", "interval", "note", "label"),
]
SEED_INTERVAL_COLUMNS = [
    *("dataset", "method", "kind", "stage", "rank", "lasso", "variant", "seed", "target", "metric", "pooling"),
    *("mean", "low", "high", "n_folds", "n_clusters", "interval", "note", "label"),
]


def evaluate(run_dirs: Sequence[Path], out: Path, replicates: int, seed: int, windows: Sequence[int]) -> None:
    """Score finished runs and write all result tables.

    Parameters
    ----------
    run_dirs : sequence of Path
        Run directories, in any order.
    out : Path
        Folder of the tables; made if need be.
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
    labels = check_runs(runs)
    collected = collect(runs, windows)
    scores = score_table(collected.tables, labels)
    intervals = interval_table(collected.tables, labels, replicates, seed)
    tables = {
        "scores": scores,
        "intervals": intervals,
        "differences": paired_differences(collected.tables, labels, replicates, seed),
        "seed_intervals": seed_interval_table(collected.tables, labels, replicates, seed),
        "seed_differences": seed_differences(collected.tables, labels, replicates, seed),
        "trends": trend_table(collected.tables, labels, replicates, seed),
        "sparsity": run_tables.sparsity(runs),
        "history": run_tables.histories(runs),
        "costs": run_tables.costs(runs),
        "counts": run_tables.frame_counts(runs),
        "windows": files.sorted_table(collected.windows, WINDOW_COLUMNS),
        "factors": figure_data.factors(runs),
        "quadrants": figure_data.quadrants(collected.errors, labels),
    }
    with staged(out, "evaluate") as folder:
        for name, table in tables.items():
            files.write_csv(table, folder / f"{name}.csv")
        files.write_parquet(run_tables.timelines(collected.timelines), folder / "timelines.parquet")
        files.write_parquet(figure_data.circumplex(runs), folder / "circumplex.parquet")
        files.write_json(flat_metrics(intervals), folder / "metrics.json")
        files.write_seal(
            [*(f"{name}.csv" for name in tables), "timelines.parquet", "circumplex.parquet", "metrics.json"], folder
        )
    logger.info("Scored %d runs of %d methods into %s", len(runs), len(collected.tables), out)


def score_table(tables: Mapping[Method, Tables], labels: Mapping[str, str]) -> pd.DataFrame:
    """Score each run by itself.

    Parameters
    ----------
    tables : mapping of Method to mapping of (seed, fold) to ClipTable
        All runs.
    labels : mapping of str to str
        Label of each dataset.

    Returns
    -------
    DataFrame
        `SCORE_COLUMNS`; pooling is "pooled" (all frames together) or "per_video" (mean of the clips' own scores,
        absent for still images).
    """
    rows = []
    for method, entries in tables.items():
        for (seed, fold), table in entries.items():
            shared = vars(method) | {"seed": seed, "fold": fold, "n_frames": table.frames}
            shared |= {"n_clusters": len(set(table.subjects)), "label": labels[method.dataset]}
            values = {"pooled": scores_from_sums(table.sums.sum(axis=1))}
            if table.has_clips:
                values["per_video"] = table.clip_scores.mean(axis=1)
            rows += [shared | cell for cell in _cells(values)]
    return files.sorted_table(rows, SCORE_COLUMNS)


def interval_table(
    tables: Mapping[Method, Tables], labels: Mapping[str, str], replicates: int, seed: int
) -> pd.DataFrame:
    """Score each method with its folds pooled, with 95 % studentised cluster-bootstrap intervals.

    Parameters
    ----------
    tables : mapping of Method to mapping of (seed, fold) to ClipTable
        All runs.
    labels : mapping of str to str
        Label of each dataset.
    replicates : int
        Bootstrap replicates.
    seed : int
        Root seed.

    Returns
    -------
    DataFrame
        `INTERVAL_COLUMNS`. `interval` says what varies: with fewer than `SEEDS_NEEDED` seeds the clusters only, and
        the interval is conditional on the seeds. It is NaN with one cluster; `seed_sd` (n - 1 in the denominator) is
        NaN with one seed. `note` says "one cluster", or "constant predictions" where PCC and CCC are 0 by definition.
    """
    return files.sorted_table(_method_rows(tables, labels, replicates, seed), INTERVAL_COLUMNS)


def seed_interval_table(
    tables: Mapping[Method, Tables], labels: Mapping[str, str], replicates: int, seed: int
) -> pd.DataFrame:
    """Score each method by each training seed alone, as if no other had been run.

    Only pooled, and only on real data, since claims compare no other scores with published ones.

    Parameters
    ----------
    tables, labels, replicates, seed
        As `interval_table` takes them.

    Returns
    -------
    DataFrame
        `SEED_INTERVAL_COLUMNS`, for real data sets with several training seeds.
    """
    real = {method: entries for method, entries in tables.items() if labels[method.dataset] == "real"}
    rows = [
        {"seed": training} | row
        for training, own in one_seed_tables(real)
        for row in _method_rows(own, labels, replicates, seed, pooled_only=True)
    ]
    return files.sorted_table(rows, SEED_INTERVAL_COLUMNS)


def flat_metrics(intervals: pd.DataFrame) -> dict[str, float]:
    """Pick the pooled CCC of every method as ``dataset.method.target.ccc``, for ``dvc metrics``.

    Parameters
    ----------
    intervals : DataFrame
        From `interval_table`.

    Returns
    -------
    dict of str to float
        The method is spelled as kind, stage and the axes that differ from the default, joined by underscores.
    """
    chosen = intervals[(intervals["metric"] == "ccc") & (intervals["pooling"] == "pooled")]
    return {f"{row['dataset']}.{_slug(row)}.{row['target']}.ccc": row["mean"] for _, row in chosen.iterrows()}


def _slug(row: "pd.Series[Any]") -> str:
    stage = "untrained" if row["method"].endswith("untrained") else row["stage"]
    rank = f"_rank{row['rank']}" if row["rank"] not in ("", "same") else ""
    lasso = f"_lasso{row['lasso']:g}" if row["lasso"] else ""
    variant = f"_{row['variant']}" if row["variant"] else ""
    return f"{row['kind']}_{stage}{rank}{lasso}{variant}"


def _cells(values: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """Spread (targets, metrics) over rows."""
    return [
        {"pooling": pooling, "target": target, "metric": metric, "value": table[i, j]}
        for pooling, table in values.items()
        for i, target in enumerate(TARGETS)
        for j, metric in enumerate(METRICS)
    ]


def _method_rows(
    tables: Mapping[Method, Tables], labels: Mapping[str, str], replicates: int, seed: int, *, pooled_only: bool = False
) -> list[dict[str, Any]]:
    """Score each method with its folds pooled; the clips' own scores can be left out."""
    rows: list[dict[str, Any]] = []
    for method, entries in tables.items():
        seeds, folds = complete_seeds(entries, method)
        if not seeds:
            continue
        cell = pool(method, entries, seeds, folds)
        shared = vars(method) | {"n_seeds": len(seeds), "n_folds": len(folds), "n_clusters": len(cell.clusters)}
        shared |= {"label": labels[method.dataset], "interval": what_varies(cell)}
        rows += [shared | row for row in _interval_rows(cell, replicates, seed, pooled_only=pooled_only)]
    return rows


def _interval_rows(cell: Cell, replicates: int, seed: int, *, pooled_only: bool) -> list[dict[str, Any]]:
    # Of a dataset, every method gets the same draws: no row depends on which other rows there are.
    dataset = cell.method.dataset
    weights = bootstrap_weights(cell.strata, replicates, generator(seed, use="bootstrap", dataset=dataset))
    rows = []
    for i, target in enumerate(TARGETS):
        found = {"pooled": (cell.sums[i], POOLED)}
        if cell.has_clips and not pooled_only:
            clips = np.broadcast_to(cell.clips[:, None], (*cell.clip_totals[i].shape[:-1], 1))
            found["per_video"] = (np.concatenate([cell.clip_totals[i], clips], axis=-1), PER_CLIP)
        for pooling, (sums, statistic) in found.items():
            resampled = resample(sums[None], np.ones(1), weights, cell.strata, statistic)
            draws = generator(seed, use="seeds", dataset=dataset) if len(cell.seeds) >= SEEDS_NEEDED else None
            low, high = studentized_interval(resampled, single=True, generator=draws)
            for j, metric in enumerate(METRICS):
                numbers = {
                    "mean": resampled.estimate[j],
                    "low": low[j],
                    "high": high[j],
                    "seed_sd": resampled.seed_sd[j],
                }
                note = _note(cell, resampled, metric, pooling)
                rows.append({"target": target, "metric": metric, "pooling": pooling, "note": note} | numbers)
    return rows


def _note(cell: Cell, resampled: Resampled, metric: str, pooling: str) -> str:
    if len(cell.clusters) < 2:
        return "one cluster"
    constant = resampled.constant and metric in ("pcc", "ccc") and pooling == "pooled"
    return "constant predictions" if constant else ""
