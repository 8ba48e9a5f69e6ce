"""``hocbench manifest``: what a run was, and why two runs may differ."""

import sys
from pathlib import Path
from typing import Annotated

import typer

manifest_app = typer.Typer(no_args_is_help=True, help="The records of runs: what each was.")
RunArgument = Annotated[Path, typer.Argument(help="run directory, or its manifest.json")]


@manifest_app.command()
def diff(a: RunArgument, b: RunArgument) -> None:
    """Explain why two runs may differ: outputs first, then the reasons, the likeliest ones first."""
    from hocbench.runs.diff import compare, describe

    sys.stdout.write(describe(compare(a, b)))
