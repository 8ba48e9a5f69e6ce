"""One dataset's table of scores in the paper's layout."""

from collections.abc import Sequence

import pandas as pd

from hocbench.experiment.description import Description
from hocbench.experiment.records import BUILT_IN
from hocbench.experiment.tasks import Task
from hocbench.metrics.records import METRICS
from hocbench.reporting.facts import Facts, score_facts
from hocbench.reporting.layout import (
    FURTHER,
    NOT_RUN,
    PAPER,
    TableRow,
    cell_title,
    cells_of,
    lay_out,
    layout_notes,
    task_of,
)
from hocbench.reporting.markdown import STATUS_NOTE, escape, records
from hocbench.reporting.pages import Block, Heading, Page, Table
from hocbench.reporting.paper_scores import read_results

# A classification is scored by clip, and its frames without a crop are left out.
UNITS = {"frame": "Pooled over all test frames", "clip": "All test clips, each by the mean logits of its frames"}
LOST = {
    "frame": "are scored with the mean training label",
    "clip": "are left out, unless their clip has no other, which is scored by the shares of the classes in training",
}
NOTE_OF_UNVERIFIED = "U"


def score_page(name: str, intervals: pd.DataFrame, counts: pd.DataFrame, description: Description) -> Page:
    """Write one dataset's table of scores.

    Parameters
    ----------
    name : str
        A dataset of the experiment, or one with a table in the paper.
    intervals, counts : DataFrame
        Tables of an evaluation.
    description : Description
        Datasets, methods and the rows that must be shown.

    Returns
    -------
    Page
        Scores from real data stand beside the published ones; from synthetic data, or if there are none, the published
        ones stand apart in a table of their own.
    """
    own, task = intervals[intervals["dataset"] == name], task_of(name, description)
    parts: list[Block] = [_caption(name, own, counts, description)]
    is_published = len(read_results(name)) > 0
    beside = is_published and len(own) > 0 and not (own["label"] == "synthetic").any()
    for pooling, title in (("pooled", UNITS[task.unit]), ("per_video", "Mean of the scores of each video")):
        chosen = own[own["pooling"] == pooling]
        if chosen.empty and pooling != "pooled":
            continue
        rows = lay_out(name, chosen, description)
        if beside and pooling == "pooled":
            paper = [row for row in rows if row.kind == PAPER]
            parts += [f"**{title}, beside the published scores.**", _beside(name, paper, task), published_notes(name)]
            rows, title = [row for row in rows if row.kind != PAPER], f"{title}, further rows"
        parts += [f"**{title}.**", score_rows(rows, task)]
    controls = [control for control in description.datasets.values() if control.control_of == name]
    for control in controls:
        heading = f"Negative control: {control.title}" if len(controls) > 1 else "Negative control"
        parts += _negative_control(heading, control.name, intervals, description)
    if is_published and not beside:
        parts += [
            Heading("Published scores"),
            "Not comparable with the rows above unless those are from the real data.",
        ]
        parts += [_published(name, task), published_notes(name)]
    return Page(table_title(name, description), parts)


def table_title(name: str, description: Description) -> str:
    """Name a dataset with what it consists of: "SEWA (clips)"; of one that is no part of the experiment its name."""
    dataset = description.datasets.get(name) or BUILT_IN.get(name)
    return f"{dataset.title} ({dataset.role})" if dataset else name


def _caption(name: str, intervals: pd.DataFrame, counts: pd.DataFrame, description: Description) -> str:
    if name not in description.datasets:
        return "Not run: this dataset is no part of the experiment."
    if intervals.empty:
        return "No run of this dataset is finished."
    facts = score_facts(description.datasets[name], intervals, counts[counts["dataset"] == name])
    unit = description.datasets[name].task.unit
    label = "**SYNTHETIC data: these scores say nothing about real faces.** " if facts.synthetic else ""
    return (
        f"{label}Profile {escape(description.profile)}: ResNet-18 of width {description.width}, crops of "
        f"{description.crop_size[name]} pixels. {facts.frames} test frames per run, {facts.clusters} {facts.unit} as "
        f"clusters, {facts.seeds} training seed(s), {facts.folds} fold(s); up to {facts.repaired} frames of a run have "
        f"a repaired crop and are scored, {facts.lost} have none and {LOST[unit]}. "
        f"{cell_words(facts)} Rank is a multiple of the rank that matches a dense layer's parameters; whole numbers "
        f"count components. {_better(description.datasets[name].task)} Rows of the paper come first, then the "
        f'controls, then all others; "{NOT_RUN}": not trained in this profile, "missing": no finished run, "failed": '
        "a score that is no number. The CSV beside this page holds every score of every run, a row per seed and fold; "
        "the intervals are those of `evaluation/intervals.csv`."
    )


def _better(task: Task) -> str:
    """Say which scores are good."""
    names = {
        side: ", ".join(metric.title for metric in METRICS[task.kind] if metric.better == side)
        for side in ("low", "high")
    }
    return f"{names['low']}: small is good; {names['high']}: large is good."


def cell_words(facts: Facts) -> str:
    """Say how to read a cell of `score_rows`."""
    return f"Cells: mean over seeds [{facts.interval}] ± standard deviation over seeds."


def score_rows(rows: Sequence[TableRow], task: Task) -> Table:
    """Write rows of scores: the paper's row, our method, what tells it apart, and the scores."""
    names = _names(rows)
    cells = cells_of(task)
    header = [*names, *map(cell_title, cells)]
    lines = [[*own, *(_score(row, cell) for cell in cells)] for row, *own in zip(rows, *names.values(), strict=True)]
    return Table(header, lines, [row.key for row in rows])


def _names(rows: Sequence[TableRow]) -> dict[str, list[str]]:
    """Write the columns before the scores, each only where it tells rows apart."""
    keys = [row.key for row in rows]
    columns = {
        "row": [escape(row.title) or "-" for row in rows],
        "method": [escape(row.method) or "-" for row in rows],
        "rank": [escape(key.rank) if key and key.rank else "-" for key in keys],
        "LASSO": [f"{key.lasso:g}" if key else "0" for key in keys],
        "ablation": [escape(key.ablation) if key and key.ablation else "-" for key in keys],
        "seeds": [str(row.seeds or "-") for row in rows],
    }
    if all(row.kind == FURTHER for row in rows):
        del columns["row"]
    if not any(key and key.ablation for key in keys):
        del columns["ablation"]
    if len({row.seeds for row in rows if row.seeds}) < 2:
        del columns["seeds"]
    return columns


def _score(row: TableRow, cell: tuple[str, str]) -> str:
    absence, score = row.absence(cell), row.cells.get(cell, {})
    note = f" ({escape(score['note'])})" if score.get("note") else ""
    if absence:
        return absence + note
    spread = "" if pd.isna(score["seed_sd"]) else f" ± {score['seed_sd']:.3f}"
    limits = "" if pd.isna(score["low"]) else f" [{score['low']:.3f}, {score['high']:.3f}]"
    return f"{score['mean']:.3f}{limits}{spread}{note}"


def _beside(name: str, rows: Sequence[TableRow], task: Task) -> Table:
    """Write the paper's rows with two columns per score: published with its status, and ours."""
    published, cells = _published_cells(name), cells_of(task)
    names = _names(rows)
    header = [*names, *(f"{cell_title(cell)}, {whose}" for cell in cells for whose in ("published", "ours"))]
    lines = []
    for row, *own in zip(rows, *names.values(), strict=True):
        pairs = [(published.get((row.title, *cell), "-"), _score(row, cell)) for cell in cells]
        lines.append([*own, *(text for pair in pairs for text in pair)])
    return Table(header, lines, [row.key for row in rows])


def _published(name: str, task: Task) -> Table:
    published, cells = _published_cells(name), cells_of(task)
    methods = dict.fromkeys(read_results(name)["method"])
    lines = [[escape(method), *(published.get((method, *cell), "-") for cell in cells)] for method in methods]
    return Table(["method", *map(cell_title, cells)], lines)


def _published_cells(name: str) -> dict[tuple[str, str, str], str]:
    return {
        (row["method"], row["target"], row["metric"]): f"{row['value']:.2f} {row['status']}"
        for row in records(read_results(name))
    }


def published_notes(name: str) -> str:
    """Explain the statuses, and name what is doubtful about the rows and about each number that has a source."""
    notes: dict[str, list[str]] = {}
    for row in records(read_results(name)):
        if row["status"] != NOTE_OF_UNVERIFIED:
            cell = f"{row['method']}, {cell_title((row['target'], row['metric']))}"
            notes.setdefault(f"{row['status']}: {row['note']}", []).append(cell)
    parts = [STATUS_NOTE, *(f"{escape(note)} ({escape('; '.join(cells))})." for note, cells in notes.items())]
    parts += [f"Note: {escape(note)}." for note in layout_notes(name)]
    return " ".join(parts)


def _negative_control(heading: str, control: str, intervals: pd.DataFrame, description: Description) -> list[Block]:
    """Write the scores on the negative control of a dataset."""
    caption = (
        "**SYNTHETIC data** like those above, but no motion tells the label and nothing disturbs it over time, so that "
        "a network has nothing to gain from time. Pooled over all test frames."
    )
    own = intervals[(intervals["dataset"] == control) & (intervals["pooling"] == "pooled")]
    rows = score_rows(lay_out(control, own, description), task_of(control, description))
    return [Heading(heading), caption, rows]
