"""What holds of any two versions of any table."""

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from hocbench.verify.compare import OUTCOMES, compare_rows
from hocbench.verify.spread import Measured, Spreads, measure
from hocbench.verify.tables import TABLES

texts = st.text(string.ascii_letters + string.digits + " .,;=|-<>\"'é", max_size=6)
numbers = st.floats(width=32).map(lambda value: f"{value:.10g}")
tables = st.sampled_from(TABLES)


@st.composite
def tabled(draw):
    """A table of any of the known kinds, with rows of any content, told apart by their keys."""
    table = draw(tables)
    columns = [*table.scored, *table.follows, *table.conclusions, "n_frames", "label", "brand_new"]
    row = st.fixed_dictionaries(
        {key: texts for key in table.keys} | {column: st.one_of(numbers, texts) for column in columns}
    )
    keyed = st.lists(row, max_size=4, unique_by=lambda row: tuple(row[key] for key in table.keys))
    return table, draw(keyed), draw(keyed)


def spreads_of(table, sd):
    """Lend the same spread to every cell."""
    return Spreads([] if sd is None else [Measured({}, sd, 5)], ())


@settings(max_examples=40)
@given(tabled())
def test_any_table_is_identical_to_itself(data):
    table, rows, others = data
    cells = compare_rows(table, rows, rows, measure(table, rows, others))
    assert all(cell.outcome == "identical" for cell in cells)
    assert len(cells) == sum(len([c for c in row if c not in (*table.keys, *table.exempt)]) for row in rows)


@settings(max_examples=40)
@given(tabled(), st.sampled_from([None, 0.0, 0.1, 1e6]))
def test_the_order_of_the_two_does_not_change_the_outcome(data, sd):
    table, rows, others = data
    swapped = {"missing": "extra", "extra": "missing"}
    there, back = ([*compare_rows(table, *pair, spreads_of(table, sd))] for pair in ((rows, others), (others, rows)))
    outcomes = {(cell.keys, cell.column): cell.outcome for cell in there}
    assert {(cell.keys, cell.column): swapped.get(cell.outcome, cell.outcome) for cell in back} == outcomes
    assert set(outcomes.values()) <= set(OUTCOMES)


@settings(max_examples=40)
@given(tabled(), st.permutations(range(4)))
def test_the_order_of_rows_does_not_matter(data, order):
    table, rows, _ = data
    shuffled = [rows[place] for place in order if place < len(rows)]
    cells = compare_rows(table, rows, shuffled, spreads_of(table, None))
    assert {cell.outcome for cell in cells} <= {"identical"}
