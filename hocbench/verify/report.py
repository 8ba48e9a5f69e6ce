"""What a verification says, as rows and sentences, as Markdown and as a table of all cells."""

import html
import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from hocbench.reporting.markdown import markdown_table
from hocbench.verify.cells import named
from hocbench.verify.compare import DIFFERENT, EXTRA, IDENTICAL, MISSING, OUTCOMES, WITHIN, Cell, unknown_spread
from hocbench.verify.laboratory import MANIFESTS
from hocbench.verify.run import Bytes, Verification
from hocbench.verify.spread import TOLERANCE
from hocbench.verify.tables import TABLES

WORST = 10  # cells that are shown
SUMMARY = ("table", "cells", *OUTCOMES, "largest difference in tolerances")
CELLS = ("table", "cell", "column", "reference", "here", "tolerance", "from", "outcome", "likely cause")
COLUMNS = ("table", "keys", "column", "reference", "value", "difference", "tolerance", "basis", "outcome", "cause")
NO_TABLE = "the whole table is missing here"
EXEMPT_NOTE = (
    "Not compared: costs and times, the table of costs and figures; the same run never takes the same time twice."
)
TOLERANCE_NOTE = (
    f"Tolerance: {TOLERANCE:g} times the spread over training seeds that the reference measured (seed_sd of "
    "intervals.csv; for histories, windows and sparsity, of the rows of its seeds). p values have to be on the same "
    "side of 0.05, choices have to go with their scores, and everything else has to be equal."
)


def verdict(found: Verification) -> str:
    """Answer the question in one sentence."""
    counts = f"of {len(found.cells):,} cells, {found.count(IDENTICAL):,} are identical, "
    counts += f"{found.count(WITHIN):,} within tolerance, {found.count(DIFFERENT):,} different and "
    counts += f"{found.count(MISSING):,} missing"
    counts += f"; {found.count(EXTRA):,} are not in the reference" if found.count(EXTRA) else ""
    unknown = sum(map(unknown_spread, found.cells))
    if unknown:
        counts += f"; {unknown:,} differ without a known seed spread, where only equality counts"
    if found.faults:
        answer = "No verdict, because something is wrong with what was compared"
    else:
        answer = f"This machine {'reproduces' if found.reproduced else 'does not reproduce'} the reference"
    return f"{answer}: {counts}."


def summary_rows(found: Verification) -> list[list[str]]:
    """Count the outcomes of each table; a row per table, after `SUMMARY`."""
    rows = []
    for table in TABLES:
        cells = [cell for cell in found.cells if cell.table == table.name]
        if not cells:
            continue
        counts = Counter(cell.outcome for cell in cells)
        ratios = [cell.excess for cell in cells if math.isfinite(cell.excess)]
        largest = f"{max(ratios):.2g}" if ratios else "-"
        rows.append([table.name, f"{len(cells):,}", *(f"{counts[outcome]:,}" for outcome in OUTCOMES), largest])
    return rows


def worst_rows(found: Verification) -> list[list[str]]:
    """Show the cells that are furthest off, after `CELLS`: by tolerances, then those without one, then missing ones."""
    off = sorted((cell for cell in found.cells if cell.outcome in (DIFFERENT, MISSING)), key=_rank)
    causes = _causes(found)
    return [_cell_row(cell, causes[cell]) for cell in off[:WORST]]


def _rank(cell: Cell) -> tuple[int, float]:
    if cell.outcome == MISSING:
        return 2, 0.0
    if math.isfinite(cell.excess):
        return 0, -cell.excess
    return 1, -abs(cell.difference or 0.0)


def _cell_row(cell: Cell, cause: str) -> list[str]:
    texts = ["-" if text is None else text for text in (cell.reference, cell.value)]
    tolerance = "-" if cell.tolerance is None else f"{cell.tolerance:.3g}"
    return [cell.table, _named(cell), cell.column, *texts, tolerance, cell.basis or "-", cell.outcome, cause]


def _keys(cell: Cell) -> dict[str, str]:
    table = next(table for table in TABLES if table.name == cell.table)
    return dict(zip(table.keys, cell.keys, strict=True))


def _named(cell: Cell) -> str:
    keys = _keys(cell)
    return named(list(keys), list(keys.values()))


def cause_rows(found: Verification) -> list[list[str]]:
    """Count the cells that are not identical by their likely cause, the most frequent first."""
    causes = Counter(_causes(found).values())
    return [[f"{count:,}", cause] for cause, count in causes.most_common()]


def _causes(found: Verification) -> dict[Cell, str]:
    """Find the likely causes of cells that are not identical."""
    known: dict[tuple[str, tuple[str, ...]], str] = {}
    causes = {}
    here = {cell.table for cell in found.cells if cell.value is not None}
    for cell in found.cells:
        if cell.outcome in (WITHIN, DIFFERENT, MISSING):
            # The cells of a row share their cause.
            row = cell.table, cell.keys
            if row not in known:
                known[row] = found.causes.of(_keys(cell)) if cell.table in here else NO_TABLE
            causes[cell] = known[row]
    return causes


def byte_lines(compared: Bytes) -> list[str]:
    """Say whether bytes can be compared, with both CPU types, and which differ."""
    if not compared.recorded:
        here = _listed(compared.setting["CPU type"][1])
        return [
            f"Bytes: not comparable. The reference does not record its machine (no {MANIFESTS}); CPU type here: {here}."
        ]
    both = [(what, *map(_listed, values)) for what, values in compared.setting.items()]
    if not compared.comparable:
        machines = "; ".join(
            f"{what}: {a} in the reference, {b} here" for what, a, b in both if a != b or what == "CPU type"
        )
        return [f"Bytes: not comparable. {machines}."]
    same = "; ".join(f"{what} {a}" for what, a, _ in both if a != "-")
    differing = [name for name, equal in compared.files.items() if equal is False]
    absent = [name for name, equal in compared.files.items() if equal is None]
    lines = [
        f"Bytes: comparable ({same}). {len(compared.files) - len(differing) - len(absent)} of {len(compared.files)} "
        "files and runs are the same bytes."
    ]
    lines += [f"Other bytes: {', '.join(differing)}."] if differing else []
    return lines + ([f"Not here: {', '.join(absent)}."] if absent else [])


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "-"


def label_note(found: Verification) -> str:
    """Say what the data are."""
    if found.labels == ["synthetic"]:
        return "SYNTHETIC data: these scores say nothing about real faces."
    return f"Data: {_listed(found.labels)}."


def markdown(found: Verification) -> str:
    """Write everything as a page in Markdown."""
    parts = ["# Does this machine reproduce the reference?", verdict(found), label_note(found)]
    if found.faults:
        parts += ["## What is wrong", "\n".join(f"* {_plain(fault)}" for fault in found.faults)]
    parts += ["## Tables", _table(SUMMARY, summary_rows(found)), TOLERANCE_NOTE, EXEMPT_NOTE]
    worst, causes = worst_rows(found), cause_rows(found)
    if worst:
        parts += ["## The cells that are furthest off", _table(CELLS, worst), "`verify.csv` has all cells."]
    if causes:
        parts += ["## Likely causes", _table(("cells", "cause"), causes)]
    parts += ["## Bytes", "\n\n".join(map(_plain, byte_lines(found.bytes)))]
    return "\n\n".join(parts) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(header, [[_plain(text) for text in row] for row in rows])


def _plain(text: str) -> str:
    """Keep names from data from being read as markup."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


def cell_table(found: Verification) -> pd.DataFrame:
    """Lay out all cells, a row each, after `COLUMNS`."""
    causes = _causes(found)
    rows = [
        (
            *(cell.table, _named(cell), cell.column, cell.reference, cell.value),
            *(cell.difference, cell.tolerance, cell.basis, cell.outcome, causes.get(cell, "")),
        )
        for cell in found.cells
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
