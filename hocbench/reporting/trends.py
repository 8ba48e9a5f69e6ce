"""The page of trends along the LASSO weights and ranks of the sweep."""

from dataclasses import replace

import pandas as pd

from hocbench.experiment.description import Description, RowKey
from hocbench.metrics.records import PRIMARY
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.pages import Page, Table
from hocbench.reporting.text import ALL_METRICS, clusters_of, interval_text, metric_titles, p_text, synthetic_mark

AXES = {"lasso": "LASSO weight", "rank": "rank"}


def trend_page(table: pd.DataFrame, description: Description) -> Page:
    """Write the slopes of the primary scores along each axis of the sweep.

    Parameters
    ----------
    table : DataFrame
        ``trends.csv`` of an evaluation.
    description : Description
        The profile, and what methods are called.
    """
    title = "Trends along the sweep"
    shown = table[table["metric"].isin(PRIMARY.values())]
    if shown.empty:
        return Page(
            title, ["The sweep has a single LASSO weight and a single rank, so that there is no trend to test."]
        )
    name = metric_titles(shown)
    caption = (
        f"{synthetic_mark(shown)}Profile {escape(description.profile)}. Slope: least squares, {name} per "
        "step from one level to the next, mean over seeds; 95 % studentised interval from resampling "
        f"{clusters_of(shown, description)}. p: the levels' outputs exchanged within subjects, two-sided, "
        "Holm-corrected over the rows of one dataset and axis. A trend need not be a straight line; the tables of "
        "scores show each level."
    )
    ablated, several = (shown["ablation"] != "").any(), len(description.ranks) > 1
    header = ["dataset", "method", *(["rank"] if several else []), *(["ablation"] if ablated else [])]
    header += ["along", "levels", "target", f"slope of {name} [95 %]", "p (Holm)", "seeds"]
    lines, keys = [], []
    for row in records(shown):
        key = RowKey.read(row)
        # A slope along the weights leads to the runs that it starts from, which are those without LASSO.
        keys.append(replace(key, lasso=0.0))
        names = [key.dataset, escape(description.title(key)), *([key.rank or "-"] if several else [])]
        lines.append(
            [
                *names,
                *([escape(key.ablation) or "-"] if ablated else []),
                AXES[row["axis"]],
                row["levels"].replace(";", ", "),
                row["target"],
                interval_text(row["slope"], row["low"], row["high"], signed=True),
                p_text(row["p_holm"]),
                str(row["n_seeds"]),
            ]
        )
    note = f"Shown: {name}. {ALL_METRICS}"
    return Page(title, [caption, Table(header, lines, keys), note])
