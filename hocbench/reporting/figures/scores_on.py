"""Scores of all networks on one dataset of clips, with what they cost."""

import pandas as pd

from hocbench.experiment.records import Dataset
from hocbench.reporting.figures.tables import Tables

NETWORK = ["method", "factorization", "rank", "lasso"]


def scores_on(tables: Tables, dataset: Dataset | None, costs: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return primary scores on a dataset in the order of legends, without ablations, with mean costs over runs."""
    table = tables.with_costs(tables.primary_scores(), costs, columns)
    table = table[(table["dataset"] == (dataset.name if dataset else "")) & (table["ablation"] == "")]
    order = table["method"].map(tables.place)
    return table.assign(place=order).sort_values(["place", "factorization", "rank", "lasso"], kind="stable")


def no_score(dataset: Dataset | None) -> str:
    """Say that there is no score on a dataset, or no dataset of clips."""
    return f"No score on {dataset.title if dataset else 'clips'}"
