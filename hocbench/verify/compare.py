"""Two tables compared cell by cell; pure functions on rows of text."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from hocbench.verify.cells import Row, by_key, number
from hocbench.verify.spread import UNKNOWN, Spreads
from hocbench.verify.tables import RUN, Table, is_headline

OUTCOMES = ("identical", "within tolerance", "unusual", "different", "missing", "extra")
IDENTICAL, WITHIN, UNUSUAL, DIFFERENT, MISSING, EXTRA = OUTCOMES
EXACT = "has to be equal"
FOLLOWS = "follows the scores of its row"
SAME_RUNS = "the same predictions as in {}, so equal but for rounding"
LARGEST = "has to be the window of the largest mean CCC"
CHOSEN, MEAN = "chosen", "mean_ccc"
MOST = 0.5
ROUNDING = 1e-6  # relative: tables have ten digits, and sums of many frames lose some of them
Key = tuple[str, ...]
Judged = tuple[float | None, float | None, str, str]  # the last four attributes of a cell


@dataclass(frozen=True)
class Cell:
    """One cell of a table, in the reference and here.

    Attributes
    ----------
    table, column, keys : str, str, tuple of str
        Where it stands; keys are the values of the table's key columns.
    reference, value : str or None
        Its text in the reference's own laboratory and here; None where the cell is not there.
    difference, tolerance : float or None
        Value minus what is expected, and how large that may be; None where there is no such number.
    basis, outcome : str
        Where the tolerance comes from, and one of `OUTCOMES`.
    """

    table: str
    keys: Key
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

    @property
    def is_of_unknown_spread(self) -> bool:
        """Whether it is different only because no spread is known."""
        return self.outcome == DIFFERENT and self.basis == UNKNOWN


@dataclass(frozen=True)
class Expected:
    """What the rows of one table are compared with.

    Attributes
    ----------
    table : Table
        What its columns mean.
    names, rows : list of str, list of dict
        Of the laboratories, the reference's own first: what they are called, and their rows by key.
    spreads : Spreads
        Between the laboratories.
    same : callable
        By the key of a row, the number of the laboratory whose runs of that row gave the same outputs as those here, or
        None.
    level, headline_level : float
        Probability with which one more laboratory may miss a cell, and one for which
        `hocbench.verify.tables.is_headline` is true.
    """

    table: Table
    names: list[str]
    rows: list[dict[Key, Row]]
    spreads: Spreads
    same: Callable[[Key], int | None]
    level: float
    headline_level: float


def rows_by_key(table: Table, rows: Sequence[Row], where: str) -> dict[Key, Row]:
    """Index the rows of a table that are compared; see `hocbench.verify.cells.by_key`."""
    index = by_key(rows, table.keys, f"{table.name}.csv{where}")
    if not table.last:
        return index
    place = table.keys.index(table.last)
    ends: dict[Key, Key] = {}
    for key in index:
        curve = (*key[:place], *key[place + 1 :])
        if curve not in ends or float(key[place]) > float(ends[curve][place]):
            ends[curve] = key
    return {key: index[key] for key in ends.values()}


def compare_rows(expected: Expected, here: dict[Key, Row]) -> list[Cell]:
    """Compare rows by key, from `rows_by_key`, with the laboratories': their cells in order, then extra ones."""
    first = expected.rows[0]
    keys = dict.fromkeys((*first, *here))
    return [cell for key in keys for cell in _compare_row(expected, key, first.get(key, {}), here.get(key, {}))]


def _compare_row(expected: Expected, key: Key, a: Row, b: Row) -> list[Cell]:
    """Compare a row; of one that is on one side only, the other is empty."""
    table, same = expected.table, expected.same(key) if a and b else None
    twin = None if same is None else expected.rows[same].get(key)
    cells = []
    for column in dict.fromkeys((*a, *b)):
        if column in table.keys or column in table.exempt:
            continue
        reference, value = a.get(column), b.get(column)
        if reference is None or value is None:
            judged: Judged = None, None, "", MISSING if value is None else EXTRA
        elif same is not None and twin is not None and column in twin:
            judged = _equal(reference, twin[column], value, expected.names[same])
        else:
            judged = _predicted(expected, (key, column), reference, value)
        cells.append(Cell(table.name, key, column, reference, value, *judged))
    if twin is not None or not (a and b):
        return cells
    return [_follow(cell, cells, table) if cell.column in table.follows else cell for cell in cells]


def _equal(reference: str, twin: str, value: str, name: str) -> Judged:
    """Judge a cell whose runs gave the same outputs in some laboratory: nothing but the last digits may differ."""
    outcome, difference = judge(twin, value)
    tolerance = None if difference is None else ROUNDING * max(abs(number(twin) or 0.0), 1e-3)
    if outcome == DIFFERENT and difference is not None and tolerance is not None and abs(difference) <= tolerance:
        outcome = WITHIN
    if outcome == IDENTICAL and reference != twin:
        outcome = WITHIN  # not as in the reference's own laboratory
    return difference, tolerance, SAME_RUNS.format(name), outcome


def _predicted(expected: Expected, place: tuple[Key, str], reference: str, value: str) -> Judged:
    """Judge a cell by where one more laboratory is expected, if it is a score, or else by its text."""
    outcome, difference = judge(reference, value)
    if not expected.table.is_scored(place[1]):
        return difference, None, EXACT, outcome
    prediction, headline = expected.spreads.of(*place), is_headline(expected.table, *place)
    tolerance = prediction.half_width(expected.headline_level if headline else expected.level)
    if prediction.centre is not None:
        here = number(value)
        difference = None if here is None else here - prediction.centre
        if tolerance is not None and outcome == DIFFERENT:
            # What is no number, or not finite, is within no tolerance: limits of an interval that cannot be had.
            inside = difference is not None and math.isfinite(difference) and abs(difference) <= tolerance
            outside = DIFFERENT if headline or not tolerance else UNUSUAL
            outcome = WITHIN if inside else outside
    return difference, tolerance, prediction.basis, outcome


def judge(reference: str, value: str) -> tuple[str, float | None]:
    """Compare two texts: whether they are "identical", also as numbers, or "different", and value minus reference.

    The difference is None if one of them is no number.
    """
    numbers = number(reference), number(value)
    difference = None if None in numbers else numbers[1] - numbers[0]  # type: ignore[operator]
    return (IDENTICAL if reference == value or difference == 0 else DIFFERENT), difference


def _follow(cell: Cell, row: Sequence[Cell], table: Table) -> Cell:
    if cell.reference is None or cell.value is None or cell.outcome == IDENTICAL:
        return replace(cell, basis=FOLLOWS)
    outcomes = {other.outcome for other in row if table.is_scored(other.column)}
    # Where no score moved, the choice has no excuse.
    moved = outcomes & {WITHIN, UNUSUAL} and DIFFERENT not in outcomes
    return replace(cell, basis=FOLLOWS, outcome=WITHIN if moved else DIFFERENT)


def check_choices(cells: Sequence[Cell], rows: Iterable[Row]) -> list[Cell]:
    """Call chosen windows different where the table itself has another one with a larger mean CCC on validation.

    Of equals, the shortest is right. ``cells`` are those of the table of windows, ``rows`` its rows here.
    """
    best: dict[Key, tuple[float, float]] = {}
    for row in rows:
        run = tuple(row.get(name, "") for name in RUN)
        score, window = number(row.get(MEAN, "")), number(row["window"])
        if score is not None and window is not None:
            best[run] = max(best.get(run, (-math.inf, 0.0)), (score, -window))
    wrong = set()
    for row in rows:
        run = tuple(row.get(name, "") for name in RUN)
        if row.get(CHOSEN) == "1" and run in best and number(row["window"]) != -best[run][1]:
            wrong.add((*run, row["window"]))
    return [
        replace(cell, outcome=DIFFERENT, basis=LARGEST) if cell.column == CHOSEN and cell.keys in wrong else cell
        for cell in cells
    ]


def settle(expected: Expected, cells: Sequence[Cell]) -> list[Cell]:
    """Call the unusual cells of a method different, if most of its cells are unusual.

    One cell among thousands may be unusual by chance, and its like with it. A method of which most cells are is another
    one. Under full dependence that is as improbable as one cell outside, else less. Cells in which laboratories do not
    differ are not counted.
    """
    table, spreads = expected.table, expected.spreads
    counts: dict[Key, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        if table.is_scored(cell.column) and spreads.differ(cell.keys, cell.column):
            counts[table.block(cell.keys)][cell.outcome] += 1
    other = {block for block, outcomes in counts.items() if outcomes[UNUSUAL] > MOST * outcomes.total()}
    return [
        replace(cell, outcome=DIFFERENT) if cell.outcome == UNUSUAL and table.block(cell.keys) in other else cell
        for cell in cells
    ]
