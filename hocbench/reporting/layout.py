"""The paper's own layout: which of our methods stands in which row of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd

from hocbench.experiment.description import Description, RowKey
from hocbench.experiment.records import BUILT_IN
from hocbench.experiment.tasks import Task
from hocbench.metrics.records import METRICS, known_metrics
from hocbench.reporting.markdown import records

PAPER, CONTROL, FURTHER = "paper", "control", "further"
# What a cell says that has no score: never trained in this profile, no finished run, a score that is no number.
NOT_RUN, MISSING, FAILED = "not run", "missing", "failed"
Cell = tuple[str, str]


@dataclass(frozen=True)
class TableRow:
    """One row of a table of scores.

    Attributes
    ----------
    kind : str
        `PAPER`, `CONTROL` (one that the layout demands beside the paper's rows) or `FURTHER`.
    title : str
        Name of the row in the paper, or the short name of a control; "" otherwise.
    key : RowKey or None
        Ours; None where we have none.
    method : str
        What people read for our method; "" where we have none.
    planned : bool
        Whether the profile trains it.
    cells : mapping of (target, metric) to dict
        Rows of ``intervals.csv``, one pooling.
    """

    kind: str
    title: str
    key: RowKey | None
    method: str
    planned: bool
    cells: Mapping[Cell, dict[str, Any]]

    def absence(self, cell: Cell) -> str:
        """Say why there is no score in a cell: "" if there is one, `NOT_RUN`, `MISSING` or `FAILED`."""
        if cell in self.cells:
            return FAILED if pd.isna(self.cells[cell]["mean"]) else ""
        return MISSING if self.planned or self.cells else NOT_RUN

    @property
    def seeds(self) -> int:
        """Number of training seeds behind the scores, 0 if there is none."""
        return max((int(record["n_seeds"]) for record in self.cells.values()), default=0)


def task_of(name: str, description: Description) -> Task:
    """Return what is predicted on a dataset of the experiment, or on one with a table in the paper."""
    return (description.datasets.get(name) or BUILT_IN[name]).task


def cells_of(task: Task) -> list[Cell]:
    """List the columns of a table of scores: (target, id of the metric)."""
    return [(target, metric.id) for target in task.targets for metric in METRICS[task.kind]]


def cell_title(cell: Cell) -> str:
    """Write what a column of scores is of.

    >>> cell_title(("valence", "ccc"))
    'valence CCC'
    """
    return f"{cell[0]} {known_metrics()[cell[1]].title}"


def read_layout(table: str) -> list[dict[str, Any]]:
    """Read the rows of one of the paper's tables, and the controls that stand below them.

    Parameters
    ----------
    table : str
        A dataset, or "parameters".

    Returns
    -------
    list of dict
        kind, row (its title), method (the id of ours, "" if there is none; of "parameters" a network), lasso and note,
        in the paper's order; none if the paper has no such table.
    """
    layout = read_published("layout.csv")
    return records(layout[layout["dataset"] == table])


def layout_notes(table: str) -> list[str]:
    """List what is doubtful about the rows of a table, each doubt once."""
    return list(dict.fromkeys(entry["note"] for entry in read_layout(table) if entry["note"]))


def read_published(name: str) -> pd.DataFrame:
    """Read one of the tables in ``hocbench/published``, with what is empty as empty text."""
    with (files("hocbench.published") / name).open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False)


def lay_out(dataset: str, intervals: pd.DataFrame, description: Description) -> list[TableRow]:
    """Bring the scores of a dataset into the order of its table.

    Parameters
    ----------
    dataset : str
        Which layout.
    intervals : DataFrame
        Rows of ``intervals.csv`` of this dataset and one pooling.
    description : Description
        Rows that must be shown, the main rank, and what methods are called.

    Returns
    -------
    list of TableRow
        The paper's rows and the controls, at the main rank, without LASSO and of no ablation, whether they were run or
        not; then all further rows that are expected, in their order, and last what was scored without being expected,
        such as smoothed outputs of another network.
    """
    scores: dict[RowKey, dict[Cell, dict[str, Any]]] = {}
    for record in records(intervals):
        scores.setdefault(RowKey.read(record), {})[record["target"], record["metric"]] = record
    wanted = [key for key in description.rows if key.dataset == dataset]
    waiting = dict.fromkeys([*wanted, *scores])
    places: list[tuple[str, str, RowKey | None, str]] = []
    for entry in read_layout(dataset):
        key = main_key(dataset, entry["method"], description) if entry["method"] else None
        if key is not None:
            waiting.pop(key, None)
        places.append((entry["kind"], entry["row"], key, description.title(key) if key else ""))
    places += [(FURTHER, "", key, description.title(key)) for key in waiting]
    return [
        TableRow(kind, title, key, method, key in wanted, scores.get(key, {}) if key else {})
        for kind, title, key, method in places
    ]


def main_key(dataset: str, method: str, description: Description) -> RowKey:
    """Return the row of a method that stands for the paper's: of the main network, or without a rank."""
    if not description.methods[method].is_factorized:
        return RowKey(dataset, method)
    return RowKey(dataset, method, description.factorization, description.rank)
