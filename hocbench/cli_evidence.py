"""``hocbench claims`` and ``hocbench coverage``: the paper's claims, and whether intervals can be trusted."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from hocbench.errors import ParameterError


def claims(
    evaluation: Path,
    tables: Path,
    out: Path,
    setting: Annotated[str, typer.Option(help="profile, width and rank; JSON")],
) -> None:
    """Judge the paper's claims by the result tables: OUT/claims.md, claims.html, claims.csv and evidence.csv."""
    from hocbench.reporting.claims import verdict_text, write_claims

    try:
        known = json.loads(setting)
    except json.JSONDecodeError as error:
        raise ParameterError(f"--setting is not JSON ({error}); give what `snakemake -n -p` prints") from None
    for _, row in write_claims(evaluation, tables, out, known).iterrows():
        sys.stdout.write(f"{row['claim']} {row['dataset'] or '-'}: {verdict_text(row['verdict'])}\n")


def coverage(
    out: Path,
    draws: Annotated[int, typer.Option(help="simulated test sets of each size")] = 2000,
    seed: Annotated[int, typer.Option(help="root seed")] = 0,
    processes: Annotated[int, typer.Option(help="processes; they change no number")] = 1,
) -> None:
    """Simulate test sets with known scores: OUT/coverage.csv, coverage.md, coverage.png and coverage.pdf."""
    from hocbench.reporting.coverage import write_coverage

    if draws < 1 or processes < 1:
        raise ParameterError("--draws and --processes have to be 1 or more")
    table = write_coverage(out, draws, seed, processes)
    sys.stdout.write(f"{out}: {len(table)} figures from {draws:,} test sets of each size\n")
