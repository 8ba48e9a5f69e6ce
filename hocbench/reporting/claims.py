"""The page of verdicts: what each claim comes to, and the numbers behind it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench import paths
from hocbench.claims.by_seed import by_seed
from hocbench.claims.evidence import evidence_table
from hocbench.claims.margins import margin_table
from hocbench.claims.results import read_results
from hocbench.claims.schema import load_claims
from hocbench.claims.verdicts import verdict_table
from hocbench.evaluation import files
from hocbench.experiment.description import Description, RowKey
from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.reporting.margins import MARGIN_HEADER, MARGIN_NOTE, SINCE_NOTE, margin_cells, of_what_was_run, short
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.pages import METHOD, Block, Heading, Page, Table
from hocbench.reporting.text import dataset_title, interval_text, number, p_text, synthetic_mark, verdict_text


def write_claims(evaluation: Path, tables: Path, out: Path) -> pd.DataFrame:
    """Judge the paper's claims and write ``claims.csv``, ``evidence.csv``, ``margins.csv``, a page, and last the seal.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    tables : Path
        Folder with the counts of `hocbench counts`.
    out : Path
        Folder of the files; made if need be.

    Returns
    -------
    DataFrame
        The verdicts.
    """
    claims = load_claims()
    results = read_results(evaluation, tables)
    evidence = evidence_table(claims, results)
    verdicts = verdict_table(claims, evidence)
    verdicts["by_seed"] = by_seed(claims, results, verdicts)
    margins = margin_table(claims, evidence)
    page = claims_page(verdicts, evidence, margins, results.description)
    with staged(out, "claims") as folder:
        files.write_csv(verdicts, folder / "claims.csv")
        files.write_csv(evidence, folder / "evidence.csv")
        files.write_csv(margins, folder / "margins.csv")
        write_text(page.markdown(), folder / "claims.md")
        write_text(page.html("Verdicts"), folder / "claims.html")
        write_text(sealed({"files": hashes_of(folder, paths.CLAIM_FILES[:-1])}), folder / "claims.json")
    return verdicts


def claims_page(
    verdicts: pd.DataFrame, evidence: pd.DataFrame, margins: pd.DataFrame, description: Description
) -> Page:
    """Write the verdicts, what they hang on, then the evidence claim by claim.

    Parameters
    ----------
    verdicts, evidence, margins : DataFrame
        From `hocbench.claims.verdicts`, `hocbench.claims.evidence` and `hocbench.claims.margins`; the
        verdicts with their column ``by_seed``.
    description : Description
        The profile, and the rank that the claims are judged at.
    """
    several = f" of {', '.join(description.ranks)}" if len(description.ranks) > 1 else ""
    caption = (
        f"{synthetic_mark(verdicts, 'SYNTHETIC data: no verdict here is about real faces.')}Profile "
        f"{escape(description.profile)}, width {description.width}. Factorized networks are judged at rank "
        f"{description.rank}{several}. A claim holds "
        "if the whole 95 % interval of each comparison lies within the range of claims.yaml, fails if one lies wholly "
        "outside, and is inconclusive otherwise; *reproduced* needs real data and five training seeds, or no data at "
        "all. **The ranges were fixed after the embedded profile had been seen**, so they were written beforehand for "
        f"the profiles full and paper only. {SINCE_NOTE} Intervals are over test subjects (images), conditional on the "
        "seeds where there are fewer than five."
    )
    lines = [
        [
            *(row["claim"], row["title"], dataset_title(row["dataset"], description), verdict_text(row["verdict"])),
            *(str(row["n_seeds"] or "-"), short(row["by_seed"]) or "-", row["since"], row["reason"]),
        ]
        for row in records(verdicts)
    ]
    blocks: list[Block] = [
        caption,
        Table(["", "claim", "data", "verdict", "seeds", "by seed", "since", "why"], lines),
    ]
    blocks += _margins_section(margins, description)
    for claim in dict.fromkeys(verdicts["claim"]):
        judged, behind = (table[table["claim"] == claim] for table in (verdicts, evidence))
        blocks += _claim_section(judged.iloc[0], behind, description)
    return Page("Verdicts", blocks)


def _margins_section(margins: pd.DataFrame, description: Description) -> list[Block]:
    lines = [
        [
            *(row["claim"], dataset_title(row["dataset"], description), verdict_text(row["verdict"])),
            *margin_cells(row, description),
        ]
        for row in of_what_was_run(margins)
    ]
    return [Heading("What the verdicts hang on"), MARGIN_NOTE, Table(["", "data", "verdict", *MARGIN_HEADER], lines)]


def _claim_section(first: "pd.Series[Any]", evidence: pd.DataFrame, description: Description) -> list[Block]:
    return [
        Heading(f"{first['claim']}: {first['title']}"),
        f"{first['statement']} ({first['source']}; status {first['status']}.)",
        f"*Protocol:* {first['protocol']}",
        f"*What would change the verdict:* {first['would_change']}",
        evidence_rows(evidence, description),
    ]


def evidence_rows(evidence: pd.DataFrame, description: Description) -> Table:
    """Write rows of evidence, each with the key of the row of scores that it is about."""
    header = ["data", METHOD, "rank", "against", "LASSO", "quantity", "value [95 %]", "p (Holm)", "range", "seeds"]
    rows = records(evidence)
    shared = {"factorization": description.factorization, "ablation": ""}
    keys = [RowKey.read(row | (shared if row["rank"] else dict.fromkeys(shared, ""))) for row in rows]
    return Table([*header, "outcome"], [_evidence_line(row, description) for row in rows], keys)


def _evidence_line(row: dict[str, Any], description: Description) -> list[str]:
    against = row["reference_title"]
    if not np.isnan(row["published"]):
        against += f", published {row['published']:g} ({row['status']})"
    quantity = f"{row['target']} {row['metric'].upper()}" if row["target"] else row["metric"]
    outcome = f"{row['outcome']} ({row['note']})" if row["note"] else row["outcome"]
    return [
        dataset_title(row["dataset"], description),
        row["title"] or "-",
        row["rank"] or "-",
        against or "-",
        number(row["lasso"], "g"),
        quantity,
        value_text(row) if row["outcome"] not in ("real data only", "unverified") else "-",
        p_text(row["p_holm"]),
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
    return interval_text(row["value"], row["low"], row["high"])


def range_text(low: float, high: float) -> str:
    """Write the range that a value has to lie in."""
    if np.isnan(low) and np.isnan(high):
        return "-"
    if np.isinf(high):
        return f"≥ {low:g}"
    return f"≤ {high:g}" if np.isinf(low) else f"{low:g} to {high:g}"
