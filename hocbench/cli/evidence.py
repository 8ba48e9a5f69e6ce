"""``hocbench claims``: the paper's claims."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def claims(
    evaluation: Path,
    tables: Path,
    out: Path,
    setting: Annotated[str, typer.Option(help="profile, width and rank; JSON")],
) -> None:
    """Judge the paper's claims by the result tables: OUT/claims.md, claims.html, claims.csv and evidence.csv."""
    from hocbench.cli.options import Setting, read_json
    from hocbench.reporting.claims import write_claims
    from hocbench.reporting.names import verdict_text

    known = read_json(setting, "--setting", Setting)
    for _, row in write_claims(evaluation, tables, out, known).iterrows():
        sys.stdout.write(f"{row['claim']} {row['dataset'] or '-'}: {verdict_text(row['verdict'])}\n")
