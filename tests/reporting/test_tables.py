import re
from dataclasses import replace

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from hocbench.errors import EvaluationError
from hocbench.evaluation.files import read_table
from hocbench.experiment.description import Description, RowKey
from hocbench.experiment.methods import METHODS
from hocbench.experiment.records import BUILT_IN
from hocbench.files.checksums import read_sealed
from hocbench.network_tables.write import write_counts
from hocbench.paths import all_tables, table_files
from hocbench.reporting.markdown import escape
from hocbench.reporting.pages import Bullets, Heading, Table, read_page
from hocbench.reporting.pages import Page as Written
from hocbench.reporting.tables import difference_page, unconverged_note, write_tables
from tests.evaluation.conftest import evaluate_written
from tests.reporting.conftest import ReportWriter
from tests.reporting.drawing import titled
from tests.reporting.pages import CP, DATASETS, Page, caption, column, read, tables_of, write

TABLES = all_tables(BUILT_IN.values())
DESCRIPTION = Description("written", 16, "same", "cp", ("same",), {}, BUILT_IN, METHODS, ())
DATA_PAGES = ("affectnet", "sewa", "afew_va", "differences", "parameters", "ranks", "cost")


@pytest.fixture(scope="module")
def pages(evaluation, tmp_path_factory):
    return write(evaluation, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def real_pages(real, tmp_path_factory):
    return write(real, tmp_path_factory.mktemp("real_pages"))


def test_the_files_are_those_that_the_workflow_expects(pages):
    assert sorted(path.name for path in pages.iterdir()) == sorted(table_files(TABLES))
    assert {path.stem for path in pages.glob("*.tex")} == {*DATASETS, "parameters"}


@pytest.mark.parametrize("name", TABLES)
def test_the_seal_lists_all_files_of_a_table(pages, name):
    beside = {path.name for path in pages.glob(f"{name}.*")} - {f"{name}.json"}
    assert set(read_sealed(pages / f"{name}.json")["files"]) == beside


def test_the_same_evaluation_gives_the_same_bytes(evaluation, pages, tmp_path):
    for path in write(evaluation, tmp_path / "again").iterdir():
        assert path.read_bytes() == (pages / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", DATA_PAGES)
def test_synthetic_data_are_named_in_each_caption_and_real_data_never(pages, real_pages, name):
    assert "SYNTHETIC" in caption(read(pages, name))
    assert "SYNTHETIC" in (pages / f"{name}.html").read_text()
    assert "synthetic" not in read(real_pages, name).lower()
    assert "synthetic" not in (real_pages / f"{name}.csv").read_text()


def test_differences_show_reference_interval_and_corrected_p_value(evaluation, pages):
    page = read(pages, "differences")
    (table,) = tables_of(page)
    assert table[0][:5] == ["dataset", "method", "rank", "LASSO", "reference"]
    source = read_table(evaluation / "differences.csv").query("metric == 'ccc'")
    assert len(source) > 40
    for title, values in (
        ("dataset", source["dataset"]),
        ("method", titled(source)["method"]),
        ("reference", titled(source, "reference")["reference"]),
        ("target", source["target"]),
        ("metric", ["CCC"] * len(source)),
    ):
        assert column(table, title) == list(values)
    for cell, p, truth in zip(
        column(table, "difference [95 %]"), column(table, "p (Holm)"), source.itertuples(), strict=True
    ):
        signed = [float(text) for text in re.findall(r"[+-][\d.]+", cell)]
        assert signed == pytest.approx([truth.difference, truth.low, truth.high], abs=5.001e-4)
        assert p == "< 0.001" or float(p) == pytest.approx(truth.p_holm, abs=5.001e-4)
    references = {"frames", "static_smoothed", "scratch_dense", "static_dense", "static"}
    assert references <= set(source["reference"])
    assert "Holm-corrected over the rows of one dataset" in caption(page)


def difference(**changes):
    shared = vars(RowKey("sewa", "static", *CP)) | {
        "reference": "frames",
        "reference_ablation": "",
        "target": "valence",
    }
    numbers = {"metric": "ccc", "difference": 0.1234, "low": 0.1, "high": 0.2, "p_holm": 0.0001, "label": "synthetic"}
    return pd.DataFrame([shared | numbers | {"effect_size": 0.5, "interval": "subjects"} | changes])


def test_what_is_not_a_number_is_printed_as_a_dash_or_left_out():
    unknown = dict.fromkeys(("low", "high", "p_holm", "effect_size"), float("nan"))
    (table,) = tables_of(difference_page(pd.concat([difference(), difference(**unknown)]), DESCRIPTION).markdown())
    assert column(table, "difference [95 %]") == ["+0.123 [+0.100, +0.200]", "+0.123"]
    assert column(table, "p (Holm)") == ["< 0.001", "-"]
    assert column(table, "effect size") == ["+0.50", "-"]


def test_ablations_have_a_column_only_where_there_are_any():
    (table,) = tables_of(difference_page(difference(), DESCRIPTION).markdown())
    assert not {"ablation", "its ablation"} & set(table[0])
    both = pd.concat([difference(), difference(ablation="a|b", reference_ablation="c")])
    (table,) = tables_of(difference_page(both, DESCRIPTION).markdown())
    assert column(table, "ablation") == ["-", r"a\|b"]
    assert column(table, "its ablation") == ["-", "c"]


def test_a_network_without_factors_is_compared_with_those_of_the_main_factorization():
    description = replace(DESCRIPTION, factorization="tucker")
    dense = difference(method="scratch_dense", factorization="", rank="", reference="static")
    (table,) = tables_of(difference_page(pd.concat([dense, difference()]), description).markdown())
    references = [METHODS["static"].named("tucker"), METHODS["frames"].named("cp")]
    assert (column(table, "reference"), column(table, "rank")) == (references, ["-", "same"])


def test_the_caption_says_what_was_resampled():
    images = difference(dataset="affectnet", interval="images")
    assert "interval over images, conditional" in difference_page(images, DESCRIPTION).markdown()
    both = difference_page(pd.concat([difference(), images]), DESCRIPTION).markdown()
    assert "interval over subjects (images on AffectNet), conditional on the seeds" in both


def test_a_single_method_has_nothing_to_be_compared_with(scanty):
    table = read_table(scanty / "differences.csv")
    assert "No two methods could be compared." in difference_page(table, DESCRIPTION).markdown()


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
    assert read_page(pages / f"{name}.json").html(name) == page.text
    assert sum(len(table) for table in page.tables) > 5


@pytest.mark.parametrize("name", TABLES)
def test_markdown_renders_with_the_cells_that_were_written(pages, name):
    page = read(pages, name)
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    widths, tables = [], []
    for token in tokens:
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append(0)
        elif token.type in ("th_open", "td_open"):
            tables[-1][-1] += 1
    widths = [[len(cells) for cells in table] for table in tables_of(page)]
    assert tables == widths
    assert not any(token.type == "html_block" for token in tokens)


def test_names_from_data_are_shown_as_they_are():
    name = r"a|b <script>alert(1)</script> [x](http://y) *z* _q_ `c` \| &amp; ~w~"
    blocks = [f"*text* {escape(name)}", Heading(escape(name)), Bullets([escape(name)])]
    table = Table(["method", "rank"], [[escape(name), "1"]])
    page = Written(escape(name), [*blocks, table]).html(name)
    assert Page(page).tables == [[["method", "rank"], [name, "1"]]]
    assert "<script" not in page and "<a " not in page
    assert page.count("&lt;script&gt;") == 7 and "<em>text</em>" in page


@pytest.mark.parametrize("name", DATASETS)
def test_the_csv_beside_a_table_holds_the_scores_of_all_seeds_and_folds_as_stored(evaluation, pages, name):
    stored = (evaluation / "scores.csv").read_text().splitlines()
    beside = (pages / f"{name}.csv").read_text().splitlines()
    assert beside == [stored[0], *(line for line in stored if line.startswith(f"{name},"))]
    scores = read_table(pages / f"{name}.csv")
    assert set(scores["seed"]) == {0, 1}
    assert set(scores["fold"]) == ({0, 1} if name == "afew_va" else {0})


def test_a_missing_evaluation_is_an_error_that_says_what_to_run(tmp_path):
    for write_pages in (write_tables, write_counts):
        with pytest.raises(EvaluationError, match=r"No meta.json in .*\. Run `hocbench evaluate` first"):
            write_pages(tmp_path, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_dataset_of_the_paper_that_is_no_part_of_the_experiment_has_a_page(scanty, tmp_path):
    out = write(scanty, tmp_path / "out", rows=())
    assert sorted(path.name for path in out.iterdir()) == sorted(table_files(TABLES))
    page = read(out, "sewa")
    assert page.startswith("# SEWA (clips)\n\nNot run: this dataset is no part of the experiment.\n\n")
    assert len(tables_of(page.split("## Published scores")[1])[0]) > 5
    assert "no part of the experiment" in (out / "sewa.tex").read_text()
    assert read_table(out / "sewa.csv").empty
    assert read(out, "affectnet").startswith("# AffectNet (images)\n\n")


def test_a_dataset_of_another_name_has_a_table_without_latex(tmp_path):
    writer = ReportWriter(tmp_path / "runs")
    for method in ("static", "joint"):
        writer("sewa", method)
    evaluation = evaluate_written(writer.paths, tmp_path / "evaluation", replicates=60)
    for name in ("intervals", "scores", "counts", "history", "differences", "trends", "costs"):
        path = evaluation / f"{name}.csv"
        path.write_text(path.read_text().replace("\nsewa,", "\nmine,"))
    mine = replace(BUILT_IN["sewa"], name="mine", title="Mine")
    changes = {"datasets": {"mine": mine}, "crop_size": {"mine": 40}}
    out = write(evaluation, tmp_path / "out", rows=[RowKey("mine", "joint", *CP)], **changes)
    assert sorted(path.name for path in out.iterdir()) == sorted(table_files(all_tables([mine])))
    assert "mine.md" in table_files(all_tables([mine]))
    assert not (out / "mine.tex").exists()
    page = read(out, "mine")
    assert page.startswith("# Mine (clips)\n\n")
    assert "Published" not in page
    assert set(read_table(out / "mine.csv")["dataset"]) == {"mine"}
    for name in DATASETS:
        assert caption(read(out, name)) == "Not run: this dataset is no part of the experiment."


def test_methods_whose_last_epoch_was_the_best_are_called_unconverged():
    epochs = [("a", 0, 0), ("a", 1, 0), ("a", 2, 1), ("b", 0, 0), ("b", 1, 1), ("b", 2, 0), ("c", 0, 0), ("c", 1, 1)]
    history = pd.DataFrame(epochs, columns=["run", "epoch", "kept"])
    methods = {"a": "scratch_dense", "b": "scratch", "c": "lasso"}
    history = history.assign(dataset="sewa", method=history["run"].map(methods), factorization="", rank="")
    history = history.assign(lasso=0.0, ablation="")
    lead = "**Among our rows, unconverged at this budget** (the last epoch was the best in at least one run): "
    assert unconverged_note(history, DESCRIPTION) == [f"{lead}dense 3-D from scratch."]
    assert unconverged_note(history[history["run"] != "a"], DESCRIPTION) == []
    untrained = history[(history["run"] == "a") & (history["epoch"] == 0)].assign(kept=1)
    assert unconverged_note(untrained, DESCRIPTION) == []
    ablated = history.assign(ablation=history["run"].map({"a": "kernel_size-5", "b": "", "c": ""}))
    assert unconverged_note(ablated, DESCRIPTION) == [f"{lead}dense 3-D from scratch, kernel\\_size-5."]
    factorized = history[history["run"] == "a"].assign(method="joint", factorization="cp", rank="0.5", lasso=0.05)
    title = METHODS["joint"].named("cp")
    assert unconverged_note(factorized, DESCRIPTION) == [f"{lead}{title}, LASSO 0.05."]
    several = replace(DESCRIPTION, ranks=("same", "0.5"))
    assert unconverged_note(factorized, several) == [f"{lead}{title}, LASSO 0.05, rank 0.5."]
