"""``hocbench merge``: recorded laboratories in one table."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hocbench import paths
from hocbench.cli.output import print_rows

OUT = paths.results("laboratories") / "merged"


def merge(
    laboratories: Annotated[
        list[Path], typer.Argument(help="folders of `hocbench record`; a reference is its own and those in it")
    ],
    out: Annotated[Path, typer.Option(help="folder to write")] = OUT,
) -> None:
    """Merge laboratories into one table, with the spread between them: OUT/merged.md, merged.html and CSV files.

    Refused by name: other parameters, other runs, other training code, damaged files. A laboratory that is given twice
    counts once.
    """
    from hocbench.reporting.merged import agreement, few, heterogeneity, write_merged
    from hocbench.verify.merge import merge as bring_together

    merged = bring_together(laboratories)
    for note in (*merged.repeated, *merged.notes):
        sys.stdout.write(f"note: {note}\n")
    tables = write_merged(merged, out)
    columns = ["laboratory", "CPU_type", "CPU_instructions", "arithmetic", "threads", "runs", "same_weights"]
    rows = tables.laboratories[columns].astype(str).itertuples(index=False)
    print_rows([name.replace("_", " ") for name in columns], rows, "Laboratories")
    notes = [few(len(merged.counted)), heterogeneity(tables), f"{out / 'merged.html'} has this"]
    sys.stdout.write("\n".join([*([agreement(tables)] if len(tables.verdicts) else []), *notes]) + "\n")
