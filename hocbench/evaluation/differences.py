"""Paired differences between methods on the same seeds, folds, clips and frames."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from hocbench.evaluation.files import sorted_table
from hocbench.evaluation.intervals import SEEDS_NEEDED, resample, studentized_interval
from hocbench.evaluation.pooling import Cell, Method, Tables, common_cells, one_seed_tables, what_varies
from hocbench.evaluation.significance import holm, swap_p_values
from hocbench.evaluation.statistics import CCC, METRICS, POOLED, bootstrap_weights
from hocbench.runs.finished import TARGETS
from hocbench.seeds import generator

COLUMNS = [
    *("dataset", "method", "rank", "lasso", "variant", "reference", "reference_variant", "target", "metric"),
    *("difference", "low", "high", "effect_size", "p", "p_holm", "n_comparisons", "n_seeds", "n_clusters"),
    *("interval", "label"),
]
SEED_COLUMNS = [
    *("dataset", "method", "rank", "lasso", "variant", "reference", "reference_variant", "seed", "target", "metric"),
    *("difference", "low", "high", "effect_size", "n_clusters", "interval", "label"),
]
# A rival trained for longer differs in its budget only, so it is a rival of the plain network too.
LONGER = "epochs-"
CONTRAST = np.array([1.0, -1.0])


def comparisons(methods: Iterable[Method]) -> list[tuple[Method, Method]]:
    """Choose which methods are compared with which.

    On still images the factorized network is compared with the dense one, and each LASSO weight with none. On video
    every method is compared with the 2-D network fine-tuned on frames (where that is not trained, as on the negative
    control, with the static one); and the jointly fine-tuned network, besides, with every network trained from scratch
    and with the smoothed 2-D outputs. What an experiment changed is compared with the same method unchanged.

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

    Intervals are studentised, over clusters, and over seeds too where there are enough of them; p values come from
    swapping clusters, conditional on the seeds. The effect size is the difference in standard deviations of the
    clusters' contributions to it. Holm's correction runs over all comparisons of one dataset and metric (both
    targets); `n_comparisons` is their number.

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
    rows = []
    for shared, first, second in _pairs(tables, labels):
        p_values = _test(first, second, replicates, seed)
        for row in _compare(first, second, replicates, seed):
            rows.append(shared | row | {"p": p_values[row["target"], row["metric"]]})
    return _corrected(sorted_table(rows, COLUMNS))


def seed_differences(
    tables: Mapping[Method, Tables], labels: Mapping[str, str], replicates: int, seed: int
) -> pd.DataFrame:
    """Measure all comparisons once more for each training seed, as if no other had been run.

    Only by CCC, which is what the claims are judged by, and without p values: all of it would double the time.

    Parameters
    ----------
    tables, labels, replicates, seed
        As `paired_differences` takes them.

    Returns
    -------
    DataFrame
        `SEED_COLUMNS`, for data sets with several training seeds.
    """
    rows = []
    for training, own in one_seed_tables(tables):
        for shared, first, second in _pairs(own, labels):
            found = _compare(first, second, replicates, seed, only_ccc=True)
            rows += [shared | {"seed": training} | row for row in found]
    return sorted_table(rows, SEED_COLUMNS)


def _pairs(tables: Mapping[Method, Tables], labels: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], Cell, Cell]]:
    """Yield what stands in every row of a comparison, and the two methods over the seeds and folds of both."""
    for method, reference in comparisons(tables):
        cells = common_cells([method, reference], tables)
        if cells is None:
            continue
        shared = {"dataset": method.dataset, "method": method.method, "lasso": method.lasso, "rank": method.rank}
        shared |= {"variant": method.variant, "reference": reference.method, "label": labels[method.dataset]}
        shared |= {"reference_variant": reference.variant, "n_seeds": len(cells[0].seeds)}
        shared |= {"n_clusters": len(cells[0].clusters), "interval": what_varies(cells[0])}
        yield shared, cells[0], cells[1]


def _compared(method: Method, reference: Method, rivals: list[Method]) -> bool:
    """Whether this pair belongs into the table."""
    if reference.rank not in ("", _rank(method, rivals)):
        return False
    if (
        method.variant
        and not reference.variant
        and (method.method, method.lasso) == (reference.method, reference.lasso)
    ):
        return True
    if reference.lasso != 0:
        return False
    first, second = (method.kind, method.stage), (reference.kind, reference.stage)
    if method.dataset == "affectnet":
        pairs = {(("cp", "static"), ("dense", "static")), (("cp", "lasso"), ("cp", "static"))}
        return method.variant == reference.variant and (first, second) in pairs
    base = "frames" if any(rival.stage == "frames" for rival in [*rivals, method]) else "static"
    if second == ("cp", base) and not reference.variant:
        return True
    same = reference.variant == method.variant or (not method.variant and reference.variant.startswith(LONGER))
    is_joint = first == ("cp", "joint") and method.lasso == 0 and same
    return is_joint and (reference.stage == "scratch" or reference.stage.endswith("_smoothed"))


def _rank(method: Method, rivals: list[Method]) -> str:
    ranks = sorted({rival.rank for rival in rivals} - {""})
    return method.rank or ("same" if "same" in ranks else next(iter(ranks), ""))


def _compare(first: Cell, second: Cell, replicates: int, seed: int, *, only_ccc: bool = False) -> list[dict[str, Any]]:
    """Difference, interval and effect size of each target and metric."""
    statistic, metrics = (CCC, METRICS[-1:]) if only_ccc else (POOLED, METRICS)
    # The same draws for every pair of a dataset: no row depends on which other rows there are.
    dataset = first.method.dataset
    weights = bootstrap_weights(first.strata, replicates, generator(seed, use="bootstrap", dataset=dataset))
    rows = []
    for i, target in enumerate(TARGETS):
        resampled = resample(np.stack([first.sums[i], second.sums[i]]), CONTRAST, weights, first.strata, statistic)
        draws = generator(seed, use="seeds", dataset=dataset) if len(first.seeds) >= SEEDS_NEEDED else None
        low, high = studentized_interval(resampled, single=False, generator=draws)
        columns = {"difference": resampled.estimate, "low": low, "high": high, "effect_size": resampled.effect_size}
        for j, metric in enumerate(metrics):
            values = {name: float(column[j]) for name, column in columns.items()}
            rows.append({"target": target, "metric": metric} | values)
    return rows


def _test(first: Cell, second: Cell, replicates: int, seed: int) -> dict[tuple[str, str], float]:
    """Return the p value of each target and metric."""
    found: dict[tuple[str, str], float] = {}
    for i, target in enumerate(TARGETS):
        swaps = generator(seed, use="swaps", dataset=first.method.dataset)
        p_values = swap_p_values(first.sums[i], second.sums[i], replicates, swaps)
        found |= {(target, metric): float(p) for metric, p in zip(METRICS, p_values, strict=True)}
    return found


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    table["p_holm"] = table["p_holm"].astype(np.float64)
    for _, family in table.groupby(["dataset", "metric"]):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy(np.float64))
        table.loc[family.index, "n_comparisons"] = len(family)
    table["n_comparisons"] = table["n_comparisons"].astype(np.int64)
    return table
