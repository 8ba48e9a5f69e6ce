"""The report: what it shows, how the page is built, and that nothing in it is taken for HTML."""

import base64
import hashlib
import re
from dataclasses import replace
from itertools import pairwise

import pandas as pd
import pytest
from jinja2 import UndefinedError

from hocbench import paths
from hocbench.experiment.description import read_description
from hocbench.reporting.html.render import code, render
from hocbench.reporting.pages import Bullets, Heading, Page, Table, write_page
from hocbench.reporting.tables import write_tables
from hocbench.tracking.links import Link, read_link, write_link
from tests.reporting.pages import described
from tests.reporting.report_folder import DENSE, IDS, METHOD, RUNS, SMOOTHED, Reproduction, png

HOSTILE = "<script>alert('1')<b>\"&amp;"
# Markdown of its own: a picture and a link to elsewhere, and HTML.
SMUGGLED = "![x](https://example.org/x.png) [y](https://example.org) <https://example.org> <img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory):
    return Reproduction(tmp_path_factory.mktemp("report")).write()


@pytest.fixture(scope="module")
def page(reproduction):
    return reproduction.report()[1]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The page of a reproduction in which all names are dangerous."""
    runs = {f"{run}{HOSTILE}": (method, rank, seed) for run, (method, rank, seed) in RUNS.items()}
    runs["static-other"] = (f"{HOSTILE} 3-D", "0.22", 0)
    folder = tmp_path_factory.mktemp("hostile")
    written = Reproduction(folder, profile=HOSTILE, dataset=f"sewa{HOSTILE}", extra=HOSTILE + SMUGGLED, runs=runs)
    return written.write().report()[1]


def test_nothing_is_missing_of_a_whole_reproduction(reproduction):
    found, page = reproduction.report()
    assert found.gaps == []
    assert "Nothing." in page.section("missing")


def test_the_page_opens_with_the_summary_and_the_verdicts(page):
    assert [tag.attributes["id"] for tag in page.all("section") if tag.path[-1].name == "main"] == [
        *("summary", "verdicts", "laboratories", "tables", "figures", "cost", "data", "manifest", "runs", "missing")
    ]
    summary = page.section("summary")
    for text in ("written", "3 finished of 3", "SEWA 4", "0, 1", "✔ holds on synthetic data 1", "nothing"):
        assert text in summary
    assert "SYNTHETIC data (SEWA)" in page.all("p", class_=None)[1].text or "SYNTHETIC data (SEWA)" in page.source


def test_the_rank_of_scores_without_one_is_named_where_the_sweep_has_several(tmp_path, page):
    assert "Ranks" not in page.section("summary")
    several = Reproduction(tmp_path, ranks=("0.22", "8")).write().report()[1].section("summary")
    assert "Ranks0.22, 8; verdicts, and scores without a rank of their own, are of rank 0.22" in several


def test_a_verdict_is_a_sign_and_words_with_all_that_is_said_about_it(page):
    (row,) = [row for row in page.inside("verdicts", "tr") if "statement 1" in row.text]
    assert "✔ holds on synthetic data" in row.text
    assert "reason 1" in row.text
    behind = page.section("verdict-1")
    assert "protocol 1" in behind
    assert "change 1" in behind
    for text in (
        "paired difference",
        "0.068 [0.055,\xa00.084]",
        "≥ -0.02",
        "published 0.71 (S)",
        "inside",
        "<\xa00.001",
        "40",
    ):
        assert text in behind
    assert "No row of evidence" in page.section("verdict-2")


def test_what_the_verdicts_hang_on_stands_below_them(page):
    (row,) = [row for row in page.inside("margins", "tr") if "C1" in row.text]
    for text in (
        "SEWA",
        f"{METHOD} against {DENSE}, difference of CCC",
        "≥ -0.02",
        "above 0.055: inconclusive",
        "never",
    ):
        assert text in row.text
    behind = page.section("verdict-1")
    assert "0: holds on synthetic data; 1: inconclusive" in behind and "2026-11-26" in behind


def test_every_table_and_figure_is_there(page, reproduction):
    for name in reproduction.tables:
        part = "cost" if name == "cost" else "tables"
        assert any(f"Title of {name}" in tag.attributes.get("aria-label", "") for tag in page.inside(part, "div"))
    pictures = page.inside("figures", "img")
    assert [tag.attributes["alt"].split()[2] for tag in pictures] == list(paths.FIGURES)
    for tag in pictures:
        assert (tag.attributes["width"], tag.attributes["height"]) == ("12", "7")
        assert base64.b64decode(tag.attributes["src"].removeprefix("data:image/png;base64,")).startswith(b"\x89PNG")
    assert f"What {paths.FIGURES[0]} states" in page.section("figures")


def test_rows_of_tables_lead_to_their_runs(page):
    links = {tag.text: tag.attributes["href"][1:] for tag in page.inside("table-2", "a")}
    assert set(links) == {METHOD, DENSE, SMOOTHED}
    assert {tag.text: tag.attributes["href"][1:] for tag in page.inside("cost", "a")} == links
    for method in (METHOD, DENSE):
        (head,) = [tag for tag in page.all("tr") if tag.attributes.get("id") == links[method]]
        body = head.path[-1].text
        own = [run for run, (name, *_) in RUNS.items() if name == method]
        assert all(run in body for run in own)
        assert not any(run in body for run in set(RUNS) - set(own))
    (body,) = [tag for tag in page.all("tbody") if tag.attributes.get("id") == links[SMOOTHED]]
    (origin,) = [tag for tag in page.all("a") if body in tag.path]
    assert origin.attributes["href"][1:] == links[METHOD]


def test_rows_of_tables_as_they_are_written_lead_to_their_runs(evaluation, tmp_path):
    results = tmp_path / "results"
    description = read_description(evaluation)
    control = replace(description.datasets["afew_va"], title="AFEW-VA control", control_of="sewa")
    datasets = description.datasets | {"afew_va": control}
    write_tables(described(evaluation, results / "evaluation", datasets=datasets), results / "tables")
    page = Reproduction(tmp_path).report(results=results)[1]
    for anchor in ("table-1", "table-2", "cost"):
        cells = [tag for tag in page.inside(anchor, "td") if tag.attributes.get("class") == "method"]
        links = {id(tag.path[-1]) for tag in page.inside(anchor, "a")}
        unlinked = [cell for cell in cells if id(cell) not in links and cell.text != "-"]
        # What was never run has no runs, and what others have published neither.
        ours = [cell.text for cell in unlinked if cell.text in IDS and "not run" not in cell.path[-1].text]
        assert len(links) >= 4 and not ours, anchor
    linked = {tag.text for tag in page.inside("table-2", "a")}
    assert {"dense 2-D inflated to 3-D", "CP 2-D, static + moving average"} <= linked


def test_a_run_has_its_log_its_job_and_its_place_in_mlflow(page, reproduction):
    (row,) = [tag for tag in page.inside("runs", "tr") if "static-seed1-5678" in tag.text]
    log = reproduction.logs / "fit" / "sewa" / "static-seed1-5678.log"
    for text in ("finished", log.as_posix(), "106 s, 834 MiB", "cpu, 1 thread(s)", "#/experiments/1/runs/feed1"):
        assert text in row.text
    (link,) = [tag for tag in page.all("a") if row in tag.path]
    assert link.attributes["href"] == "http://127.0.0.1:5000/#/experiments/1/runs/feed1"


def test_a_row_leads_to_its_runs_by_its_key_whatever_stands_in_its_cells(tmp_path):
    written = Reproduction(tmp_path, dataset="sewa_control").write()
    keys = [written.key(DENSE, ""), replace(written.key(DENSE, ""), dataset="sewa"), None]
    blocks = [Heading("Any"), Table(["of", "method"], [["x", "renamed"], ["x", DENSE], ["x", DENSE]], keys)]
    write_page(written.results / "tables" / "sewa", Page("SEWA", blocks), pd.DataFrame())
    page = written.report()[1]
    (link,) = page.inside(f"table-{written.tables.index('sewa') + 1}", "a")
    (head,) = [tag for tag in page.tags if tag.attributes.get("id") == link.attributes["href"][1:]]
    assert link.text == "renamed" and "static-dense-9abc" in head.path[-1].text


def test_the_speed_benchmark_is_shown_where_it_was_run(tmp_path, page):
    assert "snakemake speed runs it" in page.section("cost")
    written = Reproduction(tmp_path).write()
    speed = written.results / "speed"
    speed.mkdir()
    (speed / "speed.png").write_bytes(png())
    blocks = ["**Quick** <b>", Heading("Bars"), Bullets(["a", "b"]), Table(["bar"], [["1.2"]])]
    write_page(speed / "speed", Page("Speed", blocks), pd.DataFrame())
    found, page = written.report()
    assert found.gaps == [] and len(page.inside("speed", "img")) == 1
    assert [tag.text for tag in page.inside("speed", "h4")] == ["Bars"]
    assert [tag.text for tag in page.inside("speed", "li")] == ["a", "b"]
    assert "Speed benchmark" in page.section("speed") and "Quick <b>" in page.section("speed")


def test_data_and_manifest_are_summed_up(page):
    data = page.section("data")
    for text in ("6,400", "6,357", "landmarks_failed", "43", "sewa: usable", "1,280", "398 published (P)"):
        assert text in data
    manifest = page.section("manifest").replace("\n", "")
    for text in ("0ced63ec1ffee5d1", "torch2.13.0", "fast", "training.epochs3 (1); 4 (1); 5 (1)", "deterministicTrue"):
        assert text in manifest
    assert "somebody" not in page.source


def test_real_data_are_not_called_synthetic(tmp_path):
    found, page = Reproduction(tmp_path, label="real").write().report()
    assert "SYNTHETIC" not in page.source
    assert "Real data: SEWA" in page.section("summary") or "Real data" in page.all("header")[0].text
    assert found.labels == {"sewa": {"real"}}


def test_the_same_files_give_the_same_bytes(reproduction):
    first, second = (reproduction.report()[1].source for _ in range(2))
    assert first == second


@pytest.mark.parametrize("which", ["page", "hostile"])
def test_the_page_is_well_built(which, request):
    page = request.getfixturevalue(which)
    assert page.all("html")[0].attributes == {"lang": "en"}
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("nav")) == 1
    ids = [tag.attributes["id"] for tag in page.tags if tag.attributes.get("id") is not None]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in ids)
    for tag in page.all("a"):
        address = tag.attributes["href"]
        assert address[1:] in ids if address.startswith("#") else address.startswith("http://127.0.0.1:5000/#/")
    assert all(tag.attributes["alt"].strip() for tag in page.all("img"))
    assert all(tag.attributes["scope"] in ("col", "row", "rowgroup") for tag in page.all("th"))
    levels = [int(tag.name[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag.name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for tag in page.tags:
        if "aria-labelledby" in tag.attributes:
            assert tag.attributes["aria-labelledby"] in ids
    listed = {tag.attributes["href"][1:] for tag in page.all("a") if any(outer.name == "nav" for outer in tag.path)}
    assert {tag.attributes["id"] for tag in page.all("section") if tag.path[-1].name == "main"} <= listed


@pytest.mark.parametrize("which", ["page", "hostile"])
def test_the_page_loads_and_runs_nothing(which, request):
    page = request.getfixturevalue(which)
    names = {tag.name for tag in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base", "audio", "video", "b"}
    for tag in page.tags:
        assert tag.attributes.get("src", "data:").startswith("data:")
        assert not [name for name in tag.attributes if name.startswith("on") or name in ("style", "srcset")]
    (policy,) = [tag.attributes["content"] for tag in page.all("meta") if "http-equiv" in tag.attributes]
    (style,) = page.all("style")
    digest = base64.b64encode(hashlib.sha256(style.text.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_names_from_data_are_text(hostile):
    sewa = f"sewa{HOSTILE}"
    assert hostile.all("h1")[0].text == f"hocbench report: {HOSTILE}"
    assert HOSTILE in hostile.all("title")[0].text
    for anchor in ("summary", "verdicts", "figures", "data", "manifest", "runs"):
        assert HOSTILE in hostile.section(anchor), anchor
    assert HOSTILE in hostile.section("tables")
    assert f"{HOSTILE} 3-D" in hostile.section("runs")
    assert f"static-1234{HOSTILE}" in hostile.section("runs")
    assert f"{sewa}: usable {HOSTILE}" in hostile.section("data")
    assert "![x](https://example.org/x.png)" in hostile.section("tables")
    assert all(HOSTILE in tag.attributes["alt"] for tag in hostile.inside("figures", "img"))


def test_text_is_escaped_and_backticks_are_code():
    assert code("run `hocbench <x>` & go") == "run <code>hocbench &lt;x&gt;</code> &amp; go"
    assert code("one ` alone <") == "one ` alone &lt;"
    page = render("page.html", page=Page("a", ["<script>"]), title="<script>alert(1)</script>")
    assert "<title>&lt;script&gt;alert(1)&lt;/script&gt;</title>" in page and "<script" not in page


def test_a_name_that_a_template_does_not_know_is_an_error():
    with pytest.raises(UndefinedError, match="'title' is undefined"):
        render("page.html", page=Page("a", []))


def test_links_to_mlflow_are_kept_and_damaged_ones_are_none(tmp_path):
    link = Link("3", "abc", "https://mlflow.example.org")
    write_link(tmp_path, "sewa/run-1", link)
    assert read_link(tmp_path, "sewa/run-1") == link
    assert read_link(tmp_path, "sewa/run-2") is None
    (file,) = (tmp_path / "links").iterdir()
    file.write_text("{}")
    assert read_link(tmp_path, "sewa/run-1") is None
