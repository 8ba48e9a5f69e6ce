import re
from importlib.resources import files

import pandas as pd
import pytest

from hocbench.evaluation.files import read_table
from hocbench.experiment.methods import METHODS
from hocbench.reporting.facts import interval_words
from hocbench.reporting.layout import read_layout
from hocbench.reporting.score_page import score_page
from hocbench.runs.finished import TARGETS
from tests.reporting.pages import DATASETS, EXPECTED, caption, cells_of, column, description_of, number, tables_of

METRICS = ("rmse", "sagr", "pcc", "ccc")
SCORES = [f"{target} {metric.upper()}" for target in TARGETS for metric in METRICS]
TITLES = {name: method.named("cp") for name, method in METHODS.items()}
IDS = {title: name for name, title in TITLES.items()}
UNEXPECTED = {"affectnet": 1, "sewa": 6, "afew_va": 6}  # further rows that were scored without being asked for


@pytest.fixture(scope="module")
def tables(evaluation):
    return read_table(evaluation / "intervals.csv"), read_table(evaluation / "counts.csv")


@pytest.fixture(scope="module")
def description(evaluation):
    return description_of(evaluation)


@pytest.fixture(scope="module")
def pages(tables, description):
    return {name: score_page(name, *tables, description).markdown() for name in DATASETS}


@pytest.fixture(scope="module")
def real_tables(real):
    return read_table(real / "intervals.csv"), read_table(real / "counts.csv")


@pytest.fixture(scope="module")
def real_pages(real, real_tables):
    description = description_of(real)
    return {name: score_page(name, *real_tables, description).markdown() for name in DATASETS}


@pytest.fixture(scope="module")
def published():
    with (files("hocbench.published") / "results.csv").open() as file:
        return pd.read_csv(file)


def keys(table):
    return list(zip(*(column(table, title) for title in ("method", "rank", "LASSO")), strict=True))


def shown_key(key):
    return TITLES[key.method], key.rank or "-", f"{key.lasso:g}"


def test_the_layout_has_every_published_row_in_the_order_of_the_paper(published):
    for name, rows in published.groupby("dataset"):
        assert [entry["row"] for entry in read_layout(name) if entry["kind"] == "paper"] == list(
            dict.fromkeys(rows["method"])
        )
    with (files("hocbench.published") / "parameters.csv").open() as file:
        assert [entry["row"] for entry in read_layout("parameters")] == list(pd.read_csv(file)["network"])
    assert {entry["kind"] for name in DATASETS for entry in read_layout(name)} == {"paper", "control"}


@pytest.mark.parametrize("name", DATASETS)
def test_the_rows_of_the_paper_come_first_then_the_controls_then_all_others(pages, name):
    for table in tables_of(pages[name])[:-1]:
        layout = read_layout(name)
        titles = column(table, "row")
        assert titles[: len(layout)] == [entry["row"] for entry in layout]
        methods = [TITLES.get(entry["method"], "-") for entry in layout]
        assert column(table, "method")[: len(layout)] == methods
        assert set(titles[len(layout) :]) == {"-"}
    if name != "affectnet":
        assert column(table, "method")[6:9] == [TITLES[method] for method in ("untrained", "static_smoothed", "frames")]


@pytest.mark.parametrize("name", DATASETS)
def test_further_rows_come_in_the_expected_order_and_unexpected_ones_after_them(pages, tables, name):
    table = tables_of(pages[name])[0]
    shown, layout = keys(table), len(read_layout(name))
    assert len(shown) == len(set(shown))
    wanted = [shown_key(key) for key in EXPECTED if key.dataset == name and shown_key(key) not in shown[:layout]]
    assert shown[layout : layout + len(wanted)] == wanted
    assert len(shown) == layout + len(wanted) + UNEXPECTED[name]
    scored = tables[0].query("dataset == @name")
    assert {shown_key(r) for r in scored.itertuples()} <= set(shown)


def test_what_is_planned_without_a_score_is_missing_and_what_is_not_planned_was_not_run(pages):
    for name, absent in (("affectnet", "lasso"), ("sewa", "joint"), ("afew_va", "scratch")):
        missing = {TITLES[absent]}
        not_run = {"-"} if name == "affectnet" else {TITLES["static_dense"], TITLES["scratch_2plus1d"]}
        for table in tables_of(pages[name])[:-1]:
            for word, methods in (("missing", missing), ("not run", not_run)):
                gone = [dict(zip(table[0], cells, strict=True)) for cells in table[1:] if word in cells]
                assert {cells["method"] for cells in gone} == methods
                assert all([cells[title] for title in SCORES] == [word] * 8 for cells in gone)


def test_a_score_that_is_no_number_has_failed(tables, description):
    intervals = tables[0].copy()
    chosen = (intervals["dataset"] == "sewa") & (intervals["method"] == "static")
    intervals.loc[chosen, ["mean", "low", "high"]] = float("nan")
    page = score_page("sewa", intervals, tables[1], description).markdown()
    assert [cells_of(tables_of(page)[0], "static")[title] for title in SCORES] == ["failed"] * 8
    assert "nan" not in page


@pytest.mark.parametrize(("name", "pooling"), [("sewa", "pooled"), ("sewa", "per_video"), ("affectnet", "pooled")])
def test_the_numbers_are_those_of_the_intervals(tables, pages, name, pooling):
    table = tables_of(pages[name])[["pooled", "per_video"].index(pooling)]
    assert table[0][4:] == SCORES
    intervals = tables[0].query("dataset == @name and pooling == @pooling")
    truths = {
        (*shown_key(r), f"{r.target} {r.metric.upper()}"): (r.mean, r.low, r.high, r.seed_sd)
        for r in intervals.itertuples()
    }
    compared = 0
    for key, cells in zip(keys(table), table[1:], strict=True):
        for title, cell in zip(SCORES, cells[4:], strict=True):
            if cell not in ("missing", "not run"):
                assert number(cell) == pytest.approx(list(truths[(*key, title)]), abs=5.001e-4)
                compared += 1
    assert compared == len(intervals)


@pytest.mark.parametrize("name", DATASETS)
def test_published_scores_stand_apart_from_synthetic_ones_with_their_status(pages, published, name):
    ours, theirs = pages[name].split("## Published scores")
    assert not re.search(r"\d [PSU]\b", ours)
    assert "Not comparable" in theirs
    source = published.query("dataset == @name")
    (table,) = tables_of(theirs)
    assert column(table, "method") == list(dict.fromkeys(source["method"]))
    shown = [cell for cells in table[1:] for cell in cells[1:]]
    assert sorted(shown) == sorted(f"{r.value:.2f} {r.status}" for r in source.itertuples())
    assert "P stated by the authors, S from a secondary source, U unverified" in theirs
    assert ("calls it CCC" in theirs) == (name != "affectnet")


@pytest.mark.parametrize("name", DATASETS)
def test_real_scores_stand_beside_the_published_ones(real_pages, real_tables, published, name):
    assert "## Published scores" not in real_pages[name]
    beside, further, *_ = tables_of(real_pages[name])
    assert beside[0][4:] == [f"{title}, {whose}" for title in SCORES for whose in ("published", "ours")]
    source = published.query("dataset == @name").set_index(["method", "target", "metric"])
    intervals = real_tables[0].query("dataset == @name and pooling == 'pooled' and lasso == 0")
    ours = intervals.set_index(["method", "target", "metric"])
    assert column(beside, "row") == list(dict.fromkeys(source.index.get_level_values("method")))
    for cells in beside[1:]:
        for k, (target, metric) in enumerate((target, metric) for target in TARGETS for metric in METRICS):
            truth = source.loc[(cells[0], target, metric)]
            assert cells[4 + 2 * k] == f"{truth['value']:.2f} {truth['status']}"
            key = (IDS.get(cells[1], ""), target, metric)
            if key in ours.index:
                assert number(cells[5 + 2 * k])[0] == pytest.approx(ours.loc[key, "mean"], abs=5.001e-4)
            else:
                assert cells[5 + 2 * k] in ("missing", "not run")
    assert not set(keys(further)) & set(keys(beside))


def test_one_seed_has_no_spread_and_says_so(real_pages):
    assert "1 training seed(s)" in caption(real_pages["sewa"])
    for cell in list(cells_of(tables_of(real_pages["sewa"])[1], "static_smoothed").values())[4:]:
        assert number(cell)[2] is not None
        assert number(cell)[3] is None


def test_seeds_have_a_column_where_rows_differ(tables, pages, description):
    assert all("seeds" not in table[0] for page in pages.values() for table in tables_of(page))
    intervals = tables[0].copy()
    intervals.loc[(intervals["dataset"] == "sewa") & (intervals["method"] == "static"), "n_seeds"] = 1
    table = tables_of(score_page("sewa", intervals, tables[1], description).markdown())[0]
    shown = dict(zip(column(table, "method"), column(table, "seeds"), strict=True))
    methods = ("static", "static_smoothed", "scratch_2plus1d")
    assert [shown[TITLES[method]] for method in methods] == ["1", "2", "-"]


def test_notes_of_intervals_stand_in_their_cells(tables, description):
    intervals = tables[0].assign(note="", interval="subjects")
    chosen = (intervals["dataset"] == "sewa") & (intervals["method"] == "static") & (intervals["metric"] == "ccc")
    intervals.loc[chosen, "note"] = "constant predictions"
    cells = cells_of(tables_of(score_page("sewa", intervals, tables[1], description).markdown())[0], "static")
    assert [title for title in SCORES if "(constant predictions)" in cells[title]] == ["valence CCC", "arousal CCC"]


def test_the_caption_states_the_setting_and_the_counts(pages):
    text = caption(pages["afew_va"])
    for part in (
        "Profile written",
        "width 16, crops of 32 pixels",
        "480 test frames per run, 12 subjects as clusters",
        "2 training seed(s), 2 fold(s)",
        "up to 0 frames of a run have a repaired crop",
    ):
        assert part in text
    assert "30 images as clusters" in caption(pages["affectnet"])


def test_repaired_frames_are_counted_in_the_caption(tables, description):
    counts = tables[1].copy()
    first = counts[(counts["dataset"] == "sewa") & (counts["part"] == "test")].iloc[:1]
    counts = pd.concat([counts, first.assign(status="image_unreadable", frames=3, scored=3)])
    page = score_page("sewa", tables[0], counts, description).markdown()
    assert "up to 3 frames of a run have a repaired crop and are scored" in caption(page)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["subjects"], "over subjects, conditional on the seeds"),
        (["subjects and seeds"], "over subjects and seeds"),
        (["subjects", "subjects and seeds"], "over subjects, and over seeds where there are five or more"),
    ],
)
def test_the_interval_says_what_was_resampled(kinds, words):
    assert interval_words(pd.DataFrame({"interval": kinds}), "subjects") == (
        f"95 % studentised cluster-bootstrap interval {words}"
    )
