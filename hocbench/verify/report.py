"""What a verification says: three answers, rows and sentences, as Markdown and as a table of all cells."""

import html
import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from hocbench.reporting.markdown import markdown_table
from hocbench.verify.cells import named
from hocbench.verify.compare import (
    DIFFERENT,
    EXTRA,
    IDENTICAL,
    MISSING,
    OUTCOMES,
    UNUSUAL,
    WITHIN,
    Cell,
    unknown_spread,
)
from hocbench.verify.conclusions import SAME, UNDECIDED, Conclusion
from hocbench.verify.laboratory import MANIFESTS
from hocbench.verify.machine import CPU, Bytes
from hocbench.verify.merge import commits_of
from hocbench.verify.run import HEADLINES, OTHERS, Verification
from hocbench.verify.tables import TABLES

WORST = 10  # cells that are shown
SUMMARY = ("table", "cells", *OUTCOMES, "largest difference in tolerances")
CELLS = ("table", "cell", "column", "reference", "here", "tolerance", "from", "outcome", "likely cause")
COLUMNS = ("table", "keys", "column", "reference", "value", "difference", "tolerance", "basis", "outcome", "cause")
VERDICTS = ("claim", "reference", "other laboratories", "here", "outcome")
DIFFERENCES = ("comparison", "reference", "here", "outcome")
NO_TABLE = "the whole table is missing here"
EXEMPT_NOTE = (
    "Not compared: costs and times, the table of costs and figures; the same run never takes the same time twice. "
    "Learning curves are compared by their end."
)
TOLERANCE_NOTE = (
    "Tolerance: half of a prediction interval for one more laboratory, around the mean of those of the reference. A "
    "mean CCC or a last training loss outside of its interval is different. Any other cell outside is unusual, and "
    "different if most cells of its method in that table are. Of an undisturbed run, anything is different in at most "
    f"{HEADLINES + OTHERS:.0%} of verifications. Where the runs behind a row gave the same outputs as in one of the "
    "laboratories, the row has to be equal to that one's. Choices and p values have to go with their scores, and "
    "everything else has to be equal."
)


def verdict(found: Verification) -> str:
    """Answer the question in one sentence."""
    if found.faults:
        return "No verdict, because something is wrong with what was compared."
    if found.reproduced:
        return "This machine reproduces the reference."
    words = {
        "the data": found.data_agree,
        "conclusions": found.conclusions_agree,
        "scores": found.scores_agree,
        "bytes that have to be the same": not found.bytes.broken,
    }
    wrong = [word for word, agrees in words.items() if not agrees]
    return f"This machine does not reproduce the reference: {_and(wrong)} differ."


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def answers(found: Verification) -> list[str]:
    """Answer three questions, a line each: the data, the conclusions, the scores."""
    return [f"Data: {_data(found)}", f"Conclusions: {_conclusions(found)}", f"Scores: {_scores(found)}"]


def _data(found: Verification) -> str:
    promise = f" ({found.unpromised})" if found.unpromised else ""
    if not found.data:
        return f"not compared, because their hashes are not recorded on both sides{promise}."
    off = [f"{row.dataset}, {row.what}" for row in found.data if not row.same]
    counts = f"{len(found.data) - len(off)} of {len(found.data)} hashes are equal"
    if not off:
        return f"the same bytes: {counts}."
    return f"{'other' if found.unpromised else 'DIFFERENT'} bytes{promise}: {counts}. Not: {'; '.join(off)}."


def _conclusions(found: Verification) -> str:
    verdicts = [each for each in found.conclusions if each.kind == "verdict"]
    differences = [each for each in found.conclusions if each.kind == "difference"]
    same = sum(each.outcome == SAME for each in verdicts)
    parts = [f"{same} of {len(verdicts)} verdicts are the same"] if verdicts else ["no verdicts to compare"]
    moved = [each for each in verdicts if each.outcome != SAME]
    parts += [f"{each.what}: {_said(each)} there, {each.here or 'missing'} here ({each.outcome})" for each in moved]
    contrary = [each for each in differences if not each.agrees]
    open_ = sum(each.outcome == UNDECIDED for each in differences)
    text = f"of {len(differences)} differences between methods, {len(contrary)} contradict all laboratories"
    parts.append(f"{text} ({open_} are decided on one side only)" if open_ else text)
    return f"{'the same' if found.conclusions_agree else 'DIFFERENT'}: {'; '.join(parts)}."


def _said(conclusion: Conclusion) -> str:
    return " or ".join(conclusion.others) or "missing"


def _scores(found: Verification) -> str:
    outside, absent = found.count(DIFFERENT), found.count(MISSING)
    counts = f"of {len(found.cells):,} cells, {found.count(IDENTICAL):,} are identical, "
    counts += f"{found.count(WITHIN):,} such as another machine would give them, {found.count(UNUSUAL):,} unusual, "
    counts += f"{outside:,} different and {absent:,} missing"
    counts += f"; {found.count(EXTRA):,} are not in the reference" if found.count(EXTRA) else ""
    unknown = sum(map(unknown_spread, found.cells))
    if unknown:
        counts += (
            f"; {unknown:,} differ where no spread is known, because the reference has one laboratory alone (record "
            "another one: docs/verify.md)"
        )
    return f"{'consistent' if found.scores_agree else 'DIFFERENT'}: {counts}."


def revision_lines(found: Verification) -> list[str]:
    """Say so where another revision trained; nothing where it is the same, or not known."""
    there, here = map(commits_of, found.revisions)
    if not all(found.revisions) or there == here:
        return []
    return [
        f"Revision: the reference was trained by commit {there}, these runs by commit {here}. Whether that is other "
        "code, the causes say."
    ]


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


def verdict_rows(found: Verification) -> list[list[str]]:
    """List all verdicts, after `VERDICTS`."""
    return [
        [each.what, each.reference or "-", ", ".join(each.others) or "-", each.here or "-", each.outcome]
        for each in found.conclusions
        if each.kind == "verdict"
    ]


def contrary_rows(found: Verification) -> list[list[str]]:
    """List the differences that contradict all laboratories, after `DIFFERENCES`."""
    off = [each for each in found.conclusions if each.kind == "difference" and not each.agrees]
    return [[each.what, ", ".join(each.others), each.here or "-", each.outcome] for each in off[:WORST]]


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
        if cell.outcome in (WITHIN, UNUSUAL, DIFFERENT, MISSING):
            # The cells of a row share their cause.
            row = cell.table, cell.keys
            if row not in known:
                known[row] = found.causes.of(_keys(cell)) if cell.table in here else NO_TABLE
            causes[cell] = known[row]
    return causes


def byte_lines(compared: Bytes) -> list[str]:
    """Say whether bytes can be compared, with both CPU types, and which differ."""
    if not compared.recorded:
        here = _listed(compared.setting[CPU][1])
        return [
            f"Bytes: not comparable. The reference does not record its machine (no {MANIFESTS}); CPU type here: {here}."
        ]
    both = [(what, *map(_listed, values)) for what, values in compared.setting.items()]
    if not compared.comparable:
        machines = "; ".join(f"{what}: {a} in the reference, {b} here" for what, a, b in both if a != b or what == CPU)
        return [f"Bytes: not comparable. {machines}."]
    same = "; ".join(f"{what} {a}" + (f" and {b}" if a != b else "") for what, a, b in both if a != "-")
    differing = [name for name, equal in compared.files.items() if equal is False]
    absent = [name for name, equal in compared.files.items() if equal is None]
    duty = "have to be the same" if compared.certain else "should be the same, since the arithmetic is portable"
    lines = [
        f"Bytes: {duty} ({same}). {len(compared.files) - len(differing) - len(absent)} of {len(compared.files)} "
        "files and runs are."
    ]
    lines += [f"Other bytes: {', '.join(differing)}."] if differing else []
    return lines + ([f"Not here: {', '.join(absent)}."] if absent else [])


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "-"


def label_note(found: Verification) -> str:
    """Say what the data are."""
    if found.labels == ["synthetic"]:
        return "SYNTHETIC data: these scores say nothing about real faces."
    return f"Data are {_listed(found.labels)}."


def laboratory_note(found: Verification) -> str:
    """Name the laboratories of the reference."""
    count = len(found.laboratories)
    held = f"The reference holds {count} {'laboratory' if count == 1 else 'laboratories'}: {_and(found.laboratories)}."
    return " ".join([held, *(f"Laboratory {text}." for text in found.left_out)])


def markdown(found: Verification) -> str:
    """Write everything as a page in Markdown."""
    first = [*map(_plain, revision_lines(found)), *(f"* {_plain(line)}" for line in answers(found))]
    parts = ["# Does this machine reproduce the reference?", verdict(found), "\n".join(first), label_note(found)]
    parts.append(_plain(laboratory_note(found)))
    if found.faults:
        parts += ["## What is wrong", "\n".join(f"* {_plain(fault)}" for fault in found.faults)]
    parts += ["## Verdicts", _table(VERDICTS, verdict_rows(found))] if verdict_rows(found) else []
    contrary = contrary_rows(found)
    parts += ["## Differences that contradict all laboratories", _table(DIFFERENCES, contrary)] if contrary else []
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
