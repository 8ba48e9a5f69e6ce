"""Paired differences between methods on the same seeds, folds, clips and frames."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.pooling import Cell, Tables, common_cells, one_seed_tables
from hocbench.evaluation.resampling import Setup, contrasts
from hocbench.evaluation.significance import holm, swap_p_values
from hocbench.experiment.description import KEY_COLUMNS, Description, RowKey
from hocbench.experiment.methods import IMAGES
from hocbench.metrics.records import primary
from hocbench.seeds import generator

PAIR_COLUMNS = [*KEY_COLUMNS, "reference", "reference_ablation"]
COLUMNS = [
    *PAIR_COLUMNS,
    *("target", "metric", "difference", "low", "high", "effect_size", "p", "p_holm", "n_comparisons", "n_seeds"),
    *("n_clusters", "interval", "label"),
]
SEED_COLUMNS = [
    *PAIR_COLUMNS,
    *("seed", "target", "metric", "difference", "low", "high", "effect_size", "n_clusters", "interval", "label"),
]
CONTRAST = np.array([1.0, -1.0])


def comparisons(rows: Iterable[RowKey], description: Description) -> list[tuple[RowKey, RowKey]]:
    """Choose which methods are compared with which.

    On images the factorized network is compared with the dense one, and each LASSO weight with none. On clips every
    method is compared with the 2-D network fine-tuned on frames (where that is not trained, as on the negative
    control, with the static one); and the jointly fine-tuned network, besides, with every network trained from scratch
    and with the smoothed 2-D outputs. What an ablation changed is compared with the same method unchanged.

    Parameters
    ----------
    rows : iterable of RowKey
        All rows of all datasets.
    description : Description
        Datasets, methods, and the main rank.

    Returns
    -------
    list of (RowKey, RowKey)
        Method and reference of the same dataset, factorization and rank. A network without a rank is compared at the
        main one.
    """
    rows = sorted(rows)
    pairs = []
    for row in rows:
        others = [other for other in rows if other.dataset == row.dataset and other != row]
        pairs += [(row, other) for other in others if _compared(row, other, others, description)]
    return pairs


def paired_differences(tables: Mapping[RowKey, Tables], setup: Setup) -> pd.DataFrame:
    """Measure all comparisons.

    Intervals are studentised, over clusters, and over seeds too where there are enough of them; p values come from
    swapping clusters, conditional on the seeds. The effect size is the difference in standard deviations of the
    clusters' contributions to it. Holm's correction runs over all comparisons of one dataset and metric (both
    targets); `n_comparisons` is their number.

    Parameters
    ----------
    tables : mapping of RowKey to mapping of (seed, fold) to ClipTable
        All runs.
    setup : Setup
        What the evaluation was told.

    Returns
    -------
    DataFrame
        `COLUMNS`; the difference is method minus reference, pooled over frames, mean over seeds. Limits are NaN with
        fewer than two clusters. Pairs without a common seed and fold are absent.

    Raises
    ------
    EvaluationError
        If two methods were scored on different frames.
    """
    rows = []
    for shared, first, second in _pairs(tables, setup):
        p_values = _test(first, second, setup)
        for row in _compare(first, second, setup):
            rows.append(shared | row | {"p": p_values[row["target"], row["metric"]]})
    return _corrected(sorted_table(rows, COLUMNS))


def seed_differences(tables: Mapping[RowKey, Tables], setup: Setup) -> pd.DataFrame:
    """Measure all comparisons once more for each training seed, as if no other had been run.

    Only by the primary metric, which is what the claims are judged by, and without p values: all of it would double the
    time.

    Parameters
    ----------
    tables, setup
        As `paired_differences` takes them.

    Returns
    -------
    DataFrame
        `SEED_COLUMNS`, for data sets with several training seeds.
    """
    rows = []
    for training, own in one_seed_tables(tables):
        for shared, first, second in _pairs(own, setup):
            found = _compare(first, second, setup, only_primary=True)
            rows += [shared | {"seed": training} | row for row in found]
    return sorted_table(rows, SEED_COLUMNS)


def _pairs(tables: Mapping[RowKey, Tables], setup: Setup) -> Iterator[tuple[dict[str, Any], Cell, Cell]]:
    """Yield what stands in every row of a comparison, and the two methods over the seeds and folds of both."""
    for row, reference in comparisons(tables, setup.description):
        cells = common_cells([row, reference], tables)
        if cells is None:
            continue
        names = {"reference": reference.method, "reference_ablation": reference.ablation}
        yield vars(row) | names | setup.shared(cells[0]), cells[0], cells[1]


def _compared(row: RowKey, reference: RowKey, others: list[RowKey], description: Description) -> bool:
    """Whether this pair belongs into the table."""
    network = (row.factorization, row.rank) if row.rank else (description.factorization, description.rank)
    if reference.rank and (reference.factorization, reference.rank) != network:
        return False
    unchanged = (row.method, row.lasso) == (reference.method, reference.lasso) and not reference.ablation
    if row.ablation and unchanged:
        return True
    if reference.lasso != 0:
        return False
    if description.datasets[row.dataset].role == IMAGES:
        pairs = {("static", "static_dense"), ("lasso", "static")}
        return row.ablation == reference.ablation and (row.method, reference.method) in pairs
    base = "frames" if any(other.method == "frames" for other in [*others, row]) else "static"
    if reference.method == base and not reference.ablation:
        return True
    # A baseline trained for longer differs in its budget only, so it is one of the plain network too.
    same = reference.ablation == row.ablation or (not row.ablation and reference.ablation in description.longer)
    method = description.methods[reference.method]
    return row.method == "joint" and row.lasso == 0 and same and (method.stage == "scratch" or bool(method.averages))


def _compare(first: Cell, second: Cell, setup: Setup, *, only_primary: bool = False) -> list[dict[str, Any]]:
    """Difference, interval and effect size of each target and metric."""
    statistic = first.statistic
    if only_primary:
        statistic = statistic.only(primary(setup.description.datasets[first.key.dataset].task.kind))
    rows = []
    for contrast in contrasts(setup, [first, second], CONTRAST, statistic=statistic):
        resampled = contrast.resampled
        columns = {"difference": resampled.estimate, "low": contrast.low, "high": contrast.high}
        columns["effect_size"] = resampled.effect_size
        for place, metric in enumerate(statistic.metrics):
            values = {name: float(column[place]) for name, column in columns.items()}
            rows.append({"target": contrast.target, "metric": metric.id} | values)
    return rows


def _test(first: Cell, second: Cell, setup: Setup) -> dict[tuple[str, str], float]:
    """Return the p value of each target and metric."""
    p_values: dict[tuple[str, str], float] = {}
    for place, target in enumerate(first.targets):
        swaps = generator(setup.seed, use="swaps", dataset=first.key.dataset)
        values = swap_p_values(first.sums[place], second.sums[place], setup.replicates, swaps, first.statistic)
        p_values |= {(target, metric.id): float(p) for metric, p in zip(first.statistic.metrics, values, strict=True)}
    return p_values


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    table["p_holm"] = table["p_holm"].astype(np.float64)
    for _, family in table.groupby(["dataset", "metric"]):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy(np.float64))
        table.loc[family.index, "n_comparisons"] = len(family)
    table["n_comparisons"] = table["n_comparisons"].astype(np.int64)
    return table
