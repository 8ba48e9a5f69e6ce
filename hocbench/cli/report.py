"""``hocbench report``: one HTML file about a profile."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hocbench.errors import ParameterError

MOST_NAMES = 3  # that are printed; the report has all


def report(
    results: Path,
    out: Path,
    runs: Annotated[list[str] | None, typer.Argument(help="dataset/run of all runs that must be there")] = None,
    *,
    prepared: Annotated[Path, typer.Option(help="folder of the prepared datasets, data/prepared/PROFILE")],
    logs: Annotated[Path, typer.Option(help="folder of the logs, logs/PROFILE")],
    reference: Annotated[Path | None, typer.Option(help="folder of recorded laboratories")] = None,
) -> None:
    """Write one offline HTML file about RESULTS; what is missing there is named in it, and the rest is reported."""
    from hocbench.reporting.html.inputs import Inputs
    from hocbench.reporting.html.write import write_report
    from hocbench.tracking.store import FOLDER

    planned = runs or []
    strange = [name for name in planned if name.count("/") != 1]
    if strange:
        raise ParameterError(f"{strange[0]!r} is no DATASET/RUN; give names such as sewa/joint-84c648e6")
    data = write_report(Inputs(results, prepared, logs, FOLDER, planned, reference), out)
    sys.stdout.write(f"{out}: {len(data.runs)} runs, {out.stat().st_size / 2**20:.1f} MiB\n")
    for gap in data.gaps:
        names = [*gap.items[:MOST_NAMES], *(["..."] if len(gap.items) > MOST_NAMES else [])]
        listed = f" ({', '.join(names)})" if names else ""
        sys.stdout.write(f"missing: {gap.what}: {gap.why}{listed}\n")
