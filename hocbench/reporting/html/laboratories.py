"""Other laboratories beside the results of a report: who they are, what they conclude, how far they are apart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.errors import HocbenchError
from hocbench.experiment.description import RowKey
from hocbench.metrics.records import PRIMARY
from hocbench.reporting.markdown import escape, records
from hocbench.reporting.merged import SPREAD, bullets, few, heterogeneity, in_order, laboratories, spread_cells
from hocbench.reporting.merged import verdicts as verdict_lines
from hocbench.reporting.pages import Block, Page, Table
from hocbench.reporting.text import dataset_title, number
from hocbench.runs.record import Record, flat
from hocbench.verify.laboratory import MANIFESTS, MORE, Laboratory, Runs, distinct_values, read_laboratory
from hocbench.verify.merge import CODE, Merged, commits_of, merge
from hocbench.verify.merge_tables import SCORE, Tables, read_tables
from hocbench.verify.runs import pair_runs

TITLE = "Laboratories"
COLUMNS = (*SPREAD[:3], SPREAD[4], SPREAD[-1])  # of all that `hocbench merge` shows of a score


@dataclass(frozen=True)
class Recorded:
    """Laboratories that are recorded beside a report's results.

    Attributes
    ----------
    merged, tables : Merged, Tables or None
        None where there are none of the same experiment, or they do not fit together.
    notes : list of str
        What has to be said first; why there are none.
    fault : str
        What is wrong with them.
    """

    merged: Merged | None = None
    tables: Tables | None = None
    notes: list[str] = field(default_factory=list)
    fault: str = ""


def read_recorded(folder: Path | None, manifests: Sequence[dict[str, Any]]) -> Recorded:
    """Read the laboratories of a reference, if they are of the same parameters as some runs.

    Parameters
    ----------
    folder : Path or None
        Of the reference.
    manifests : sequence of dict
        Of the finished runs that the report is about.
    """
    if folder is None or not (folder / MANIFESTS).is_file():
        return Recorded(notes=[f"No laboratory is recorded{f' in {folder}' if folder else ''}."])
    runs = {
        f"{manifest['spec']['key'].get('dataset')}/{manifest.get('run')}": Record(
            Path(), flat(manifest), dict(manifest.get("files", {})), ()
        )
        for manifest in manifests
    }
    try:
        first = read_laboratory(folder)
        other, notes = _compare(folder, first, runs)
        if other:
            return Recorded(notes=[other])
        merged = merge([folder])
        tables = read_tables(merged)
    except HocbenchError as error:
        return Recorded(notes=[f"What is recorded in {folder} cannot be shown; see what is missing."], fault=str(error))
    here = commits_of(distinct_values([manifest.get("revision") or {} for manifest in manifests]))
    if here != commits_of(first.revisions):
        notes.append(f"the runs of this report are of another commit ({here})")
    return Recorded(merged, tables, [*notes, *merged.notes])


def _compare(folder: Path, first: Laboratory, runs: Runs) -> tuple[str, list[str]]:
    """Return why a laboratory is of another experiment than the report, "" if it is not; and what else differs."""
    pairing = pair_runs(first.runs, runs)
    if not pairing.pairs or pairing.parameters or pairing.extra:
        differing = ", ".join(list(pairing.parameters)[:1])
        return f"The laboratories in {folder} are of other parameters{f' ({differing})' if differing else ''}.", []
    codes = {
        f"the runs of this report were trained by other code ({code.b}) than the laboratories ({code.a})"
        for comparison in pairing.comparisons.values()
        for group, differences in comparison.reasons
        if group.name == CODE
        for code in differences
    }
    return "", sorted(codes)


def laboratory_page(recorded: Recorded, claims: pd.DataFrame, intervals: pd.DataFrame) -> Page:
    """Write the laboratories, their verdicts and this report's, and the spread of the main rows' scores.

    Parameters
    ----------
    recorded : Recorded
        From `read_recorded`.
    claims, intervals : DataFrame
        This report's verdicts and scores; either may be empty.
    """
    how = (
        "To have one: send the folder that `hocbench record RESULTS --laboratory NAME` writes, and lay it into "
        f"`results/reference/{MORE}/NAME`; `hocbench merge` puts any number of them into one table."
    )
    if recorded.merged is None or recorded.tables is None:
        return Page(TITLE, [" ".join([*map(escape, recorded.notes), how])])
    tables = recorded.tables
    here = {(row["claim"], row.get("dataset", "")): row["verdict"] for row in records(claims)}
    blocks: list[Block] = [
        *([bullets(recorded.notes)] if recorded.notes else []),
        *laboratories(tables.laboratories),
        *verdict_lines(tables, here),
        f"{few(len(recorded.merged.counted))} {heterogeneity(tables)}",
        *_score_lines(tables, intervals),
        how,
    ]
    return Page(TITLE, blocks)


def _score_lines(tables: Tables, intervals: pd.DataFrame) -> list[Block]:
    """Show the primary scores of all frames of the main rows, this report's beside the laboratories'."""
    known = tables.description
    scores: dict[tuple[str, ...], float] = {}
    for row in records(intervals):
        if row.get("metric") in PRIMARY.values() and row.get("pooling") == "pooled":
            key = {name: str(row.get(name, "")) for name in SCORE} | {"lasso": f"{row['lasso']:g}"}
            scores[tuple(key.values())] = row["mean"]
    lines = []
    for row in in_order(tables.scores, known):
        main = RowKey.read(row)
        if main.lasso or not known.is_main(main):
            continue
        here = scores.get(tuple(row[name] for name in SCORE), math.nan)
        names = escape(dataset_title(main.dataset, known)), escape(known.title(main)), row["target"]
        cells = spread_cells(row)
        lines.append([*names, number(here, ".3f"), *(cells[column] for column in COLUMNS)])
    rank = f" at rank {known.rank}" if len(known.ranks) > 1 else ""
    note = (
        f"CCC of all frames{rank}, without LASSO: this run's, and the spread of the laboratories. *Between "
        "laboratories* and *between seeds* are standard deviations, τ is what laboratories differ by in all seeds "
        "alike, and *one more* where the value of one more laboratory is expected, 95 %."
    )
    return [note, Table(["data", "method", "target", "this run", *COLUMNS], lines)]
