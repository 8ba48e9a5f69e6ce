"""Two tables compared cell by cell; pure functions on rows of text."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hocbench.verify.cells import Row, by_key
from hocbench.verify.spread import UNKNOWN, Spread, Spreads, number, spread_of
from hocbench.verify.tables import Table

IDENTICAL, WITHIN, DIFFERENT, MISSING, EXTRA = OUTCOMES = (
    "identical",
    "within tolerance",
    "different",
    "missing",
    "extra",
)
EXACT = Spread(None, "has to be equal")
FOLLOWS = "follows the scores of its row"
CONCLUSION = "same side of 0.05"
LEVEL = 0.05


@dataclass(frozen=True)
class Cell:
    """One cell of a table, in the reference and here.

    Attributes
    ----------
    table, column : str
        Where it stands.
    keys : tuple of str
        Values of the table's key columns.
    reference, value : str or None
        Its text in the reference and here; None where the cell is not there.
    difference, tolerance : float or None
        Value minus reference, and how large that may be; None where there is no such number.
    basis : str
        Where the tolerance comes from.
    outcome : str
        One of `OUTCOMES`.
    """

    table: str
    keys: tuple[str, ...]
    column: str
    reference: str | None
    value: str | None
    difference: float | None
    tolerance: float | None
    basis: str
    outcome: str

    @property
    def excess(self) -> float:
        """Difference in tolerances; infinite where none is known."""
        if self.difference is None or not self.tolerance:
            return math.inf
        return abs(self.difference) / self.tolerance


def judge(reference: str, value: str, tolerance: float | None) -> tuple[str, float | None]:
    """Compare two cells.

    Parameters
    ----------
    reference, value : str
        As they stand in the tables.
    tolerance : float or None
        How far apart two numbers may be; None if they have to be equal.

    Returns
    -------
    outcome : str
        "identical", "within tolerance" or "different".
    difference : float or None
        Value minus reference; None if one of them is no number.
    """
    numbers = number(reference), number(value)
    difference = None if None in numbers else numbers[1] - numbers[0]  # type: ignore[operator]
    if reference == value:
        return IDENTICAL, difference
    if difference is None:
        return DIFFERENT, None
    if difference == 0:
        return IDENTICAL, difference  # the same number, written differently
    # What is not finite is within no tolerance.
    within = tolerance is not None and abs(difference) <= tolerance
    return (WITHIN if within else DIFFERENT), difference


def compare_rows(table: Table, reference: Sequence[Row], here: Sequence[Row], spreads: Spreads) -> list[Cell]:
    """Compare two versions of a table.

    Parameters
    ----------
    table : Table
        What its columns mean.
    reference, here : sequence of dict
        Rows as text.
    spreads : Spreads
        Of the reference.

    Returns
    -------
    list of Cell
        In the order of the reference, then what is extra.

    Raises
    ------
    VerifyError
        If a key column is absent, or two rows have the same keys.
    """
    first = by_key(reference, table.keys, f"{table.name}.csv of the reference")
    second = by_key(here, table.keys, f"{table.name}.csv")
    cells: list[Cell] = []
    for key in dict.fromkeys((*first, *second)):
        a, b = first.get(key), second.get(key)
        if a is None or b is None:
            row = a or b or {}
            cells += [_single(table, key, column, a, b) for column in _compared(table, row)]
        else:
            cells += _compare_row(table, key, (a, b), spreads)
    return cells


def _compared(table: Table, columns: Iterable[str]) -> list[str]:
    return [column for column in columns if column not in table.keys and column not in table.exempt]


def _single(table: Table, key: tuple[str, ...], column: str, a: Row | None, b: Row | None) -> Cell:
    texts = a[column] if a else None, b[column] if b else None
    return Cell(table.name, key, column, *texts, None, None, "", MISSING if b is None else EXTRA)


def _compare_row(table: Table, key: tuple[str, ...], rows: tuple[Row, Row], spreads: Spreads) -> list[Cell]:
    a, b = rows
    cells = []
    for column in _compared(table, dict.fromkeys((*a, *b))):
        if column not in a or column not in b:
            cells.append(_single(table, key, column, a if column in a else None, b if column in b else None))
            continue
        spread = spread_of(table, spreads, a, column) if column in table.scored else EXACT
        outcome, difference = judge(a[column], b[column], spread.tolerance)
        if column in table.conclusions:
            spread, outcome = Spread(None, CONCLUSION), _conclude(a[column], b[column], outcome)
        found = (difference, spread.tolerance, spread.basis, outcome)
        cells.append(Cell(table.name, key, column, a[column], b[column], *found))
    return [_follow(cell, cells, table) if cell.column in table.follows else cell for cell in cells]


def _conclude(reference: str, value: str, outcome: str) -> str:
    numbers = number(reference), number(value)
    if outcome == IDENTICAL or None in numbers or any(math.isnan(each) for each in numbers if each is not None):
        return outcome
    below = [each is not None and each < LEVEL for each in numbers]
    return WITHIN if below[0] == below[1] else DIFFERENT


def _follow(cell: Cell, row: Sequence[Cell], table: Table) -> Cell:
    if cell.reference is None or cell.value is None or cell.outcome == IDENTICAL:
        return replace(cell, basis=FOLLOWS)
    outcomes = [each.outcome for each in row if each.column in table.scored]
    # Where no score moved, the choice has no excuse.
    moved = WITHIN in outcomes and set(outcomes) <= {IDENTICAL, WITHIN}
    return replace(cell, basis=FOLLOWS, outcome=WITHIN if moved else DIFFERENT)


def unknown_spread(cell: Cell) -> bool:
    """Whether a cell is judged different only because no spread is known."""
    return cell.outcome == DIFFERENT and cell.basis == UNKNOWN
