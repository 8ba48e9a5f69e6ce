"""The quantities that claims are about, each as rows of evidence that are still to be judged."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from hocbench.claims.results import Results, published_counts, published_scores
from hocbench.claims.schema import VERIFIED, Test
from hocbench.errors import EvaluationError
from hocbench.evaluation.intervals import LEVEL, SEEDS_NEEDED

NO_DATA = "none"  # label of what is counted or calculated, not measured on data
Row = dict[str, Any]


def _limits(test: Test) -> Row:
    low = -np.inf if test.at_least is None else test.at_least
    high = np.inf if test.at_most is None else test.at_most
    judged = not test.shown
    limits = (low, high) if judged else (np.nan, np.nan)
    return {"tolerance_low": limits[0], "tolerance_high": limits[1], "judged": judged, "note": test.shown}


def _difference(test: Test, dataset: str, results: Results) -> Iterator[Row]:
    table = results.main(results.differences, dataset)
    table = table[(table["method"] == test.method) & (table["metric"] == test.metric)]
    table = table[(table["reference"] == test.reference) & (table["reference_ablation"] == "")]
    table = table[table["lasso"] > 0] if test.each_lasso else table[table["lasso"] == 0]
    shared = {"method": test.method, "reference": test.reference, "metric": test.metric} | _limits(test)
    for target in test.targets or results.targets(dataset):
        rows = table[table["target"] == target]
        if rows.empty:
            yield shared | {"target": target, "value": np.nan, "label": results.label(dataset)}
        for _, row in rows.iterrows():
            columns = ("rank", "lasso", "low", "high", "p_holm", "n_seeds", "n_clusters", "label")
            yield shared | {"target": target, "value": row["difference"]} | {key: row[key] for key in columns}


def _score(test: Test, dataset: str, results: Results) -> Iterator[Row]:
    table = results.main(results.intervals, dataset)
    table = table[(table["method"] == test.method) & (table["metric"] == test.metric)]
    table = table[(table["pooling"] == "pooled") & (table["lasso"] == 0)]
    known, label = published_scores(), results.label(dataset)
    for target in test.targets or results.targets(dataset):
        places = (known["dataset"] == dataset) & (known["method"] == test.published)
        cell = known[places & (known["target"] == target) & (known["metric"] == test.metric)]
        if cell.empty:
            raise EvaluationError(
                f"claims.yaml compares with {test.published!r}, {target} {test.metric} on {dataset}, which results.csv "
                "does not have; correct the name"
            )
        number, status = float(cell["value"].iloc[0]), str(cell["status"].iloc[0])
        margin = float(test.margin or 0)
        shared: Row = {"method": test.method, "reference": test.published, "metric": test.metric, "target": target}
        shared |= {"published": number, "status": status, "label": label, "value": np.nan}
        shared |= {"tolerance_low": number - margin, "tolerance_high": number + margin}
        # A verdict against a published number exists on real data only, and only where its source was seen.
        judged = label == "real" and status in VERIFIED
        shared |= {"judged": judged, "outcome": "unverified" if label == "real" else "real data only"}
        rows = table[table["target"] == target]
        if rows.empty or not judged:
            # Beside a published score no SYNTHETIC one may stand.
            yield shared | ({} if judged else {"value": number})
            continue
        columns = ("rank", "lasso", "low", "high", "n_seeds", "n_clusters")
        yield shared | {"value": rows["mean"].iloc[0]} | {key: rows[key].iloc[0] for key in columns}


def _parameters(test: Test, _: str, results: Results) -> Iterator[Row]:
    known = published_counts().set_index("network")
    if test.published not in known.index:
        raise EvaluationError(f"claims.yaml compares with {test.published!r}, which parameters.csv does not have")
    cell = known.loc[[test.published]]
    number, margin = float(cell["published_millions"].iloc[0]), float(test.margin or 0)
    value = _count(results, test.method) / 1e6
    row: Row = {"method": test.method, "reference": test.published, "published": number, "metric": "million parameters"}
    row |= {"status": str(cell["status"].iloc[0]), "label": NO_DATA, "judged": True}
    row |= {"tolerance_low": number - margin, "tolerance_high": number + margin}
    yield row | dict.fromkeys(("value", "low", "high"), value)


def _parameter_ratio(test: Test, _: str, results: Results) -> Iterator[Row]:
    value = _count(results, test.method) / _count(results, test.reference)
    row = {"method": test.method, "reference": test.reference, "metric": "parameters, ratio", "label": NO_DATA}
    yield row | _limits(test) | dict.fromkeys(("value", "low", "high"), value)


def _count(results: Results, network: str) -> float:
    if results.parameters is None:
        return np.nan
    counts = results.parameters.loc[results.parameters["network"] == network, "parameters"]
    return float(counts.iloc[0]) if len(counts) else np.nan


def _special_case(test: Test, _: str, results: Results) -> Iterator[Row]:
    row = {"method": test.method, "metric": "relative difference", "label": NO_DATA} | _limits(test)
    value, table = np.nan, results.special_cases
    if table is not None:
        rows = table[(table["block"] == test.method) & (table["activations_kept"] == "none")]
        value = float(rows["difference_mean"].iloc[0]) if len(rows) else np.nan
    yield row | dict.fromkeys(("value", "low", "high"), value)


def _removed_share(test: Test, dataset: str, results: Results) -> Iterator[Row]:
    shares = _per_seed(results, dataset, "removed", "network_parameters")
    shared = {"metric": "removed share of all parameters", "label": results.label(dataset)} | _limits(test)
    shared |= {"method": "lasso", "rank": results.description.rank}
    weights = [float(weight) for weight in shares.columns if float(weight) > 0]
    if not weights:
        yield shared | {"value": np.nan}
    for weight in weights:
        yield shared | {"lasso": weight} | over_seeds(shares[weight].dropna())


def _sparsity_step(test: Test, dataset: str, results: Results) -> Iterator[Row]:
    shares = _per_seed(results, dataset, "zeros", "components").dropna()
    weights = [float(weight) for weight in shares.columns]
    shared: Row = {"metric": "step of the share of zero λ", "label": results.label(dataset)} | _limits(test)
    shared |= {"method": "lasso", "rank": results.description.rank, "p_holm": _page_p_value(shares)}
    if len(weights) < 2 or shares.empty:
        yield shared | {"value": np.nan}
        return
    for lower, upper in pairwise(weights):
        steps = shares[upper] - shares[lower]
        yield shared | {"lasso": upper, "reference": f"LASSO {lower:g}"} | over_seeds(steps)


def _page_p_value(shares: pd.DataFrame) -> float:
    """Page's test for an ordered increase within seeds; it needs three weights and two seeds."""
    from scipy.stats import page_trend_test  # heavy, and of use here only

    if shares.shape[1] < 3 or shares.shape[0] < 2:
        return np.nan
    return float(page_trend_test(shares.to_numpy()).pvalue)


def _per_seed(results: Results, dataset: str, part: str, whole: str) -> pd.DataFrame:
    """Return a share by seed (rows) and LASSO weight (columns), of whole networks of the main rank."""
    table = results.sparsity
    table = table[(table["dataset"] == dataset) & (table["rank"] == results.description.rank)]
    groups = table.groupby(["seed", "lasso"])
    total = groups[whole].first() if whole == "network_parameters" else groups[whole].sum()
    return (groups[part].sum() / total).unstack("lasso").sort_index(axis=1)


def _time_ratio(test: Test, dataset: str, results: Results) -> Iterator[Row]:
    # Time on the clock depends on what else a machine does.
    column, device = ("gpu_s", "GPU") if _on_gpu(results) else ("training_cpu_s", "CPU")
    yield _cost_ratio(test, dataset, results, column, f"{device} seconds of the same training, ratio")


def _memory_ratio(test: Test, dataset: str, results: Results) -> Iterator[Row]:
    column = "peak_gpu_memory_mib" if _on_gpu(results) else "peak_memory_mib"
    yield _cost_ratio(test, dataset, results, column, "peak memory, ratio")


def _on_gpu(results: Results) -> bool:
    return bool((results.costs["gpu_s"] > 0).any())


def _cost_ratio(test: Test, dataset: str, results: Results, column: str, metric: str) -> Row:
    table = results.main(results.costs, dataset)
    table = table[table["lasso"] == 0]
    ours, theirs = (
        table[table["method"] == name].set_index(["seed", "fold"])[column].astype(float)
        for name in (test.method, test.reference)
    )
    ratios = (ours / theirs).dropna()
    shared = {"method": test.method, "reference": test.reference, "metric": metric, "label": results.label(dataset)}
    return shared | _limits(test) | (over_seeds(ratios) if len(ratios) else {"value": np.nan})


def over_seeds(values: "pd.Series[float]") -> Row:
    """Summarise values, one per seed and at least one.

    Returns
    -------
    dict
        value, the mean; low and high, Student's 95 % interval, or with fewer than `SEEDS_NEEDED` seeds the range, which
        note says; n_seeds.
    """
    count, mean = len(values), float(values.mean())
    if count < SEEDS_NEEDED:
        limits = {"low": float(values.min()), "high": float(values.max()), "note": "range over seeds"}
        return {"value": mean, "n_seeds": count} | limits
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count))
    return {"value": mean, "n_seeds": count, "low": mean - half, "high": mean + half}


ROWS: dict[str, Callable[[Test, str, Results], Iterator[Row]]] = {
    "difference": _difference,
    "score": _score,
    "parameters": _parameters,
    "parameter_ratio": _parameter_ratio,
    "removed_share": _removed_share,
    "sparsity_step": _sparsity_step,
    "special_case": _special_case,
    "time_ratio": _time_ratio,
    "memory_ratio": _memory_ratio,
}
