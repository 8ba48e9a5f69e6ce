"""``hocbench claims``: the paper's claims."""

import sys
from pathlib import Path


def claims(evaluation: Path, tables: Path, out: Path) -> None:
    """Judge the paper's claims by the result tables: OUT/claims.md, claims.html, claims.csv and evidence.csv."""
    from hocbench.reporting.claims import write_claims
    from hocbench.reporting.text import verdict_text

    for _, row in write_claims(evaluation, tables, out).iterrows():
        sys.stdout.write(f"{row['claim']} {row['dataset'] or '-'}: {verdict_text(row['verdict'])}\n")
