"""``hocbench verify`` and ``hocbench record``: a reproduction against the committed reference."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hocbench import paths
from hocbench.cli.output import print_rows
from hocbench.errors import VerifyError

if TYPE_CHECKING:
    from hocbench.verify import Verification

REFERENCE, OUT = paths.results("reference"), paths.results("verify")
NOT_REPRODUCED = 3  # exit code

ResultsArgument = Annotated[
    Path, typer.Argument(help="results/PROFILE of a finished reproduction, or a recorded laboratory")
]
ReferenceOption = Annotated[Path, typer.Option(help="folder of the reference")]


def verify(
    results: Annotated[Path, typer.Argument(help="results/PROFILE of a finished run, or a recorded laboratory")],
    reference: ReferenceOption = REFERENCE,
    out: Annotated[Path, typer.Option(help="folder to write")] = OUT,
) -> None:
    """Ask whether data, conclusions and scores are those of the reference: OUT/verify.md, and OUT/verify.csv.

    Exit code 0: they are, or such as another machine would give them. 3: something differs or is missing. 2: the
    results are not finished, are damaged, or are of other parameters.
    """
    from hocbench.files.staging import staged
    from hocbench.reporting.pages import write_page
    from hocbench.reporting.verification import cell_table, page
    from hocbench.verify import verify as compare

    result = compare(results, reference)
    with staged(out, "verify") as folder:
        write_page(folder / "verify", page(result), cell_table(result))
    _print(result)
    sys.stdout.write(f"{out / 'verify.md'} has this, {out / 'verify.csv'} every cell\n")
    if result.faults:
        raise VerifyError("\n".join(result.faults))
    if not result.reproduced:
        raise typer.Exit(NOT_REPRODUCED)


def _print(result: "Verification") -> None:

    from hocbench.reporting import verification as report

    lines = [*report.revision_lines(result), report.laboratory_note(result), *report.answers(result)]
    sys.stdout.write("\n".join([*lines, report.verdict(result)]) + "\n")
    for title, (header, rows) in report.sections(result).items():
        if title != report.VERDICTS:
            # Causes are too long for this table, and have one of their own.
            columns = header[:-1] if title == report.WORST_CELLS else header
            print_rows(columns, [row[: len(columns)] for row in rows], title)
    lines = [*report.byte_lines(result.bytes), report.EXEMPT_NOTE, report.label_note(result)]
    sys.stdout.write("\n".join(lines) + "\n")


def record(
    results: ResultsArgument,
    reference: ReferenceOption = REFERENCE,
    laboratory: Annotated[str, typer.Option(help="name; writes results/laboratories/NAME, or --out")] = "",
    out: Annotated[Path | None, typer.Option(help="folder to write a laboratory into")] = None,
) -> None:
    """Record a finished reproduction in small form: its tables, and what the manifests of its runs say.

    Without --laboratory it becomes the reference; with it, one laboratory more, a folder to send.
    """
    from hocbench.verify import record as write
    from hocbench.verify.laboratory import MORE, OWN

    if out is not None and not laboratory:
        raise VerifyError("--out is for a laboratory; name it with --laboratory, or give --reference")
    folder = (out or paths.results(MORE) / laboratory) if laboratory else reference
    count = write(results, folder, laboratory or OWN)
    sys.stdout.write(f"{folder}: tables and manifests of {count} runs\n")
