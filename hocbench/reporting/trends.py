"""The page of trends along the LASSO weights and ranks of the sweep."""

from typing import Any

import pandas as pd

from hocbench.reporting.markdown import markdown_table, records, with_variant

AXES = {"lasso": "LASSO weight", "rank": "rank"}


def trend_page(table: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Write the slopes of CCC along each axis of the sweep in Markdown.

    Parameters
    ----------
    table : DataFrame
        ``trends.csv`` of an evaluation.
    setting : dict
        profile, for the caption.
    """
    title = "# Trends along the sweep"
    shown = table[table["metric"] == "ccc"]
    if shown.empty:
        return f"{title}\n\nThe sweep has a single LASSO weight and a single rank, so that there is no trend to test.\n"
    synthetic = (shown["label"] == "synthetic").any()
    caption = (
        f"{'**SYNTHETIC data.** ' if synthetic else ''}Profile {setting['profile']}. Slope: least squares, CCC per "
        "step from one level to the next, mean over seeds; 95 % studentised interval from resampling subjects (images "
        "on AffectNet). p: the levels' outputs exchanged within subjects, two-sided, Holm-corrected over the rows of "
        "one dataset and axis. A trend need not be a straight line; the tables of scores show each level."
    )
    extra = with_variant(shown)
    header = ["dataset", "method", *extra, "along", "levels", "target", "slope of CCC [95 %]", "p (Holm)", "seeds"]
    lines = [
        [
            *(row[key] for key in ("dataset", "method", *extra)),
            AXES[row["axis"]],
            row["levels"].replace(";", ", "),
            row["target"],
            f"{row['slope']:+.3f}" + ("" if pd.isna(row["low"]) else f" [{row['low']:+.3f}, {row['high']:+.3f}]"),
            f"{row['p_holm']:.3f}" if row["p_holm"] >= 0.0005 else "< 0.001",
            str(row["n_seeds"]),
        ]
        for row in records(shown)
    ]
    note = "Shown: CCC. The CSV beside this page holds all metrics."
    return "\n\n".join([title, caption, markdown_table(header, lines), note]) + "\n"
