"""Whether scores go up or down along the LASSO weights and the ranks of a sweep."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.intervals import SEEDS_NEEDED, resample, studentized_interval
from hocbench.evaluation.pooling import Cell, Method, Tables, common_cells
from hocbench.evaluation.significance import holm, slope_contrast, trend_p_values
from hocbench.evaluation.statistics import METRICS, bootstrap_weights
from hocbench.runs.finished import TARGETS
from hocbench.seeds import generator

COLUMNS = [
    *("dataset", "method", "rank", "lasso", "variant", "axis", "levels", "target", "metric", "slope", "low", "high"),
    *("p", "p_holm", "n_seeds", "n_clusters", "label"),
]


def trend_table(tables: Mapping[Method, Tables], labels: Mapping[str, str], replicates: int, seed: int) -> pd.DataFrame:
    """Measure the slope of the scores along each axis of the sweep.

    Parameters
    ----------
    tables : mapping of Method to mapping of (seed, fold) to ClipTable
        All runs.
    labels : mapping of str to str
        Label of each dataset.
    replicates : int
        Bootstrap replicates, and random orders.
    seed : int
        Root seed.

    Returns
    -------
    DataFrame
        `COLUMNS`, a row per sequence of at least two levels with common seeds and folds. slope is the least-squares
        slope in score per step of the axis (levels count as equally far apart), with a 95 % studentised interval; p
        comes from permuting the levels within clusters, Holm-corrected over dataset, axis and metric. rank is ""
        along ranks, and lasso NaN along LASSO weights.
    """
    rows: list[dict[str, Any]] = []
    for axis, methods in sequences(tables):
        cells = common_cells(methods, tables)
        if cells is None:
            continue
        first = methods[0]
        shared: dict[str, Any] = {
            "dataset": first.dataset,
            "method": methods[-1].method,
            "variant": first.variant,
            "axis": axis,
        }
        shared |= {"rank": "" if axis == "rank" else first.rank, "lasso": np.nan if axis == "lasso" else first.lasso}
        shared |= {"levels": ";".join(level_name(method, axis) for method in methods)}
        shared |= {"n_seeds": len(cells[0].seeds), "n_clusters": len(cells[0].clusters)}
        shared |= {"label": labels[first.dataset]}
        rows += [shared | row for row in _slopes(cells, replicates, seed)]
    table = sorted_table(rows, COLUMNS)
    table["p_holm"] = table["p_holm"].astype(np.float64)
    for _, family in table.groupby(["dataset", "axis", "metric"]):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy(np.float64))
    return table


def sequences(methods: Mapping[Method, Tables]) -> list[tuple[str, list[Method]]]:
    """List the methods that differ in one axis of the sweep only, in its order.

    Parameters
    ----------
    methods : mapping
        Its keys are the methods.

    Returns
    -------
    list of (str, list of Method)
        "lasso" or "rank", and at least two methods. On images the static network is the weight 0 of the LASSO stage.
    """
    found: dict[tuple[Any, ...], list[Method]] = {}
    for method in sorted(methods):
        if method.kind != "cp":
            continue
        stage = "lasso" if (method.dataset, method.stage) == ("affectnet", "static") else method.stage
        untrained = method.method.endswith("untrained")
        found.setdefault(("lasso", method.dataset, stage, untrained, method.rank, method.variant), []).append(method)
        key = ("rank", method.dataset, method.stage, untrained, method.lasso, method.variant)
        found.setdefault(key, []).append(method)
    ordered = [(str(key[0]), sorted(group, key=lambda m: _level(m, key[0]))) for key, group in found.items()]
    return [(axis, group) for axis, group in ordered if len(group) > 1]


def level_name(method: Method, axis: str) -> str:
    """Spell out where a method stands on an axis."""
    return f"{method.lasso:g}" if axis == "lasso" else method.rank


def _level(method: Method, axis: str) -> tuple[bool, float]:
    """Place of a method: multiples of the rank that matches a dense layer before numbers of components."""
    if axis == "lasso":
        return False, method.lasso
    if method.rank == "same":
        return False, 1.0
    return "." not in method.rank, float(method.rank)


def _slopes(cells: list[Cell], replicates: int, seed: int) -> list[dict[str, Any]]:
    first, contrast = cells[0], slope_contrast(len(cells))
    dataset = first.method.dataset
    weights = bootstrap_weights(first.strata, replicates, generator(seed, use="bootstrap", dataset=dataset))
    rows = []
    for i, target in enumerate(TARGETS):
        sums = np.stack([cell.sums[i] for cell in cells])
        resampled = resample(sums, contrast, weights, first.strata)
        draws = generator(seed, use="seeds", dataset=dataset) if len(first.seeds) >= SEEDS_NEEDED else None
        low, high = studentized_interval(resampled, single=False, generator=draws)
        p_values = trend_p_values(sums, contrast, replicates, generator(seed, use="orders", dataset=dataset))
        columns = {"slope": resampled.estimate, "low": low, "high": high, "p": p_values}
        for j, metric in enumerate(METRICS):
            values = {name: float(column[j]) for name, column in columns.items()}
            rows.append({"target": target, "metric": metric} | values)
    return rows
