"""``hocbench claims`` and ``hocbench coverage``: the paper's claims, and whether intervals can be trusted."""

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
    from hocbench.cli_options import Setting, read_json
    from hocbench.reporting.claims import write_claims
    from hocbench.reporting.names import verdict_text

    known = read_json(setting, "--setting", Setting)
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
    from hocbench.section import Count, Seed, check_values

    for name, value, kind in (("draws", draws, Count), ("processes", processes, Count), ("seed", seed, Seed)):
        check_values(kind, value, f"--{name}")
    table = write_coverage(out, draws, seed, processes)
    sys.stdout.write(f"{out}: {len(table)} figures from {draws:,} test sets of each size\n")
