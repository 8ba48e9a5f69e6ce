"""One dataset's table of scores in Markdown, in the paper's layout."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hocbench.evaluation.statistics import METRICS
from hocbench.reporting.facts import Facts, score_facts
from hocbench.reporting.layout import FURTHER, NOT_RUN, PAPER, TableRow, lay_out, layout_notes
from hocbench.reporting.markdown import STATUS_NOTE, escape, markdown_table, records
from hocbench.reporting.paper_scores import read_results
from hocbench.runs.finished import TARGETS

TITLES = {"affectnet": "AffectNet (still images)", "sewa": "SEWA (video chats)", "afew_va": "AFEW-VA (film clips)"}
POOLINGS = {"pooled": "Pooled over all test frames", "per_video": "Mean of the scores of each video"}
# A dataset whose scores stand below those of another one.
NEGATIVE_CONTROLS = {"sewa": "sewa_control"}
CELLS = [(target, metric) for target in TARGETS for metric in METRICS]
SCORE_HEADER = [f"{target} {metric.upper()}" for target, metric in CELLS]
NOTE_OF_UNVERIFIED = "U"


def score_page(
    name: str,
    expected: Sequence[Mapping[str, Any]],
    intervals: pd.DataFrame,
    counts: pd.DataFrame,
    setting: Mapping[str, Any],
) -> str:
    """Write one dataset's table of scores in Markdown.

    Parameters
    ----------
    name : str
        A dataset with a table in the paper.
    expected : sequence of dict
        Rows that must be shown, with dataset, method, rank, lasso and perhaps variant.
    intervals, counts : DataFrame
        Tables of an evaluation.
    setting : dict
        See `hocbench.reporting.tables.write_tables`.

    Returns
    -------
    str
        Scores from real data stand beside the published ones; from synthetic data, or if there are none, the published
        ones stand apart in a table of their own.
    """
    own = intervals[intervals["dataset"] == name]
    parts = [f"# {TITLES[name]}", _caption(name, own, counts, setting)]
    beside = len(own) > 0 and not (own["label"] == "synthetic").any()
    for pooling, title in POOLINGS.items():
        chosen = own[own["pooling"] == pooling]
        if chosen.empty and pooling != "pooled":
            continue
        rows = lay_out(name, [row for row in expected if row["dataset"] == name], chosen, setting["rank"])
        if beside and pooling == "pooled":
            paper = [row for row in rows if row.kind == PAPER]
            parts += [f"**{title}, beside the published scores.**", _beside(name, paper), published_notes(name)]
            rows, title = [row for row in rows if row.kind != PAPER], f"{title}, further rows"
        parts += [f"**{title}.**", score_rows(rows)]
    parts += _negative_control(name, expected, intervals, setting)
    if not beside:
        parts += ["## Published scores", "Not comparable with the rows above unless those are from the real data."]
        parts += [_published(name), published_notes(name)]
    return "\n\n".join(parts) + "\n"


def _caption(name: str, intervals: pd.DataFrame, counts: pd.DataFrame, setting: Mapping[str, Any]) -> str:
    if intervals.empty:
        return "No run of this dataset is finished."
    facts = score_facts(name, intervals, counts[counts["dataset"] == name])
    label = "**SYNTHETIC data: these scores say nothing about real faces.** " if facts.synthetic else ""
    return (
        f"{label}Profile {escape(setting['profile'])}: ResNet-18 of width {setting['width']}, crops of "
        f"{setting['crop_size'][name]} pixels. {facts.frames} test frames per run, {facts.clusters} {facts.unit} as "
        f"clusters, {facts.seeds} training seed(s), {facts.folds} fold(s); up to {facts.repaired} frames of a run have "
        f"a repaired crop and are scored, {facts.lost} have none and are scored with the mean training label. "
        f"{cell_words(facts)} Rank is a multiple of the rank that matches a dense layer's parameters; whole numbers "
        "count components. RMSE: small is good; SAGR, PCC, CCC: large is good. Rows of the paper come first, then the "
        f'controls, then all others; "{NOT_RUN}": not trained in this profile, "missing": no finished run, "failed": '
        "a score that is no number. The CSV beside this page holds every score of every run, a row per seed and fold; "
        "the intervals are those of `evaluation/intervals.csv`."
    )


def cell_words(facts: Facts) -> str:
    """Say how to read a cell of `score_rows`."""
    return f"Cells: mean over seeds [{facts.interval}] ± standard deviation over seeds."


def score_rows(rows: Sequence[TableRow]) -> str:
    """Write rows of scores in Markdown: the paper's row, our method, what tells it apart, and the scores."""
    names = _names(rows)
    header = [*names, *SCORE_HEADER]
    lines = [[*own, *(_score(row, cell) for cell in CELLS)] for row, *own in zip(rows, *names.values(), strict=True)]
    return markdown_table(header, lines)


def _names(rows: Sequence[TableRow]) -> dict[str, list[str]]:
    """Write the columns before the scores, each only where it tells rows apart."""
    columns = {
        "row": [escape(row.title) or "-" for row in rows],
        "method": [escape(row.method) or "-" for row in rows],
        "rank": [escape(row.rank) or "-" for row in rows],
        "LASSO": [f"{row.lasso:g}" for row in rows],
        "variant": [escape(row.variant) or "-" for row in rows],
        "seeds": [str(row.seeds or "-") for row in rows],
    }
    if all(row.kind == FURTHER for row in rows):
        del columns["row"]
    if not any(row.variant for row in rows):
        del columns["variant"]
    if len({row.seeds for row in rows if row.seeds}) < 2:
        del columns["seeds"]
    return columns


def _score(row: TableRow, cell: tuple[str, str]) -> str:
    absence = row.absence(cell)
    if absence:
        return absence
    score = row.cells[cell]
    spread = "" if pd.isna(score["seed_sd"]) else f" ± {score['seed_sd']:.3f}"
    limits = "" if pd.isna(score["low"]) else f" [{score['low']:.3f}, {score['high']:.3f}]"
    note = f" ({escape(score['note'])})" if score.get("note") else ""
    return f"{score['mean']:.3f}{limits}{spread}{note}"


def _beside(name: str, rows: Sequence[TableRow]) -> str:
    """Write the paper's rows with two columns per score: published with its status, and ours."""
    published = _published_cells(name)
    names = _names(rows)
    header = [*names, *(f"{title}, {whose}" for title in SCORE_HEADER for whose in ("published", "ours"))]
    lines = []
    for row, *own in zip(rows, *names.values(), strict=True):
        pairs = [(published.get((row.title, *cell), "-"), _score(row, cell)) for cell in CELLS]
        lines.append([*own, *(text for pair in pairs for text in pair)])
    return markdown_table(header, lines)


def _published(name: str) -> str:
    cells = _published_cells(name)
    methods = dict.fromkeys(read_results(name)["method"])
    lines = [[escape(method), *(cells.get((method, *cell), "-") for cell in CELLS)] for method in methods]
    return markdown_table(["method", *SCORE_HEADER], lines)


def _published_cells(name: str) -> dict[tuple[str, str, str], str]:
    return {
        (row["method"], row["target"], row["metric"]): f"{row['value']:.2f} {row['status']}"
        for row in records(read_results(name))
    }


def published_notes(name: str) -> str:
    """Explain the statuses, and tell what is doubtful about the rows and about each number that has a source."""
    notes: dict[str, list[str]] = {}
    for row in records(read_results(name)):
        if row["status"] != NOTE_OF_UNVERIFIED:
            cell = f"{row['method']}, {row['target']} {row['metric'].upper()}"
            notes.setdefault(f"{row['status']}: {row['note']}", []).append(cell)
    parts = [STATUS_NOTE, *(f"{escape(note)} ({escape('; '.join(cells))})." for note, cells in notes.items())]
    parts += [f"Note: {escape(note)}." for note in layout_notes(name)]
    return " ".join(parts)


def _negative_control(
    name: str, expected: Sequence[Mapping[str, Any]], intervals: pd.DataFrame, setting: Mapping[str, Any]
) -> list[str]:
    """Write the scores on the negative control of a dataset, if there is one."""
    control = NEGATIVE_CONTROLS.get(name)
    wanted = [row for row in expected if row["dataset"] == control]
    own = intervals[(intervals["dataset"] == control) & (intervals["pooling"] == "pooled")]
    if own.empty and not wanted:
        return []
    caption = (
        "**SYNTHETIC data** like those above, but no motion tells the label and nothing disturbs it over time, so that "
        "a network has nothing to gain from time. Pooled over all test frames."
    )
    return ["## Negative control", caption, score_rows(lay_out(str(control), wanted, own, setting["rank"]))]
