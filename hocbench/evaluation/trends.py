"""Whether scores go up or down along the LASSO weights and the ranks of a sweep."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.pooling import Cell, Tables, common_cells
from hocbench.evaluation.resampling import Setup, contrasts
from hocbench.evaluation.significance import holm, slope_contrast, trend_p_values
from hocbench.experiment.description import KEY_COLUMNS, RowKey
from hocbench.seeds import generator

COLUMNS = [
    *KEY_COLUMNS,
    *("axis", "levels", "target", "metric", "slope", "low", "high", "p", "p_holm", "n_seeds", "n_clusters", "label"),
]


def trend_table(tables: Mapping[RowKey, Tables], setup: Setup) -> pd.DataFrame:
    """Measure the slope of the scores along each axis of the sweep.

    Parameters
    ----------
    tables : mapping of RowKey to mapping of (seed, fold) to ClipTable
        All runs.
    setup : Setup
        What the evaluation was told.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row per sequence of at least two levels with common seeds and folds. slope is the least-squares
        slope in score per step of the axis (levels count as equally far apart), with a 95 % studentised interval; p
        comes from permuting the levels within clusters, Holm-corrected over dataset, axis and metric. rank is ""
        along ranks, and lasso NaN along LASSO weights.
    """
    rows: list[dict[str, Any]] = []
    for axis, sequence in sequences(tables):
        cells = common_cells(sequence, tables)
        if cells is None:
            continue
        varied = {"rank": ""} if axis == "rank" else {"lasso": np.nan}
        levels = ";".join(level_name(key, axis) for key in sequence)
        shared = vars(sequence[-1]) | varied | {"axis": axis, "levels": levels} | setup.shared(cells[0])
        rows += [shared | row for row in _slopes(cells, setup)]
    table = sorted_table(rows, COLUMNS)
    table["p_holm"] = table["p_holm"].astype(np.float64)
    for _, family in table.groupby(["dataset", "axis", "metric"]):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy(np.float64))
    return table


def sequences(rows: Iterable[RowKey]) -> list[tuple[str, list[RowKey]]]:
    """List the rows that differ in one axis of the sweep only, in its order.

    Parameters
    ----------
    rows : iterable of RowKey
        All rows.

    Returns
    -------
    list of (str, list of RowKey)
        "lasso" or "rank", and at least two rows. Where 2-D networks are trained, the static one is the weight 0 of the
        LASSO stage.
    """
    ordered = sorted(rows)
    penalised = {key.dataset for key in ordered if key.method == "lasso"}
    groups: dict[tuple[Any, ...], list[RowKey]] = {}
    for key in ordered:
        if not key.factorization:
            continue
        is_plain = key.method == "static" and key.dataset in penalised
        network = (key.dataset, key.factorization, key.ablation)
        groups.setdefault(("lasso", *network, "lasso" if is_plain else key.method, key.rank), []).append(key)
        groups.setdefault(("rank", *network, key.method, key.lasso), []).append(key)
    series = [(str(name[0]), sorted(group, key=lambda key: _level(key, name[0]))) for name, group in groups.items()]
    return [(axis, group) for axis, group in series if len(group) > 1]


def level_name(key: RowKey, axis: str) -> str:
    """Spell out where a row stands on an axis."""
    return f"{key.lasso:g}" if axis == "lasso" else key.rank


def _level(key: RowKey, axis: str) -> tuple[bool, float]:
    """Place of a row: multiples of the rank that matches a dense layer before numbers of components."""
    if axis == "lasso":
        return False, key.lasso
    if key.rank == "same":
        return False, 1.0
    return "." not in key.rank, float(key.rank)


def _slopes(cells: list[Cell], setup: Setup) -> list[dict[str, Any]]:
    weights = slope_contrast(len(cells))
    rows = []
    for contrast in contrasts(setup, cells, weights):
        sums = np.stack([cell.sums[contrast.place] for cell in cells])
        orders = generator(setup.seed, use="orders", dataset=cells[0].key.dataset)
        p_values = trend_p_values(sums, weights, setup.replicates, orders, cells[0].statistic)
        columns = {"slope": contrast.resampled.estimate, "low": contrast.low, "high": contrast.high, "p": p_values}
        for place, metric in enumerate(cells[0].statistic.metrics):
            values = {name: float(column[place]) for name, column in columns.items()}
            rows.append({"target": contrast.target, "metric": metric.id} | values)
    return rows
