"""One dataset's table of scores in LaTeX: the paper's rows and the controls."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hocbench.experiment.description import Description
from hocbench.experiment.tasks import Task
from hocbench.metrics.records import METRICS
from hocbench.reporting import latex
from hocbench.reporting.facts import Facts, counted, rank_words, score_facts
from hocbench.reporting.layout import CONTROL, NOT_RUN, PAPER, Cell, TableRow, cells_of, lay_out, layout_notes, task_of
from hocbench.reporting.markdown import records
from hocbench.reporting.paper_scores import read_results
from hocbench.reporting.score_page import table_title

BETTER = {"low": r"$\downarrow$", "high": r"$\uparrow$"}
GAP = r"\addlinespace[2pt]"
Published = dict[tuple[str, str, str], dict[str, Any]]


def score_latex(name: str, intervals: pd.DataFrame, counts: pd.DataFrame, description: Description) -> str:
    """Write one dataset's pooled scores as a table for a two-column paper.

    Parameters
    ----------
    name : str
        A dataset with a table in the paper.
    intervals, counts, description
        See `hocbench.reporting.score_page.score_page`.

    Returns
    -------
    str
        LaTeX. Published scores stand in the lines of ours if ours are from real data, otherwise in a tabular of their
        own.
    """
    own = intervals[(intervals["dataset"] == name) & (intervals["pooling"] == "pooled")]
    rows = lay_out(name, own, description)
    shown = [row for row in rows if row.kind in (PAPER, CONTROL)]
    published = {(row["method"], row["target"], row["metric"]): row for row in records(read_results(name))}
    facts = score_facts(description.datasets[name], own, counts[counts["dataset"] == name]) if len(own) else None
    notes = {note: letter for letter, note in zip(string.ascii_lowercase, _notes(shown), strict=False)}
    beside = facts is not None and not facts.synthetic
    task = task_of(name, description)
    cells = cells_of(task)
    columns = "l" + "c" * len(cells)
    ours = latex.tabular(columns, _header("Ours", task), _our_lines(shown, cells, notes, published if beside else {}))
    parts = [ours]
    if not beside:
        parts += [
            "Published scores, from the real data",
            latex.tabular(columns, _header("Row", task), _published(published, cells)),
        ]
    parts.append(_legend(name, published, notes))
    return latex.table_star(name, _caption(name, facts, beside, description), parts)


def _notes(rows: Sequence[TableRow]) -> list[str]:
    """List what has to be said about single cells, and about rows with fewer seeds than others."""
    cells = {record.get("note", "") for row in rows for record in row.cells.values()}
    return sorted((cells | {_fewer(row, rows) for row in rows}) - {""})


def _fewer(row: TableRow, rows: Sequence[TableRow]) -> str:
    most = max(other.seeds for other in rows)
    return f"{row.seeds} of {most} seeds" if 0 < row.seeds < most else ""


def _mark(note: str, notes: Mapping[str, str]) -> str:
    return rf"$^{{\mathrm{{{notes[note]}}}}}$" if note else ""


def _header(first: str, task: Task) -> list[str]:
    metrics, targets = METRICS[task.kind], task.targets
    groups = [rf"\multicolumn{{{len(metrics)}}}{{c}}{{{latex.escape(target.capitalize())}}}" for target in targets]
    spans = [(2 + i * len(metrics), 1 + (i + 1) * len(metrics)) for i in range(len(targets))]
    return [
        latex.line(["", *groups]),
        "".join(rf"\cmidrule(lr){{{start}-{end}}}" for start, end in spans),
        latex.line([first, *(f"{metric.title}\\,{BETTER[metric.better]}" for _ in targets for metric in metrics)]),
    ]


def _our_lines(
    rows: Sequence[TableRow], columns: Sequence[Cell], notes: Mapping[str, str], published: Published
) -> list[str]:
    """Write each row in two lines, scores and intervals, and the published scores in a third one if there are any."""
    lines: list[str] = []
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None:
            lines.append(r"\midrule" if before.kind != row.kind else GAP)
        cells = [_cell(row, cell, notes) for cell in columns]
        title = latex.escape(row.title) + _mark(_fewer(row, rows), notes)
        lines.append(latex.line([title, *(first for first, _ in cells)]))
        # What is in brackets repeats the title and would make the column too wide.
        method = rf"{{\tiny {latex.escape(row.method.removesuffix(' (reference)'))}}}" if row.method else ""
        below = [method, *(second for _, second in cells)]
        if any(below):
            lines.append(latex.line(below))
        if row.kind == PAPER and published:
            lines.append(latex.line([r"\quad published", *_published_cells(published, row.title, columns)]))
    return lines


def _cell(row: TableRow, cell: tuple[str, str], notes: Mapping[str, str]) -> tuple[str, str]:
    absence, score = row.absence(cell), row.cells.get(cell, {})
    mark = _mark(score.get("note", ""), notes)
    if absence:
        return absence + mark, ""
    return latex.score_lines(score["mean"], score["low"], score["high"], score["seed_sd"], mark)


def _published(published: Published, columns: Sequence[Cell]) -> list[str]:
    methods = dict.fromkeys(method for method, _, _ in published)
    return [latex.line([latex.escape(method), *_published_cells(published, method, columns)]) for method in methods]


def _published_cells(published: Published, method: str, columns: Sequence[Cell]) -> list[str]:
    found = [published.get((method, *cell)) for cell in columns]
    return ["--" if record is None else latex.published_number(record["value"], record["status"]) for record in found]


def _legend(name: str, published: Published, notes: Mapping[str, str]) -> str:
    statuses = sorted({record["status"] for record in published.values()})
    parts = ["Published scores: " + ", ".join(latex.MARK_NOTES[status] for status in statuses)]
    doubts = sorted({record["note"] for record in published.values() if record["status"] == "S"})
    parts += [f"{latex.MARKS['S']}~{latex.escape(note)}" for note in doubts if note != "secondary source"]
    parts += [f"{_mark(note, notes)}~{latex.escape(note)}" for note in notes]
    parts += [latex.escape(note) for note in layout_notes(name)]
    return latex.paragraph(f"{'. '.join(part[0].upper() + part[1:] for part in parts)}.")


def _caption(name: str, facts: Facts | None, beside: bool, description: Description) -> str:
    title = latex.escape(table_title(name, description))
    if facts is None:
        planned = name in description.datasets
        absence = "no run of this dataset is finished" if planned else "this dataset is no part of the experiment"
        return f"{title}: {absence}. The published scores."
    label = r"\textbf{SYNTHETIC data: these scores say nothing about real faces.} " if facts.synthetic else ""
    kind = "synthetic" if facts.synthetic else "real"
    interval = latex.escape(facts.interval)
    seeds = ", ".join([counted(facts.seeds, "training seed"), counted(facts.folds, "fold")])
    published = "; third line: the published score." if beside else ". The published scores stand apart."
    return (
        f"{label}{title}, {kind} data, in the layout of the paper. ResNet-18 of width {description.width}, crops of "
        f"{description.crop_size[name]} pixels, profile {latex.escape(description.profile)}; factorized networks have "
        f"{latex.escape(rank_words(description.rank))}. Pooled over all test frames, {facts.frames} per "
        f"run, of {facts.clusters} {facts.unit}; {seeds}. First line: mean over seeds $\\pm$ standard deviation over "
        f"seeds; second line: {interval}{published} ``{NOT_RUN}'': not trained in this profile; ``missing'': no "
        "finished run; ``failed'': a score that is no number."
    )
