"""The page of verdicts: what each claim comes to, and the numbers behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench import paths
from hocbench.datasets.contract import write_text
from hocbench.evaluation import files
from hocbench.evaluation.claims import load_claims
from hocbench.evaluation.evidence import evidence_table
from hocbench.evaluation.measured import read_results
from hocbench.evaluation.verdicts import verdict_table
from hocbench.reporting.markdown import markdown_table, records, to_html
from hocbench.reporting.names import dataset_name, verdict_text
from hocbench.seals import hashes_of, sealed
from hocbench.staging import staged


def write_claims(evaluation: Path, tables: Path, out: Path, setting: dict[str, Any]) -> pd.DataFrame:
    """Judge the paper's claims and write ``claims.csv``, ``evidence.csv``, a page, and last the seal.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    tables : Path
        Folder with the counts of `hocbench counts`.
    out : Path
        Folder of the files; made if need be.
    setting : dict
        profile, width, crop_size and rank, for the caption.

    Returns
    -------
    DataFrame
        The verdicts.
    """
    claims = load_claims()
    evidence = evidence_table(claims, read_results(evaluation, tables))
    verdicts = verdict_table(claims, evidence)
    page = claims_page(verdicts, evidence, setting)
    with staged(out, "claims") as folder:
        files.write_csv(verdicts, folder / "claims.csv")
        files.write_csv(evidence, folder / "evidence.csv")
        write_text(page, folder / "claims.md")
        write_text(to_html(page, "Verdicts"), folder / "claims.html")
        write_text(sealed({"files": hashes_of(folder, paths.CLAIM_FILES[:-1])}), folder / "claims.json")
    return verdicts


def claims_page(verdicts: pd.DataFrame, evidence: pd.DataFrame, setting: dict[str, Any]) -> str:
    """Write the verdicts in Markdown, then the evidence claim by claim.

    Parameters
    ----------
    verdicts, evidence : DataFrame
        From `hocbench.evaluation.verdicts` and `hocbench.evaluation.evidence`.
    setting : dict
        profile, width, crop_size and rank.
    """
    synthetic = (verdicts["label"] == "synthetic").any()
    caption = (
        f"{'**SYNTHETIC data: no verdict here is about real faces.** ' if synthetic else ''}Profile "
        f"{setting['profile']}, width {setting['width']}, ranks {', '.join(map(str, setting['rank']))}. A claim holds "
        "if the whole 95 % interval of each comparison lies within the range of claims.yaml, fails if one lies wholly "
        "outside, and is inconclusive otherwise; *reproduced* needs real data and five training seeds, or no data at "
        "all. **The ranges were fixed after the embedded profile had been seen**, so they were written beforehand for "
        "the profiles full and paper only. Intervals are over test subjects (images), conditional on the seeds where "
        "there are fewer than five."
    )
    lines = [
        [
            *(row["claim"], row["title"], dataset_name(row["dataset"]), verdict_text(row["verdict"])),
            *(str(row["n_seeds"] or "-"), row["reason"]),
        ]
        for row in records(verdicts)
    ]
    parts = ["# Verdicts", caption, markdown_table(["", "claim", "data", "verdict", "seeds", "why"], lines)]
    for claim in dict.fromkeys(verdicts["claim"]):
        parts += _claim_section(verdicts[verdicts["claim"] == claim], evidence[evidence["claim"] == claim])
    return "\n\n".join(parts) + "\n"


def _claim_section(verdicts: pd.DataFrame, evidence: pd.DataFrame) -> list[str]:
    first = verdicts.iloc[0]
    about = (
        f"{first['statement']} ({first['source']}; status {first['status']}.)\n\n*Protocol:* {first['protocol']}\n\n"
        f"*What would change the verdict:* {first['would_change']}"
    )
    header = ["data", "method", "against", "LASSO", "quantity", "value [95 %]", "p (Holm)", "range", "seeds", "outcome"]
    lines = [_evidence_line(row) for row in records(evidence)]
    return [f"## {first['claim']}: {first['title']}", about, markdown_table(header, lines)]


def _evidence_line(row: dict[str, Any]) -> list[str]:
    published = not np.isnan(row["published"])
    against = f"{row['reference']}, published {row['published']:g} ({row['status']})" if published else row["reference"]
    quantity = f"{row['target']} {row['metric'].upper()}" if row["target"] else row["metric"]
    outcome = f"{row['outcome']} ({row['note']})" if row["note"] else row["outcome"]
    return [
        dataset_name(row["dataset"]),
        row["method"] or "-",
        against or "-",
        "-" if np.isnan(row["lasso"]) else f"{row['lasso']:g}",
        quantity,
        value_text(row) if row["outcome"] not in ("real data only", "unverified") else "-",
        "-" if np.isnan(row["p_holm"]) else f"{row['p_holm']:.3f}",
        range_text(row["tolerance_low"], row["tolerance_high"]),
        str(row["n_seeds"] or "-"),
        outcome,
    ]


def value_text(row: dict[str, Any]) -> str:
    """Write a value with its interval, unless it is exact."""
    if np.isnan(row["value"]):
        return "missing"
    if np.isnan(row["low"]) or row["low"] == row["high"]:
        return f"{row['value']:.4g}"
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def range_text(low: float, high: float) -> str:
    """Write the range that a value has to lie in."""
    if np.isnan(low) and np.isnan(high):
        return "-"
    if np.isinf(high):
        return f"≥ {low:g}"
    return f"≤ {high:g}" if np.isinf(low) else f"{low:g} to {high:g}"
