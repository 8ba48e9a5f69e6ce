"""What a verification says: three answers, tables and sentences, as a page and as a table of all cells."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from hocbench.reporting.markdown import escape
from hocbench.reporting.pages import Block, Bullets, Heading, Page, Table
from hocbench.verify.cells import named
from hocbench.verify.compare import DIFFERENT, EXTRA, IDENTICAL, MISSING, OUTCOMES, UNUSUAL, WITHIN, Cell
from hocbench.verify.conclusions import SAME, UNDECIDED
from hocbench.verify.laboratory import MANIFESTS
from hocbench.verify.machine import CPU, Bytes
from hocbench.verify.merge import commits_of
from hocbench.verify.run import HEADLINES, OTHERS, Verification
from hocbench.verify.tables import TABLES

WORST = 10  # cells that are shown
BY_NAME = {table.name: table for table in TABLES}
VERDICTS, CONTRARY = "Verdicts", "Differences that contradict all laboratories"
OUTCOME_COUNTS, WORST_CELLS, CAUSES = "Tables", "The cells that are furthest off", "Likely causes"
CELLS = ("table", "cell", "column", "reference", "here", "tolerance", "from", "outcome", "likely cause")
COLUMNS = ("table", "keys", "column", "reference", "value", "difference", "tolerance", "basis", "outcome", "cause")
NO_TABLE = "the whole table is missing here"
EXEMPT_NOTE = (
    "Not compared: costs and times, the table of costs and figures; the same run never takes the same time twice. "
    "Learning curves are compared by their end."
)
TOLERANCE_NOTE = (
    "Tolerance: half of a prediction interval for one more laboratory, around the mean of those of the reference. A "
    "mean CCC or a last training loss outside of its interval is different. Any other cell outside is unusual, and "
    "different if most cells of its method in that table are. Of an undisturbed run, anything is different in at most "
    f"{HEADLINES + OTHERS:.0%} of verifications. Where the runs of a row gave the same outputs as in one of the "
    "laboratories, the row has to be equal to that one's. Choices and p values have to go with their scores, and "
    "everything else has to be equal."
)


def verdict(result: Verification) -> str:
    """Answer the question in one sentence."""
    if result.faults:
        return "No verdict, because something is wrong with what was compared."
    if result.reproduced:
        return "This machine reproduces the reference."
    agreement = {
        "the data": result.data_agree,
        "conclusions": result.conclusions_agree,
        "scores": result.scores_agree,
        "bytes that have to be the same": not result.bytes.broken,
    }
    wrong = [what for what, agrees in agreement.items() if not agrees]
    return f"This machine does not reproduce the reference: {_and(wrong)} differ."


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def answers(result: Verification) -> list[str]:
    """Write three answers, a line each: on the data, the conclusions and the scores."""
    return [f"Data: {_data(result)}", f"Conclusions: {_conclusions(result)}", f"Scores: {_scores(result)}"]


def _data(result: Verification) -> str:
    promise = f" ({result.unpromised})" if result.unpromised else ""
    if not result.data:
        return f"not compared, because their hashes are not recorded on both sides{promise}."
    off = [f"{row.dataset}, {row.what}" for row in result.data if not row.same]
    counts = f"{len(result.data) - len(off)} of {len(result.data)} hashes are equal"
    if not off:
        return f"the same bytes: {counts}."
    return f"{'other' if result.unpromised else 'DIFFERENT'} bytes{promise}: {counts}. Not: {'; '.join(off)}."


def _conclusions(result: Verification) -> str:
    verdicts = [conclusion for conclusion in result.conclusions if conclusion.kind == "verdict"]
    differences = [conclusion for conclusion in result.conclusions if conclusion.kind == "difference"]
    moved = [conclusion for conclusion in verdicts if conclusion.outcome != SAME]
    same = len(verdicts) - len(moved)
    parts = [f"{same} of {len(verdicts)} verdicts are the same"] if verdicts else ["no verdicts to compare"]
    for conclusion in moved:
        there, here = " or ".join(conclusion.others) or "missing", conclusion.here or "missing"
        parts.append(f"{conclusion.what}: {there} there, {here} here ({conclusion.outcome})")
    contrary = sum(not conclusion.agrees for conclusion in differences)
    one_sided = sum(conclusion.outcome == UNDECIDED for conclusion in differences)
    text = f"of {len(differences)} differences between methods, {contrary} contradict all laboratories"
    parts.append(f"{text} ({one_sided} are decided on one side only)" if one_sided else text)
    return f"{'the same' if result.conclusions_agree else 'DIFFERENT'}: {'; '.join(parts)}."


def _scores(result: Verification) -> str:
    counts = Counter(cell.outcome for cell in result.cells)
    text = (
        f"of {len(result.cells):,} cells, {counts[IDENTICAL]:,} are identical, {counts[WITHIN]:,} such as another "
        f"machine would give them, {counts[UNUSUAL]:,} unusual, {counts[DIFFERENT]:,} different and "
        f"{counts[MISSING]:,} missing"
    )
    text += f"; {counts[EXTRA]:,} are not in the reference" if counts[EXTRA] else ""
    unknown = sum(cell.is_of_unknown_spread for cell in result.cells)
    if unknown:
        text += (
            f"; {unknown:,} differ where no spread is known, because the reference has one laboratory alone (record "
            "another one: docs/verify.md)"
        )
    return f"{'consistent' if result.scores_agree else 'DIFFERENT'}: {text}."


def revision_lines(result: Verification) -> list[str]:
    """Name the revisions that trained, where they differ; nothing where they are the same, or not known."""
    there, here = map(commits_of, result.revisions)
    if not all(result.revisions) or there == here:
        return []
    return [
        f"Revision: the reference was trained by commit {there}, these runs by commit {here}. Whether that is other "
        "code, the causes say."
    ]


def sections(result: Verification) -> dict[str, tuple[Sequence[str], list[list[str]]]]:
    """Return the tables that have rows, by title: header and lines of text."""
    verdicts = [
        [row.what, row.reference or "-", ", ".join(row.others) or "-", row.here or "-", row.outcome]
        for row in result.conclusions
        if row.kind == "verdict"
    ]
    contrary = [
        [row.what, ", ".join(row.others), row.here or "-", row.outcome]
        for row in result.conclusions
        if row.kind == "difference" and not row.agrees
    ]
    causes = _causes(result)
    counts = [[f"{count:,}", cause] for cause, count in Counter(causes.values()).most_common()]
    tables = {
        VERDICTS: (("claim", "reference", "other laboratories", "here", "outcome"), verdicts),
        CONTRARY: (("comparison", "reference", "here", "outcome"), contrary[:WORST]),
        OUTCOME_COUNTS: (("table", "cells", *OUTCOMES, "largest difference in tolerances"), _summary_rows(result)),
        WORST_CELLS: (CELLS, _worst_rows(result, causes)),
        CAUSES: (("cells", "cause"), counts),
    }
    return {title: table for title, table in tables.items() if table[1]}


def _summary_rows(result: Verification) -> list[list[str]]:
    """Count the outcomes of each table."""
    rows = []
    for table in TABLES:
        cells = [cell for cell in result.cells if cell.table == table.name]
        if cells:
            counts = Counter(cell.outcome for cell in cells)
            ratios = [cell.excess for cell in cells if math.isfinite(cell.excess)]
            largest = f"{max(ratios):.2g}" if ratios else "-"
            rows.append([table.name, f"{len(cells):,}", *(f"{counts[outcome]:,}" for outcome in OUTCOMES), largest])
    return rows


def _worst_rows(result: Verification, causes: Mapping[Cell, str]) -> list[list[str]]:
    """Show the cells that are furthest off: by tolerances, then those without one, then missing ones."""
    off = sorted((cell for cell in result.cells if cell.outcome in (DIFFERENT, MISSING)), key=_rank)
    rows = []
    for cell in off[:WORST]:
        texts = ["-" if text is None else text for text in (cell.reference, cell.value)]
        texts += ["-" if cell.tolerance is None else f"{cell.tolerance:.3g}", cell.basis or "-"]
        rows.append([cell.table, _named(cell), cell.column, *texts, cell.outcome, causes[cell]])
    return rows


def _rank(cell: Cell) -> tuple[int, float]:
    if cell.outcome == MISSING:
        return 2, 0.0
    if math.isfinite(cell.excess):
        return 0, -cell.excess
    return 1, -abs(cell.difference or 0.0)


def _named(cell: Cell) -> str:
    return named(BY_NAME[cell.table].keys, cell.keys)


def _causes(result: Verification) -> dict[Cell, str]:
    """Find the likely causes of cells that are not identical; the cells of a row share theirs."""
    known: dict[tuple[str, tuple[str, ...]], str] = {}
    causes = {}
    here = {cell.table for cell in result.cells if cell.value is not None}
    for cell in result.cells:
        if cell.outcome in (WITHIN, UNUSUAL, DIFFERENT, MISSING):
            row = cell.table, cell.keys
            if row not in known:
                keys = BY_NAME[cell.table].named(cell.keys)
                known[row] = result.causes.of(keys) if cell.table in here else NO_TABLE
            causes[cell] = known[row]
    return causes


def byte_lines(compared: Bytes) -> list[str]:
    """Write whether bytes can be compared, with both CPU types, and which differ."""
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
    differing, absent = ([name for name, equal in compared.files.items() if equal is kind] for kind in (False, None))
    duty = "have to be the same" if compared.certain else "should be the same, since the arithmetic is portable"
    count = len(compared.files) - len(differing) - len(absent)
    return [
        f"Bytes: {duty} ({same}). {count} of {len(compared.files)} files and runs are.",
        *([f"Other bytes: {', '.join(differing)}."] if differing else []),
        *([f"Not here: {', '.join(absent)}."] if absent else []),
    ]


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "-"


def label_note(result: Verification) -> str:
    """Name what the data are."""
    if result.labels == ["synthetic"]:
        return "SYNTHETIC data: these scores say nothing about real faces."
    return f"Data are {_listed(result.labels)}."


def laboratory_note(result: Verification) -> str:
    """Name the laboratories of the reference."""
    count = len(result.laboratories)
    held = f"The reference holds {count} {'laboratory' if count == 1 else 'laboratories'}: {_and(result.laboratories)}."
    return " ".join([held, *(f"Laboratory {text}." for text in result.left_out)])


def page(result: Verification) -> Page:
    """Write everything as a page."""
    blocks: list[Block] = [verdict(result), *map(escape, revision_lines(result))]
    blocks += [Bullets([*map(escape, answers(result))]), label_note(result), escape(laboratory_note(result))]
    if result.faults:
        blocks += [Heading("What is wrong"), Bullets([*map(escape, result.faults)])]
    notes = {OUTCOME_COUNTS: [TOLERANCE_NOTE, EXEMPT_NOTE], WORST_CELLS: ["`verify.csv` has all cells."]}
    for title, (header, rows) in sections(result).items():
        table = Table(header, [[*map(escape, row)] for row in rows])
        blocks += [Heading(title), table, *notes.get(title, [])]
    blocks += [Heading("Bytes"), *map(escape, byte_lines(result.bytes))]
    return Page("Does this machine reproduce the reference?", blocks)


def cell_table(result: Verification) -> pd.DataFrame:
    """List all cells, a row each, after `COLUMNS`."""
    causes = _causes(result)
    rows = [
        (
            *(cell.table, _named(cell), cell.column, cell.reference, cell.value),
            *(cell.difference, cell.tolerance, cell.basis, cell.outcome, causes.get(cell, "")),
        )
        for cell in result.cells
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
