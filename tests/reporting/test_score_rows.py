"""Which rows a table of scores has: of datasets in the experiment and not, ranks, factorizations, ablations."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from hocbench.evaluation.files import read_table
from hocbench.experiment.description import KEY_COLUMNS, RowKey
from hocbench.experiment.methods import METHODS
from hocbench.experiment.records import BUILT_IN
from hocbench.reporting.layout import read_layout
from hocbench.reporting.score_page import score_page
from tests.reporting.pages import CP, EXPECTED, Page, caption, cells_of, column, description_of, tables_of

TITLES = {name: method.named("cp") for name, method in METHODS.items()}


@pytest.fixture(scope="module")
def tables(evaluation):
    return read_table(evaluation / "intervals.csv"), read_table(evaluation / "counts.csv")


@pytest.fixture(scope="module")
def description(evaluation):
    return description_of(evaluation)


def test_a_dataset_without_any_run_lists_its_rows_and_the_published_ones_apart(scanty):
    tables = read_table(scanty / "intervals.csv"), read_table(scanty / "counts.csv")
    page = score_page("sewa", *tables, description_of(scanty, datasets=BUILT_IN)).markdown()
    assert caption(page) == "No run of this dataset is finished."
    ours, theirs = tables_of(page)
    assert {cell for cells in ours[1:] for cell in cells[4:]} == {"missing", "not run"}
    assert "0.24 U" in theirs[-1]


@pytest.mark.parametrize(("name", "title"), [("sewa", "SEWA (clips)"), ("afew_va", "AFEW-VA (clips)")])
def test_a_dataset_that_is_no_part_of_the_experiment_has_its_published_scores(scanty, name, title):
    tables = read_table(scanty / "intervals.csv"), read_table(scanty / "counts.csv")
    page = score_page(name, *tables, description_of(scanty, rows=())).markdown()
    assert page.startswith(f"# {title}\n\n")
    assert caption(page) == "Not run: this dataset is no part of the experiment."
    ours, theirs = tables_of(page)
    assert column(ours, "row") == [entry["row"] for entry in read_layout(name)]
    assert {cell for cells in ours[1:] for cell in cells[4:]} == {"not run"}
    assert column(theirs, "method") == [entry["row"] for entry in read_layout(name) if entry["kind"] == "paper"]
    assert all(re.fullmatch(r"\d\.\d\d [PSU]", cell) for cells in theirs[1:] for cell in cells[1:])


def test_a_dataset_of_another_name_has_its_rows_alone(tables, description):
    mine = replace(BUILT_IN["sewa"], name="mine", title="Mine & theirs")
    intervals, counts = (table[table["dataset"] == "sewa"].assign(dataset="mine") for table in tables)
    changes = {"datasets": {"mine": mine}, "crop_size": {"mine": 40}, "rows": (RowKey("mine", "joint", *CP),)}
    page = score_page("mine", intervals, counts, replace(description, **changes)).markdown()
    assert page.startswith("# Mine & theirs (clips)\n\n")
    assert "crops of 40 pixels" in caption(page)
    pooled, _ = tables_of(page)
    assert pooled[0][:3] == ["method", "rank", "LASSO"]
    assert column(pooled, "method")[0] == TITLES["joint"]
    assert len(pooled) - 1 == len(intervals.groupby(list(KEY_COLUMNS)))
    assert "Published" not in page


def test_ablations_are_further_rows_with_a_column_of_their_own(tables, description):
    plain = score_page("sewa", *tables, description).markdown()
    assert all("ablation" not in table[0] for table in tables_of(plain))
    name = "a|b <i> & [x](y) *z*_"
    intervals = tables[0]
    extra = intervals[(intervals["dataset"] == "sewa") & (intervals["method"] == "joint")].assign(ablation=name)
    ablated = tuple(RowKey("sewa", "joint", *CP, ablation=other) for other in (name, "kernel-5"))
    both = pd.concat([intervals, extra])
    page = score_page("sewa", both, tables[1], replace(description, rows=EXPECTED + ablated))
    html = page.html("page")
    (table, *_) = Page(html).tables
    assert column(table, "ablation")[:9] == ["-"] * 9
    assert cells_of(table, "joint", ablation=name, LASSO="0")["valence CCC"] != "missing"
    assert cells_of(table, "joint", ablation="kernel-5", LASSO="0")["valence CCC"] == "missing"
    assert "<i>" not in html


def test_the_negative_control_stands_below_its_dataset(tables, description):
    assert "Negative control" not in score_page("sewa", *tables, description).markdown()
    intervals = pd.concat([tables[0], tables[0].query("dataset == 'sewa'").assign(dataset="sewa_control")])
    control = replace(BUILT_IN["sewa"], name="sewa_control", title="SEWA control", control_of="sewa")
    rows = (*EXPECTED, replace(EXPECTED[8], dataset="sewa_control"))
    description = replace(description, rows=rows, datasets=description.datasets | {"sewa_control": control})
    page = score_page("sewa", intervals, tables[1], description).markdown()
    section = page.split("## Negative control")[1].split("## Published")[0]
    assert "**SYNTHETIC data**" in section
    (table,) = tables_of(section)
    assert column(table, "method")[0] == TITLES["static"]
    assert len(table) - 1 == len(tables[0].query("dataset == 'sewa'").groupby(list(KEY_COLUMNS)))
    assert "Negative control" not in score_page("afew_va", intervals, tables[1], description).markdown()
    another = replace(control, name="shuffled", title="SEWA shuffled")
    description = replace(description, datasets=description.datasets | {"shuffled": another})
    page = score_page("sewa", intervals, tables[1], description).markdown()
    assert page.index("## Negative control: SEWA control") < page.index("## Negative control: SEWA shuffled")


@pytest.mark.parametrize("main", ["same", "0.5"])
def test_the_rows_of_the_paper_are_of_the_main_rank(tables, description, main):
    intervals = tables[0].query("dataset == 'sewa'")
    both = pd.concat([intervals, intervals[intervals["rank"] == "same"].assign(rank="0.5")])
    changes = {"rank": main, "ranks": ("same", "0.5")}
    table = tables_of(score_page("sewa", both, tables[1], replace(description, **changes)).markdown())[0]
    assert set(column(table, "rank")[:9]) == {main, "-"}
    assert len({tuple(cells[1:4]) for cells in table[1:]}) == len(table) - 1


def test_the_rows_of_the_paper_are_of_the_main_factorization(tables, description):
    intervals = tables[0].query("dataset == 'sewa'")
    other = intervals[intervals["rank"] == "same"].assign(factorization="tucker", mean=0.123)
    table = tables_of(score_page("sewa", pd.concat([intervals, other]), tables[1], description).markdown())[0]
    tucker = METHODS["joint"].named("tucker")
    assert tucker in column(table, "method")[len(read_layout("sewa")) :]
    place = column(table, "method").index(tucker)
    assert column(table, "valence CCC")[place].startswith("0.123")
    assert not cells_of(table, "joint", row="HO-CPConv transduction")["valence CCC"].startswith("0.123")
