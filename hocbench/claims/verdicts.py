"""From evidence to verdicts, by rules that know nothing of what they judge."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from hocbench.claims.quantities import NO_DATA
from hocbench.claims.schema import Claim, Claims
from hocbench.metrics.records import known_metrics

CLAIM_COLUMNS = [
    *("claim", "title", "statement", "dataset", "verdict", "reason", "would_change", "protocol", "source", "status"),
    *("since", "n_seeds", "label"),
]
REPRODUCED, NOT_REPRODUCED, BETTER = "reproduced", "not reproduced", "better than published"
INCONCLUSIVE, NOT_RUN = "inconclusive", "not run"
HOLDS, DOES_NOT_HOLD = "holds on synthetic data", "does not hold on synthetic data"


def verdict_table(claims: Claims, evidence: pd.DataFrame) -> pd.DataFrame:
    """Judge every claim on every data set that it is about, by a table of `hocbench.claims.evidence.evidence_table`.

    Returns
    -------
    DataFrame
        `CLAIM_COLUMNS`, a row per claim and data set; data set "" where none is needed.
    """
    rows = []
    for claim, dataset, asked, label in questions(claims, evidence):
        verdict, reason = judge(asked, label, combine=claim.combine, seeds_needed=claims.seeds_needed)
        seeds = asked.loc[asked["n_seeds"] > 0, "n_seeds"]
        rows.append(
            _description(claim)
            | {"dataset": dataset, "verdict": verdict, "reason": reason, "label": label}
            | {"n_seeds": int(seeds.min()) if len(seeds) else 0}
        )
    return pd.DataFrame(rows, columns=CLAIM_COLUMNS)


def questions(claims: Claims, evidence: pd.DataFrame) -> Iterator[tuple[Claim, str, pd.DataFrame, str]]:
    """Yield every claim with every data set that it is about: the rows of evidence, and the label of the data."""
    for claim in claims.claims:
        for dataset in dict.fromkeys(dataset for test in claim.tests for dataset in test.datasets):
            rows = evidence[(evidence["claim"] == claim.id) & (evidence["dataset"] == dataset)]
            yield claim, dataset, rows, next((str(label) for label in rows["label"] if label), "")


def judge(evidence: pd.DataFrame, label: str, *, combine: str, seeds_needed: int) -> tuple[str, str]:
    """Judge one claim on one data set by its rows of evidence.

    Parameters
    ----------
    evidence : DataFrame
        Its rows.
    label : str
        "real", "synthetic", or "none" where nothing was measured on data. Synthetic data never reproduce anything.
    combine : {"all", "any"}
        Whether every row has to lie inside its range, or all rows of one LASSO weight.
    seeds_needed : int
        With fewer, a claim on real data stays inconclusive.

    Returns
    -------
    verdict, reason : str
        One of the constants of this module; the reason counts the rows and names those that decide.
    """
    judged = evidence[evidence["judged"] == 1]
    present = judged[judged["outcome"] != "missing"]
    if present.empty:
        compared = judged[judged["reference"] != ""]
        lacking = [f"{row['title']} against {row['reference_title']}" for _, row in compared.iterrows()]
        names = f": {'; '.join(dict.fromkeys(lacking))}" if lacking else ""
        return NOT_RUN, f"none of the {len(judged)} comparisons could be made{names}"
    reason = _reason(judged) + _beside(evidence)
    verdict = _all_rows(judged)
    if combine == "any":
        verdict, enough = _any_weight(judged)
        reason = f"{enough}; {reason}"
    if verdict == INCONCLUSIVE or label == NO_DATA:
        return verdict, reason
    if label != "real":
        return (HOLDS if verdict == REPRODUCED else DOES_NOT_HOLD), reason
    seeds = present.loc[present["n_seeds"] > 0, "n_seeds"]
    if len(seeds) and seeds.min() < seeds_needed:
        return INCONCLUSIVE, f"{int(seeds.min())} of the {seeds_needed} seeds that a verdict needs; {reason}"
    return verdict, reason


def _all_rows(judged: pd.DataFrame) -> str:
    outside = judged[judged["outcome"].str.startswith("outside")]
    inside = (judged["outcome"] == "inside").sum()
    if len(outside):
        beaten = all(_is_better(row) for _, row in outside.iterrows()) and inside + len(outside) == len(judged)
        return BETTER if beaten else NOT_REPRODUCED
    return REPRODUCED if inside == len(judged) else INCONCLUSIVE


def _any_weight(judged: pd.DataFrame) -> tuple[str, str]:
    """Return the verdict where one LASSO weight is enough, and which is."""
    verdicts = {weight: _all_rows(rows) for weight, rows in judged.groupby("lasso", dropna=False)}
    enough = [format(weight, "g") for weight, verdict in verdicts.items() if verdict == REPRODUCED]
    if enough:
        return REPRODUCED, f"one LASSO weight is enough, and every range is met by {', '.join(enough)}"
    verdict = INCONCLUSIVE if INCONCLUSIVE in verdicts.values() else NOT_REPRODUCED
    return verdict, "one LASSO weight would be enough, and none meets every range"


def _is_better(row: "pd.Series[Any]") -> bool:
    """Whether a score lies beyond its published one on the good side; other ranges have no better side."""
    if row["statistic"] != "score":
        return False
    is_good_small = known_metrics()[row["metric"]].better == "low"
    return str(row["outcome"]) == ("outside below" if is_good_small else "outside above")


def _reason(judged: pd.DataFrame) -> str:
    counts = judged["outcome"].value_counts()
    parts = [f"{counts.get('inside', 0)} of {len(judged)} comparisons inside their range"]
    for outcome in ("outside below", "outside above", "on the edge", "no interval", "missing"):
        names = [_name(row) for _, row in judged[judged["outcome"] == outcome].iterrows()]
        if names:
            parts.append(f"{outcome.capitalize()}: " + "; ".join(dict.fromkeys(names)))
    return ". ".join(parts)


def _beside(evidence: pd.DataFrame) -> str:
    """Name what is shown beside the judged rows, so that no verdict is read without its controls."""
    controls = evidence[evidence["outcome"] == "shown"]
    names = []
    for (note, title, reference), rows in controls.groupby(["note", "title", "reference_title"], sort=False):
        values = ", ".join(_quantity(row) for _, row in rows.iterrows())
        names.append(f"{note}: {title} against {reference}, {values}")
    return ". Beside it, " + "; ".join(names) if names else ""


def _name(row: "pd.Series[Any]") -> str:
    weight = "" if np.isnan(row["lasso"]) or not row["lasso"] else f" at LASSO {row['lasso']:g}"
    against = f" against {row['reference_title']}" if row["reference"] else ""
    quantity = _quantity(row)
    return f"{row['title']}{weight}{against}" + (f", {quantity}" if quantity else "")


def _quantity(row: "pd.Series[Any]") -> str:
    """Name what was measured, with its value and interval."""
    value = "" if np.isnan(row["value"]) else f" {row['value']:.3g}"
    if not np.isnan(row["low"]) and row["low"] != row["high"]:
        value += f" [{row['low']:.3g}, {row['high']:.3g}]"
    metric = known_metrics().get(row["metric"])
    parts = (row["target"], metric.title if metric else row["metric"])
    return " ".join(part for part in parts if part) + value


def _description(claim: Claim) -> dict[str, Any]:
    keys = ("title", "statement", "would_change", "protocol", "source", "status")
    return {"claim": claim.id, "since": claim.since.isoformat()} | {key: getattr(claim, key).strip() for key in keys}
