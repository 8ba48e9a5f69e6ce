"""The numbers that each claim rests on, one row per comparison, each with the range that it has to lie in."""

from typing import Any

import numpy as np
import pandas as pd

from hocbench.claims.quantities import ROWS
from hocbench.claims.results import Results
from hocbench.claims.schema import Claims

EVIDENCE_COLUMNS = [
    *("claim", "test", "dataset", "statistic", "method", "reference", "rank", "lasso", "target", "metric"),
    *("value", "low", "high", "p_holm", "tolerance_low", "tolerance_high", "published", "status"),
    *("n_seeds", "n_clusters", "judged", "outcome", "note", "label", "title", "reference_title"),
]
EMPTY: dict[str, Any] = dict.fromkeys(("value", "low", "high", "p_holm", "published"), np.nan) | {
    **dict.fromkeys(
        ("method", "reference", "title", "reference_title", "rank", "target", "metric", "status", "note"), ""
    ),
    **{"lasso": np.nan, "n_seeds": 0, "n_clusters": 0},
}


def evidence_table(claims: Claims, results: Results) -> pd.DataFrame:
    """Look up or compute every quantity that a claim rests on.

    Returns
    -------
    DataFrame
        `EVIDENCE_COLUMNS`, in the order of the claims. `test` is the ordinal of the test within its claim; `outcome` is
        where the interval lies: "inside", "outside above", "outside below", "on the edge", "no interval", "missing",
        "real data only" for a published score beside SYNTHETIC data, "unverified" for one without a source, or "shown"
        for a row that is not judged.
    """
    rows = []
    for claim in claims.claims:
        for place, test in enumerate(claim.tests, 1):
            for dataset in test.datasets:
                key = {"claim": claim.id, "test": place, "dataset": dataset, "statistic": test.statistic}
                rows += [EMPTY | key | row for row in ROWS[test.statistic](test, dataset, results)]
    for row in rows:
        row |= _judge(row) | {"title": results.title(row["method"]), "reference_title": results.title(row["reference"])}
    table = pd.DataFrame(rows, columns=EVIDENCE_COLUMNS)
    return table.astype(dict.fromkeys(("test", "n_seeds", "n_clusters", "judged"), np.int64))


def place_of(low: float, high: float, tolerance_low: float, tolerance_high: float) -> str:
    """Return where an interval lies: inside a range, wholly above or below it, or across its edge."""
    if np.isnan(low) or np.isnan(high):
        return "no interval"
    if low > tolerance_high:
        return "outside above"
    if high < tolerance_low:
        return "outside below"
    return "inside" if low >= tolerance_low and high <= tolerance_high else "on the edge"


def _judge(row: dict[str, Any]) -> dict[str, Any]:
    if np.isnan(row["value"]):
        return {"outcome": "missing", "judged": int(row["judged"])}
    if not row["judged"]:
        return {"outcome": row.get("outcome", "shown"), "judged": 0}
    where = place_of(row["low"], row["high"], row["tolerance_low"], row["tolerance_high"])
    return {"outcome": where, "judged": 1}
