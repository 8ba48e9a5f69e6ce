"""What became of each claim, and the evidence behind it."""

from dataclasses import dataclass
from typing import Any

from hocbench.reporting.claims import evidence_rows
from hocbench.reporting.html.inputs import ReportData
from hocbench.reporting.margins import margin_cells, of_what_was_run
from hocbench.reporting.markdown import records
from hocbench.reporting.pages import Table

FURTHER = {"statistic": "statistic", "n_clusters": "clusters", "label": "from"}  # columns that only the report has


@dataclass(frozen=True)
class JudgedClaim:
    """A row of ``claims.csv``, and the evidence behind it, if there is any."""

    row: dict[str, Any]
    evidence: Table | None


def judged_claims(data: ReportData) -> list[JudgedClaim]:
    """List the verdicts with all evidence about their data, or about the claim where none is about these."""
    claims = []
    for row in records(data.claims):
        rows = data.evidence[data.evidence["claim"] == row["claim"]]
        of_dataset = rows["dataset"] == row["dataset"]
        rows = rows[of_dataset] if of_dataset.any() else rows
        table = evidence_rows(rows, data.description)
        lines = [
            [*line, *(str(cells[name]) for name in FURTHER)]
            for line, cells in zip(table.rows, records(rows), strict=True)
        ]
        wide = Table([*table.header, *FURTHER.values()], lines, table.keys)
        claims.append(JudgedClaim(row, wide if lines else None))
    return claims


def shown_margins(data: ReportData) -> list[tuple[dict[str, Any], list[str]]]:
    """List at which bounds of their ranges the verdicts would flip: rows of ``margins.csv``, and cells about them."""
    return [(row, margin_cells(row, data.description)) for row in of_what_was_run(data.margins)]
