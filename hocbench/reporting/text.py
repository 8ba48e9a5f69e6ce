"""How numbers, rows and kinds of data are written wherever people read them."""

import math

import pandas as pd

from hocbench.experiment.description import Description, RowKey
from hocbench.experiment.records import BUILT_IN
from hocbench.metrics.records import known_metrics

ALL_METRICS = "The CSV beside this page holds all metrics."

# Of a verdict, told apart without colour.
SYMBOLS = {
    "reproduced": "✔",
    "better than published": "✔",
    "holds on synthetic data": "✔",
    "not reproduced": "✘",
    "does not hold on synthetic data": "✘",
    "inconclusive": "?",
    "not run": "–",
}


def verdict_text(verdict: str) -> str:
    """Return a verdict after its symbol, which is a dot for one that is not known."""
    return f"{SYMBOLS.get(verdict, '•')} {verdict}"


def p_text(p: float) -> str:
    """Write a p value with three decimals; a smaller one as a bound, an absent one as a dash.

    >>> p_text(0.0004), p_text(0.0234), p_text(float("nan"))
    ('< 0.001', '0.023', '-')
    """
    return "< 0.001" if p < 0.0005 else number(p, ".3f")


def interval_text(value: float, low: float, high: float, *, signed: bool = False) -> str:
    """Write a number with its interval, if it has one.

    >>> interval_text(0.5, 0.41, 0.6), interval_text(0.1, float("nan"), 0.2, signed=True)
    ('0.500 [0.410, 0.600]', '+0.100')
    """
    form = "+.3f" if signed else ".3f"
    return f"{value:{form}}" + ("" if math.isnan(low) else f" [{low:{form}}, {high:{form}}]")


def metric_titles(table: pd.DataFrame) -> str:
    """Name the metrics of a table: "CCC", or "CCC or AUC" where datasets have different tasks."""
    return " or ".join(metric.title for metric in known_metrics().values() if metric.id in set(table["metric"]))


def number(value: float, form: str) -> str:
    """Write a number, a dash where there is none.

    >>> number(0.25, ".0%"), number(float("nan"), ".3f")
    ('25%', '-')
    """
    return "-" if math.isnan(value) else format(value, form)


def synthetic_mark(table: pd.DataFrame, words: str = "SYNTHETIC data.") -> str:
    """Return what has to stand before a table some of whose rows are of synthetic data, "" if none is."""
    return f"**{words}** " if (table["label"] == "synthetic").any() else ""


def clusters_of(table: pd.DataFrame, description: Description) -> str:
    """Say what intervals of a table are over: "subjects", or "subjects (images on AffectNet)"."""
    datasets = [description.datasets[name] for name in dict.fromkeys(table["dataset"])]
    images = [dataset.title for dataset in datasets if dataset.cluster == "image"]
    if images and len(images) == len(datasets):
        return "images"
    return f"subjects (images on {', '.join(images)})" if images else "subjects"


def dataset_title(name: str, description: Description) -> str:
    """Return what people read for a dataset, also one that is not in the experiment; a dash where none is needed."""
    dataset = description.datasets.get(name) or BUILT_IN.get(name)
    return dataset.title if dataset else name or "-"


def row_name(key: RowKey, description: Description, *, several_ranks: bool) -> str:
    """Name a row by its method and what tells it from others: LASSO weight, rank, ablation."""
    title = description.title(key)
    lasso = f", LASSO {key.lasso:g}" if key.lasso else ""
    rank = f", rank {key.rank}" if several_ranks and key.rank else ""
    ablation = f", {key.ablation}" if key.ablation else ""
    return (title.removesuffix(", LASSO") if lasso else title) + lasso + rank + ablation
