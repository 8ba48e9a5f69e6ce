"""Paired differences between methods on the same seeds, folds, clips and frames."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.evaluation.cells import Cell, Method, Tables, check_same_frames, pool
from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.runs import TARGETS
from hocbench.evaluation.statistics import (
    METRICS,
    Floats,
    bootstrap_weights,
    holm,
    percentile_interval,
    pooled_replicates,
    scores_from_sums,
    swap_p_values,
)
from hocbench.seeds import generator

COLUMNS = [
    *("dataset", "method", "rank", "lasso", "reference", "target", "metric", "difference", "low", "high"),
    *("p", "p_holm", "n_comparisons", "n_seeds", "n_clusters", "label"),
]


def comparisons(methods: Iterable[Method]) -> list[tuple[Method, Method]]:
    """Choose which methods are compared with which.

    On still images the factorized network is compared with the dense one, and each LASSO weight with none. On video
    every method is compared with the 2-D network fine-tuned on frames; and the jointly fine-tuned network, besides,
    with every network trained from scratch and with the smoothed 2-D outputs.

    Parameters
    ----------
    methods : iterable of Method
        All rows of all datasets.

    Returns
    -------
    list of (Method, Method)
        Method and reference of the same dataset and rank. A network without a rank is compared at the default rank:
        "same" if it is there, else the first.
    """
    methods = sorted(methods)
    pairs = []
    for method in methods:
        rivals = [rival for rival in methods if rival.dataset == method.dataset and rival != method]
        pairs += [(method, rival) for rival in rivals if _compared(method, rival, rivals)]
    return pairs


def paired_differences(
    tables: Mapping[Method, Tables], labels: Mapping[str, str], replicates: int, seed: int
) -> pd.DataFrame:
    """Measure all comparisons.

    Intervals are percentiles of the cluster bootstrap, p values come from swapping clusters, both conditional on the
    seeds. Holm's correction runs over all comparisons of one dataset and metric (both targets); `n_comparisons` is
    their number.

    Parameters
    ----------
    tables : mapping of Method to mapping of (seed, fold) to ClipTable
        All runs.
    labels : mapping of str to str
        Label of each dataset.
    replicates : int
        Bootstrap replicates, and random swaps.
    seed : int
        Root seed.

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
    rows: list[dict[str, Any]] = []
    for method, reference in comparisons(tables):
        cells = _common_cells(method, reference, tables)
        if cells is None:
            continue
        # The same draws for every pair of a dataset: no row depends on which other rows there are.
        clusters, dataset = len(cells[0].clusters), method.dataset
        weights = bootstrap_weights(clusters, replicates, generator(seed, use="bootstrap", dataset=dataset))
        for index, target in enumerate(TARGETS):
            swaps = generator(seed, use="swaps", dataset=dataset)
            values = _compare(cells[0].sums[index], cells[1].sums[index], weights, swaps)
            shared = {"dataset": method.dataset, "method": method.method, "lasso": method.lasso, "target": target}
            shared |= {"rank": method.rank, "reference": reference.method, "label": labels[method.dataset]}
            shared |= {"n_seeds": len(cells[0].seeds), "n_clusters": clusters}
            rows += [shared | {"metric": metric} | values[metric] for metric in METRICS]
    return _corrected(sorted_table(rows, COLUMNS))


def _compared(method: Method, reference: Method, rivals: list[Method]) -> bool:
    """Whether this pair belongs into the table."""
    if reference.rank not in ("", _rank(method, rivals)) or reference.lasso != 0:
        return False
    first, second = (method.kind, method.stage), (reference.kind, reference.stage)
    if method.dataset == "affectnet":
        return (first, second) in {(("cp", "static"), ("dense", "static")), (("cp", "lasso"), ("cp", "static"))}
    if second == ("cp", "frames"):
        return True
    is_joint = first == ("cp", "joint") and method.lasso == 0
    return is_joint and (reference.stage == "scratch" or reference.stage.endswith("_smoothed"))


def _rank(method: Method, rivals: list[Method]) -> str:
    ranks = sorted({rival.rank for rival in rivals} - {""})
    return method.rank or ("same" if "same" in ranks else next(iter(ranks), ""))


def _common_cells(method: Method, reference: Method, tables: Mapping[Method, Tables]) -> tuple[Cell, Cell] | None:
    """Both methods pooled over the folds that both have, for the seeds that have all of these."""
    first, second = tables[method], tables[reference]
    both = set(first) & set(second)
    folds = sorted({fold for _, fold in both})
    seeds = [number for number in sorted({seed for seed, _ in both}) if all((number, fold) in both for fold in folds)]
    if not seeds:
        return None
    for fold in folds:
        check_same_frames(first[seeds[0], fold], second[seeds[0], fold])
    return pool(method, first, seeds, folds), pool(reference, second, seeds, folds)


def _compare(
    first: Floats, second: Floats, weights: NDArray[np.uint16], swaps: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Difference, interval and p value of each metric, from sums of shape (seeds, clusters, sums)."""
    difference = (scores_from_sums(first.sum(axis=1)) - scores_from_sums(second.sum(axis=1))).mean(axis=0)
    low, high = percentile_interval(pooled_replicates(first, weights) - pooled_replicates(second, weights))
    if first.shape[1] < 2:
        # A single cluster has no spread; an interval of no width would look certain.
        low = high = np.full(len(METRICS), np.nan)
    p_values = swap_p_values(first, second, len(weights), swaps)
    return {
        metric: {"difference": difference[i], "low": low[i], "high": high[i], "p": p_values[i]}
        for i, metric in enumerate(METRICS)
    }


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    table["p_holm"] = table["p_holm"].astype(np.float64)
    for _, family in table.groupby(["dataset", "metric"]):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy(np.float64))
        table.loc[family.index, "n_comparisons"] = len(family)
    table["n_comparisons"] = table["n_comparisons"].astype(np.int64)
    return table
