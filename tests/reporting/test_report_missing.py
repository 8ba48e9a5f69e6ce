"""An incomplete folder of results is named precisely, and the rest is still reported."""

import json
import shutil

import pytest

from hocbench import paths
from tests.reporting.report_folder import DENSE, METHOD, SMOOTHED, Reproduction


@pytest.fixture
def reproduction(tmp_path):
    return Reproduction(tmp_path).write()


def gaps(found):
    return [f"{gap.what}: {gap.why} {' '.join(gap.items)}".strip() for gap in found.gaps]


def spoil(path):
    path.write_bytes(path.read_bytes()[:-2] + b"0\n")


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


FIGURE = paths.FIGURES[0]
CASES = {
    "claims": ("claims", remove, "Verdicts: no verdict on the claims yet", "verdicts"),
    "evidence": ("claims/evidence.csv", remove, "Verdicts: no evidence beside the verdicts", None),
    "margins": ("claims/margins.csv", remove, "Verdicts: nothing on what the verdicts hang on", None),
    "damaged claims": ("claims/claims.csv", spoil, "claims.csv is damaged", "verdicts"),
    "seal of claims": ("claims/claims.json", spoil, "claims.json is damaged", "verdicts"),
    "evaluation": ("evaluation", remove, "Evaluation: no folder", None),
    "costs": ("evaluation/costs.csv", remove, "Evaluation: files absent from", None),
    "description": ("evaluation/meta.json", remove, "Evaluation: files absent from", None),
    "damaged description": ("evaluation/meta.json", spoil, "meta.json is damaged", None),
    "damaged costs": ("evaluation/costs.csv", spoil, "costs.csv is damaged", None),
    "table": ("tables/sewa.json", remove, "Table sewa: ", None),
    "damaged table": ("tables/sewa.json", spoil, "sewa.json is damaged", None),
    "all tables": ("tables", remove, "Table affectnet: ", "tables"),
    "figure": (f"figures/{FIGURE}.png", remove, f"Figure {FIGURE}: ", None),
    "damaged figure": (f"figures/{FIGURE}.png", spoil, f"{FIGURE}.png is no whole PNG picture", None),
    "text of a figure": (f"figures/{FIGURE}.json", remove, f"Figure {FIGURE}: title, caption and description", None),
    "all figures": ("figures", remove, f"Figure {FIGURE}: ", "figures"),
    "runs": ("runs", remove, "Runs: 3 of 3 not finished", "manifest"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_absent_or_damaged_is_named_and_the_rest_reported(reproduction, case):
    where, damage, message, emptied = CASES[case]
    damage(reproduction.results / where)
    found, page = reproduction.report()
    told = gaps(found)
    assert any(message in gap for gap in told), told
    assert all(gap.what in page.section("missing") for gap in found.gaps)
    for anchor, text in {
        "verdicts": "statement 1",
        "tables": "Title of differences",
        "figures": f"What {paths.FIGURES[1]} states",
        "data": "6,400",
        "manifest": "2.13.0",
    }.items():
        assert (text in page.section(anchor)) == (anchor != emptied), anchor


def test_without_a_description_methods_and_data_of_ours_have_their_titles(reproduction):
    (reproduction.results / "evaluation" / "meta.json").unlink()
    page = reproduction.report()[1]
    assert {tag.text for tag in page.inside("table-2", "a")} == {METHOD, DENSE, SMOOTHED}
    assert "SEWA: 3 runs" in page.section("runs")


def test_a_figure_without_text_is_shown_under_its_name(reproduction):
    (reproduction.results / "figures" / f"{FIGURE}.json").unlink()
    page = reproduction.report()[1]
    alts = [tag.attributes["alt"] for tag in page.inside("figures", "img")]
    assert alts[0] == f"Figure “{FIGURE.replace('_', ' ')}”; no description of it was recorded."
    assert len(alts) == len(paths.FIGURES)


def test_a_run_that_failed_is_named_with_the_end_of_its_log(reproduction):
    run = reproduction.results / "runs" / "sewa" / "static-1234"
    (run / "manifest.json").unlink()
    log = reproduction.logs / "fit" / "sewa" / "static-1234.log"
    log.write_text("epoch 0\nhocbench: error: out of <memory>\n\n")
    found, page = reproduction.report()
    expected = "sewa/static-1234: its directory has no manifest.json; its log ends: hocbench: error: out of <memory>"
    assert any("Runs: 1 of 3 not finished" in gap and expected in gap for gap in gaps(found))
    assert expected in page.section("missing")
    (row,) = [tag for tag in page.inside("runs", "tr") if "static-1234" in tag.text]
    assert "not finished" in row.text
    assert "2 finished of 3" in page.section("summary")


def test_a_run_that_lacks_a_file_or_was_changed_is_damaged(reproduction):
    runs = reproduction.results / "runs" / "sewa"
    (runs / "static-1234" / "history.csv").unlink()
    manifest = runs / "static-dense-9abc" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"cpu"', '"gpu"'))
    found, _ = reproduction.report()
    (gap,) = [gap for gap in gaps(found) if gap.startswith("Runs")]
    assert gap.startswith("Runs: 2 of 3 damaged")
    assert "its directory lacks history.csv" in gap
    assert "it was changed after it was written" in gap


def test_planned_runs_are_all_listed_and_what_is_of_other_parameters_is_left_out(reproduction):
    left = reproduction.results / "runs" / "sewa" / "joint-of-old-parameters"
    left.mkdir()
    planned = ["sewa/static-1234", "sewa/static-seed1-5678", "sewa/joint-ffff"]
    found, page = reproduction.report(planned=planned)
    told = gaps(found)
    assert any("Runs: 1 of 4 absent sewa/joint-ffff: no directory and no log" in gap for gap in told)
    assert "Evaluation: runs in it that the parameters no longer ask for sewa/static-dense-9abc" in told
    assert left.name not in page.source
    assert any(f"sewa/{left.name}: its directory has no manifest.json" in gap for gap in gaps(reproduction.report()[0]))


def test_a_finished_run_that_was_not_scored_is_named(reproduction):
    old = reproduction.results / "runs" / "sewa" / "static-1234"
    new = shutil.copytree(old, old.with_name("static-new"))
    found, page = reproduction.report()
    assert "Evaluation: finished runs that are not in it; run `hocbench evaluate` sewa/static-new" in gaps(found)
    assert new.name in page.section("runs")
    assert "In no table" in page.section("runs")


def test_runs_of_several_profiles_are_named(reproduction):
    path = reproduction.results / "runs" / "sewa" / "static-1234" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["seal"]
    manifest["spec"]["profile"] = "other"
    path.write_text(json.dumps(manifest))
    found, page = reproduction.report()
    assert "Runs: they are of several profiles: other, written" in gaps(found)
    assert page.all("h1")[0].text == "hocbench report: folder"


@pytest.mark.parametrize("name", ["check.txt", "crops.json", "splits.json", "ledger.csv"])
def test_missing_records_of_the_data_are_named(reproduction, name):
    path = reproduction.prepared / "sewa" / name
    path.unlink()
    found, page = reproduction.report()
    assert any(gap.startswith("Data of sewa") and str(path) in gap for gap in gaps(found))
    assert f"Missing: {path}" in page.section("data")


def test_a_run_that_mlflow_does_not_know_is_not_tracked(reproduction):
    links = reproduction.tracking / "links"
    (links / "sewa.static-1234.json").unlink()
    (reproduction.tracking / "outbox").mkdir()
    (reproduction.tracking / "outbox" / "sewa.static-dense-9abc.jsonl").write_text("{}\n")
    found, page = reproduction.report()
    rows = {run: tag.text for tag in page.inside("runs", "tr") for run in ("1234", "9abc") if run in tag.text}
    assert "not tracked" in rows["1234"]
    assert "not all delivered; run hocbench mlflow sync" in rows["9abc"]
    assert "MLflow: 1 of 3 runs are not tracked; nothing depends on it" in gaps(found)


def test_nothing_at_all_is_a_report_too(tmp_path):
    empty = Reproduction(tmp_path)
    empty.results.mkdir(parents=True)
    found, page = empty.report()
    assert found.profile == "folder"
    assert "Unknown data" in page.all("header")[0].text
    assert {gap.what for gap in found.gaps} >= {"Evaluation", "Verdicts", "Runs", f"Figure {FIGURE}", "Table sewa"}
    assert "0 finished of 0" in page.section("summary")


def test_the_command_writes_a_report_and_names_what_is_missing(reproduction, hocbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    remove(reproduction.results / "claims")
    out = tmp_path / "new" / "report.html"
    places = ["--prepared", reproduction.prepared, "--logs", reproduction.logs]
    code, output, _ = hocbench("report", reproduction.results, out, *places)
    assert code == 0
    assert f"{out}: 3 runs" in output
    assert "missing: Verdicts: no verdict on the claims yet" in output
    assert out.read_text().startswith("<!doctype html>")
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no folder of results at nowhere; give results/PROFILE of a reproduction"),
        ([".", "joint"], "'joint' is no DATASET/RUN; give names such as sewa/joint-84c648e6"),
        ([".", "sewa/joint-84c648e6", "runs/sewa/joint-84c648e6"], "'runs/sewa/joint-84c648e6' is no DATASET/RUN"),
    ],
)
def test_mistakes_are_explained(hocbench, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    results, *runs = arguments
    code, _, error = hocbench("report", results, "out.html", *runs, "--prepared", "data", "--logs", "logs")
    assert code == 2
    assert message in error
    assert not (tmp_path / "out.html").exists()
