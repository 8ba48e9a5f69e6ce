"""What holds of any two versions of any table."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.verify.compare import OUTCOMES, Expected, compare_rows
from hocbench.verify.spread import Spreads
from hocbench.verify.tables import TABLES

texts = st.text(string.ascii_letters + string.digits + " .,;=|-<>\"'é", max_size=6)
numbers = st.floats(width=32).map(lambda value: f"{value:.10g}")
tables = st.sampled_from(TABLES)


@st.composite
def tabled(draw):
    """A table of any of the known kinds, with rows of any content in three laboratories, told apart by their keys."""
    table = draw(tables)
    columns = [*table.scored, *table.follows, "n_frames", "label", "brand_new"]
    row = st.fixed_dictionaries(
        {key: texts for key in table.keys} | {column: st.one_of(numbers, texts) for column in columns}
    )
    keyed = st.lists(row, max_size=4, unique_by=lambda row: tuple(row[key] for key in table.keys))
    return table, [draw(keyed) for _ in range(3)]


def compared(table, laboratories, here):
    there = [{tuple(row[key] for key in table.keys): row for row in rows} for rows in laboratories]
    own = {tuple(row[key] for key in table.keys): row for row in here}
    names = [str(number) for number in range(len(there))]
    expected = Expected(table, names, there, Spreads(table, laboratories), lambda key: None, 0.01, 0.001)
    return compare_rows(expected, own)


@settings(max_examples=40)
@given(tabled())
def test_any_laboratory_is_identical_to_itself(data):
    table, laboratories = data
    rows = laboratories[0]
    cells = compared(table, laboratories, rows)
    assert all(cell.outcome == "identical" for cell in cells)
    assert len(cells) == sum(len([c for c in row if c not in (*table.keys, *table.exempt)]) for row in rows)


@settings(max_examples=40)
@given(tabled())
def test_rows_of_one_side_are_missing_or_extra(data):
    table, (rows, others, _) = data
    swapped = {"missing": "extra", "extra": "missing"}
    there, back = (compared(table, [pair[0]], pair[1]) for pair in ((rows, others), (others, rows)))
    outcomes = {(cell.keys, cell.column): cell.outcome for cell in there}
    assert {(cell.keys, cell.column): swapped.get(cell.outcome, cell.outcome) for cell in back} == outcomes
    assert set(outcomes.values()) <= set(OUTCOMES)


@settings(max_examples=40)
@given(tabled(), st.permutations(range(4)))
def test_neither_the_order_of_rows_nor_that_of_the_other_laboratories_matters(data, order):
    table, (rows, *others) = data
    shuffled = [rows[place] for place in order if place < len(rows)]
    found = compared(table, [rows, *others], shuffled)
    assert {cell.outcome for cell in found} <= {"identical"}
    assert [cell.outcome for cell in compared(table, [rows, *others[::-1]], others[0])] == [
        cell.outcome for cell in compared(table, [rows, *others], others[0])
    ]
