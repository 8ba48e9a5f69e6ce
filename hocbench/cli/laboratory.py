"""``hocbench merge``: recorded laboratories in one table."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hocbench import paths
from hocbench.cli.output import print_table

OUT = paths.results("laboratories") / "merged"


def merge(
    laboratories: Annotated[
        list[Path], typer.Argument(help="folders of `hocbench record`; a reference is its own and those in it")
    ],
    out: Annotated[Path, typer.Option(help="folder to write")] = OUT,
) -> None:
    """Put laboratories into one table, with the spread between them: OUT/merged.md, merged.html and CSV files.

    Refused by name: other parameters, other runs, other training code, damaged files. A laboratory that is given twice
    counts once.
    """
    from rich.markup import escape
    from rich.table import Table

    from hocbench.reporting.merged import agreement, few, heterogeneity, write_merged
    from hocbench.verify.merge import merge as bring_together

    merged = bring_together(laboratories)
    for note in (*merged.repeated, *merged.notes):
        sys.stdout.write(f"note: {note}\n")
    tables = write_merged(merged, out)
    shown = ["laboratory", "CPU_type", "CPU_instructions", "arithmetic", "threads", "runs", "same_weights"]
    table = Table(*(name.replace("_", " ") for name in shown), title="Laboratories")
    for row in tables.laboratories[shown].astype(str).itertuples(index=False):
        table.add_row(*map(escape, row))
    print_table(table)
    said = [few(len(merged.counted)), heterogeneity(tables), f"{out / 'merged.html'} has this"]
    sys.stdout.write("\n".join([*([agreement(tables)] if len(tables.verdicts) else []), *said]) + "\n")
