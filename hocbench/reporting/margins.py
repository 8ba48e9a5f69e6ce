"""Words for what the verdicts hang on, for the page of verdicts and the report."""

from typing import Any

import pandas as pd

from hocbench.experiment.description import Description, RowKey
from hocbench.metrics.records import known_metrics
from hocbench.reporting.markdown import records

SINCE_NOTE = (
    "“Since” is the day on which a claim's ranges were last changed: only runs of a later day are judged by ranges "
    "written before them. “By seed” is the verdict if that training seed alone had been run, and one were enough."
)
MARGIN_HEADER = ("what is compared", "range", "tighter", "wider")
MARGIN_NOTE = (
    "One bound is moved and all others stay. “Tighter”: the verdict once the bound lies beyond the number, and "
    "“wider”: from the number on; “never”: no bound in this direction changes the verdict. ± is a margin around a "
    "published number, or around 0, whose two sides move as one. The numbers are limits of intervals, not the result "
    "of a search; margins.csv has them with ten digits. What is not judged, or not run, is left out."
)
# Of a side of a range: how it is written, and how one that is tighter.
SIDES = {"at_least": ("≥", "above"), "at_most": ("≤", "below"), "margin": ("±", "below ±")}


def of_what_was_run(margins: pd.DataFrame) -> list[dict[str, Any]]:
    """List the rows of ``margins.csv`` that are shown: where nothing was measured, no range matters."""
    return records(margins[margins["verdict"] != "not run"])


def margin_cells(row: dict[str, Any], description: Description) -> list[str]:
    """Write what a row of ``margins.csv`` is about, its bound, and the verdicts of tighter and wider ones.

    Numbers may be text, as they are in the file.
    """
    metric = known_metrics().get(row["metric"])
    quantity = metric.title if metric else row["metric"]
    keys = [RowKey("", name, description.factorization) for name in (row["method"], row["reference"]) if name]
    names = " against ".join(map(description.title, keys))
    what = f"difference of {quantity}" if row["statistic"] == "difference" else quantity
    side, tighter = SIDES[row["side"]]
    flips = [
        f"{sign} {float(row[f'{way}_bound']):.4g}: {short(row[f'{way}_verdict'])}" if row[f"{way}_verdict"] else "never"
        for way, sign in (("tighter", tighter), ("wider", side))
    ]
    return [f"{names}, {what}", f"{side} {float(row['bound']):g}", *flips]


def short(verdicts: str) -> str:
    """Leave out what every verdict on synthetic data says."""
    return verdicts.replace(" on synthetic data", "")
