import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files

import pandas as pd
import pytest

from hocbench.counting import write_counts
from hocbench.errors import EvaluationError
from hocbench.evaluation import METRICS, TARGETS, read_table
from hocbench.paths import TABLES
from hocbench.reporting.tables import unconverged_note, write_tables
from tests.reporting.conftest import CP, DENSE, FRAMES, INFLATED, JOINT, SCRATCH, SETTING, SMOOTHED, UNTRAINED, row

EXPECTED = [
    row("affectnet", DENSE, None),
    row("affectnet", CP),
    row("affectnet", "CP 2-D, LASSO", lasso=0.05),
    row("affectnet", "CP 2-D, LASSO", lasso=0.1),
    row("sewa", JOINT, lasso=0.05),
    row("sewa", SCRATCH, None),
    row("sewa", JOINT, rank=0.22),
    row("sewa", UNTRAINED),
    row("sewa", CP),
    row("sewa", SMOOTHED),
    row("afew_va", INFLATED, None),
    row("afew_va", "CP 3-D from scratch", rank=8),
]
UNEXPECTED = {"affectnet": 1, "sewa": 9, "afew_va": 13}  # rows that were scored without being asked for
VOID = {"meta"}
DATA_PAGES = ("affectnet", "sewa", "afew_va", "differences", "parameters", "ranks", "cost")


class Page(HTMLParser):
    """Reads the cells of all tables and insists that each tag is closed in its place."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tables, self.text = [], [], text
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def write(evaluation, out, expected=EXPECTED):
    write_tables(evaluation, out, expected, SETTING)
    write_counts(evaluation, out, SETTING)
    return out


@pytest.fixture(scope="module")
def pages(evaluation, tmp_path_factory):
    return write(evaluation, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def real_pages(real, tmp_path_factory):
    return write(real, tmp_path_factory.mktemp("real_pages"))


def read(out, name):
    return (out / f"{name}.md").read_text()


def tables_of(page):
    """Cells of each table of a Markdown page, the header first."""
    blocks = re.findall(r"(?:^\|.*\n?)+", page, re.MULTILINE)
    rows = [[[cell.strip() for cell in line.strip("| ").split(" | ")] for line in b.splitlines()] for b in blocks]
    assert all(set(table[1]) == {"---"} for table in rows)
    return [[table[0], *table[2:]] for table in rows]


def caption(page):
    return page.split("\n\n")[1]


def keys(table):
    return [tuple(cells[:3]) for cells in table[1:]]


def number(cell):
    """Mean, low, high and spread of a cell; None for what it does not show."""
    found = re.fullmatch(r"(-?[\d.]+)(?: \[(-?[\d.]+), (-?[\d.]+)\])?(?: ± ([\d.]+))?", cell)
    return [None if text is None else float(text) for text in found.groups()]


def test_each_table_is_written_in_three_formats(pages):
    assert sorted(path.name for path in pages.iterdir()) == sorted(
        f"{name}.{kind}" for name in TABLES for kind in ("md", "html", "csv", "json")
    )


def test_the_same_evaluation_gives_the_same_bytes(evaluation, pages, tmp_path):
    write(evaluation, tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (pages / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", DATA_PAGES)
def test_synthetic_data_are_named_in_each_caption_and_real_data_never(pages, real_pages, name):
    assert "SYNTHETIC" in caption(read(pages, name))
    assert "SYNTHETIC" in (pages / f"{name}.html").read_text()
    assert "synthetic" not in read(real_pages, name).lower()
    assert "synthetic" not in (real_pages / f"{name}.csv").read_text()


def test_expected_rows_come_in_their_order_and_unexpected_ones_after_them(pages):
    for name, extra in UNEXPECTED.items():
        wanted = [
            (item["method"], "-" if item["rank"] is None else str(item["rank"]), f"{item['lasso']:g}")
            for item in EXPECTED
            if item["dataset"] == name
        ]
        found = keys(tables_of(read(pages, name))[0])
        assert found[: len(wanted)] == wanted
        assert len(found) == len(set(found)) == len(wanted) + extra


@pytest.mark.parametrize("name", ["affectnet", "sewa", "afew_va"])
def test_each_scored_method_is_in_the_table_whether_expected_or_not(evaluation, pages, name):
    scored = read_table(evaluation / "intervals.csv").query("dataset == @name")
    wanted = {(r.method, r.rank or "-", f"{r.lasso:g}") for r in scored.itertuples()}
    assert wanted <= set(keys(tables_of(read(pages, name))[0]))


def test_rows_without_a_score_are_printed_as_missing_in_every_cell(pages):
    for name, method in (("affectnet", "CP 2-D, LASSO"), ("sewa", JOINT), ("afew_va", "CP 3-D from scratch")):
        for table in tables_of(read(pages, name))[:-1]:
            gone = [cells for cells in table[1:] if "missing" in cells]
            assert [cells[0] for cells in gone] == [method]
            assert gone[0][3:] == ["missing"] * 8


def test_a_dataset_without_any_run_lists_its_rows_as_missing(scanty, tmp_path):
    write(scanty, tmp_path)
    page = read(tmp_path, "sewa")
    assert caption(page) == "No run of this dataset is finished."
    assert [cells[3:] for cells in tables_of(page)[0][1:]] == [["missing"] * 8] * 6
    assert "HO-CPConv transduction" in page


@pytest.mark.parametrize(("name", "pooling"), [("sewa", "pooled"), ("sewa", "per_video"), ("affectnet", "pooled")])
def test_the_numbers_are_those_of_the_intervals(evaluation, pages, name, pooling):
    page = read(pages, name)
    table = tables_of(page)[["pooled", "per_video"].index(pooling)]
    assert table[0][3:] == [f"{target} {metric.upper()}" for target in TARGETS for metric in METRICS]
    intervals = read_table(evaluation / "intervals.csv").query("dataset == @name and pooling == @pooling")
    compared = 0
    truths = {
        (r.method, r.rank or "-", f"{r.lasso:g}", f"{r.target} {r.metric.upper()}"): (r.mean, r.low, r.high, r.seed_sd)
        for r in intervals.itertuples()
    }
    for cells in table[1:]:
        for header, cell in zip(table[0][3:], cells[3:], strict=True):
            if cell != "missing":
                assert number(cell) == pytest.approx(list(truths[(*cells[:3], header)]), abs=5.001e-4)
                compared += 1
    assert compared == len(intervals)


def test_one_seed_has_no_spread_and_says_so(real_pages):
    page = read(real_pages, "sewa")
    assert "1 training seed(s)" in caption(page)
    cells = tables_of(page)[0][1][3:]
    assert all(number(cell)[2] is not None and number(cell)[3] is None for cell in cells)


def test_the_caption_states_the_setting_and_the_counts(pages):
    text = caption(read(pages, "afew_va"))
    for part in (
        "Profile written",
        "width 16, crops of 32 pixels",
        "480 test frames per run, 12 subjects as clusters",
        "2 training seed(s), 2 fold(s)",
        "up to 0 frames of a run have a repaired crop",
    ):
        assert part in text
    assert "30 images as clusters" in caption(read(pages, "affectnet"))


def test_repaired_frames_are_counted_in_the_caption(write_evaluation, tmp_path):
    def mark(predictions):
        predictions.loc[predictions["part"] == "test", "status"] = ["image_unreadable"] * 3 + ["ok"] * 477
        return predictions

    folder = write_evaluation("repaired", plan=lambda runs: runs(edit=mark))
    write(folder, tmp_path)
    assert "up to 3 frames of a run have a repaired crop and are scored" in caption(read(tmp_path, "sewa"))


@pytest.mark.parametrize("name", ["affectnet", "sewa", "afew_va"])
def test_published_scores_stand_apart_with_their_status(pages, name):
    ours, published = read(pages, name).split("## Published scores")
    assert "HO-CPConv" not in ours
    assert "Not comparable" in published
    with (files("hocbench.published") / "results.csv").open() as file:
        source = pd.read_csv(file).query("dataset == @name")
    (table,) = tables_of(published)
    assert [cells[0] for cells in table[1:]] == list(dict.fromkeys(source["method"]))
    shown = [cell for cells in table[1:] for cell in cells[1:] if cell != "-"]
    assert len(shown) == len(source)
    assert sorted(shown) == sorted(f"{r.value:.2f} {r.status}" for r in source.itertuples())
    assert {cell[-1] for cell in shown} <= set("PSU")
    assert "P stated by the authors, S from a secondary source, U unverified" in published


def test_differences_show_reference_interval_and_corrected_p_value(evaluation, pages):
    page = read(pages, "differences")
    (table,) = tables_of(page)
    assert table[0][4:] == ["reference", "target", "metric", "difference [95 %]", "p (Holm)"]
    source = read_table(evaluation / "differences.csv").query("metric == 'ccc'")
    assert len(table) == len(source) + 1 > 40
    for cells, truth in zip(table[1:], source.itertuples(), strict=True):
        assert cells[:2] == [truth.dataset, truth.method]
        assert cells[4:7] == [truth.reference, truth.target, "CCC"]
        signed = [float(text) for text in re.findall(r"[+-][\d.]+", cells[7])]
        assert signed == pytest.approx([truth.difference, truth.low, truth.high], abs=5.001e-4)
        assert float(cells[8]) == pytest.approx(truth.p_holm, abs=5.001e-4)
    assert {FRAMES, SMOOTHED, SCRATCH, DENSE, CP} <= set(source["reference"])
    assert "Holm-corrected over the rows of one dataset" in caption(page)


def test_what_is_not_a_number_is_printed_as_a_dash_or_left_out(evaluation, tmp_path):
    shutil.copytree(evaluation, tmp_path / "evaluation")
    path = tmp_path / "evaluation" / "differences.csv"
    table = pd.read_csv(path, dtype={"rank": str})
    table["low"] = table["high"] = float("nan")
    table["p_holm"] = 0.0001
    table.loc[table["dataset"] == "sewa", "p_holm"] = float("nan")
    table.to_csv(path, index=False)
    path.with_name("files.json").unlink(missing_ok=True)  # the seal of the tables, which the change has broken
    page = read(write(tmp_path / "evaluation", tmp_path / "out"), "differences")
    assert "nan" not in page
    for cells in tables_of(page)[0][1:]:
        assert re.fullmatch(r"[+-]\d\.\d{3}", cells[7])
        assert cells[8] == ("-" if cells[0] == "sewa" else "< 0.001")


def test_a_single_method_has_nothing_to_be_compared_with(scanty, tmp_path):
    assert "No two methods could be compared." in read(write(scanty, tmp_path), "differences")


@pytest.mark.parametrize("name", ["conventions", "special_cases"])
def test_pages_that_need_no_data_say_so_and_are_the_same_for_all_data(pages, real_pages, name):
    assert "no data" in caption(read(pages, name))
    for kind in ("md", "html", "csv"):
        text = (pages / f"{name}.{kind}").read_text()
        assert text == (real_pages / f"{name}.{kind}").read_text()
        assert "synthetic" not in text.lower()


@pytest.mark.parametrize("name", [*DATA_PAGES, "conventions", "special_cases"])
def test_the_html_is_well_formed_and_holds_all_rows(pages, name):
    page = Page((pages / f"{name}.html").read_text())
    assert page.text.startswith("<!doctype html>")
    assert page.tables == tables_of(read(pages, name))
    assert sum(len(table) for table in page.tables) > 5


@pytest.mark.parametrize("name", ["affectnet", "sewa", "afew_va"])
def test_the_csv_beside_a_table_holds_the_intervals_of_its_dataset(evaluation, pages, name):
    source = read_table(evaluation / "intervals.csv").query("dataset == @name").reset_index(drop=True)
    pd.testing.assert_frame_equal(read_table(pages / f"{name}.csv"), source)


def test_a_missing_evaluation_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(EvaluationError, match=r"intervals.csv. Run `hocbench evaluate` first"):
        write(tmp_path, tmp_path / "out")


def test_rows_that_went_through_json_are_found_again(evaluation, tmp_path, pages):
    write(evaluation, tmp_path, json.loads(json.dumps(EXPECTED)))
    assert read(tmp_path, "sewa") == read(pages, "sewa")


def test_methods_whose_last_epoch_was_the_best_are_called_unconverged():
    epochs = [("a", 0, 0), ("a", 1, 0), ("a", 2, 1), ("b", 0, 0), ("b", 1, 1), ("b", 2, 0), ("c", 0, 0), ("c", 1, 1)]
    history = pd.DataFrame(epochs, columns=["run", "epoch", "kept"])
    history["method"] = history["run"].map(
        {"a": "dense 3-D from scratch", "b": "CP 3-D from scratch", "c": "CP 2-D, LASSO"}
    )
    history["stage"] = history["run"].map({"a": "scratch", "b": "scratch", "c": "lasso"})
    history["lasso"] = 0.0
    lead = "\n**Among our rows, unconverged at this budget** (the last epoch was the best in at least one run): "
    assert unconverged_note(history) == f"{lead}dense 3-D from scratch.\n"
    assert unconverged_note(history[history["run"] != "a"]) == ""
    untrained = history[(history["run"] == "a") & (history["epoch"] == 0)].assign(kept=1)
    assert unconverged_note(untrained) == ""
