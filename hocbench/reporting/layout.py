"""The paper's own layout: which of our methods stands in which row of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd

from hocbench.reporting.main_rows import main_rank
from hocbench.reporting.markdown import records

PAPER, CONTROL, FURTHER = "paper", "control", "further"
# What a cell says that has no score: never trained in this profile, no finished run, a score that is no number.
NOT_RUN, MISSING, FAILED = "not run", "missing", "failed"
Key = tuple[str, str, float, str]
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
    method, rank, variant : str
        Ours; method is "" where we have none.
    lasso : float
        LASSO weight.
    planned : bool
        Whether the profile trains it.
    cells : mapping of (target, metric) to dict
        Rows of ``intervals.csv``, one pooling.
    """

    kind: str
    title: str
    method: str
    rank: str
    lasso: float
    variant: str
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


def read_layout(table: str) -> list[dict[str, Any]]:
    """Read the rows of one of the paper's tables, and the controls that stand below them.

    Parameters
    ----------
    table : str
        A dataset, or "parameters".

    Returns
    -------
    list of dict
        kind, row (its title), method (ours, "" if there is none), lasso and note, in the paper's order; none if the
        paper has no such table.
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


def lay_out(
    dataset: str,
    expected: Sequence[Mapping[str, Any]],
    intervals: pd.DataFrame,
    ranks: Sequence[str | float | int],
) -> list[TableRow]:
    """Bring the scores of a dataset into the order of its table.

    Parameters
    ----------
    dataset : str
        Which layout.
    expected : sequence of dict
        Rows of this dataset that must be shown, with method, rank, lasso and perhaps variant.
    intervals : DataFrame
        Rows of ``intervals.csv`` of this dataset and one pooling.
    ranks : sequence
        Those of the sweep.

    Returns
    -------
    list of TableRow
        The paper's rows and the controls, at the main rank (see `main_rank`), without LASSO and of no variant, whether
        they were run or not; then all further rows that are expected, in their order, and last what was scored without
        being expected, such as smoothed outputs of another network.
    """
    found: dict[Key, dict[Cell, dict[str, Any]]] = {}
    for record in records(intervals):
        found.setdefault(key_of(record), {})[record["target"], record["metric"]] = record
    wanted = [key_of(row) for row in expected]
    waiting = dict.fromkeys([*wanted, *found])
    main = ("", str(main_rank(ranks)))
    places: list[tuple[str, str, Key]] = []
    for entry in read_layout(dataset):
        own = [key for key in waiting if key[0] == entry["method"] and key[1] in main and key[2:] == (0.0, "")]
        key = own[0] if own else (entry["method"], "", 0.0, "")
        waiting.pop(key, None)
        places.append((entry["kind"], entry["row"], key))
    places += [(FURTHER, "", key) for key in waiting]
    return [
        TableRow(kind, title, method, rank, lasso, variant, key in wanted, found.get(key, {}))
        for kind, title, key in places
        for method, rank, lasso, variant in [key]
    ]


def key_of(row: Mapping[str, Any]) -> Key:
    """Name what tells a row of a table apart: method, rank, LASSO weight and variant."""
    rank = "" if row["rank"] is None else str(row["rank"])
    return row["method"], rank, float(row["lasso"]), row.get("variant", "")
