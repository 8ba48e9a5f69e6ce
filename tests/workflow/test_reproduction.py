"""The whole DAG on the tiny profile: every layer runs, and nothing runs twice."""

import json

import pytest

from hocbench import paths
from hocbench.experiment.description import read_description
from tests.conftest import run_snakemake
from tests.reporting.report_folder import Reader

pytestmark = pytest.mark.workflow
RESULTS = "results/tiny"


def tables_of(folder):
    return paths.all_tables(read_description(folder / RESULTS / "evaluation").datasets.values())


def test_all_promised_files_are_there(tiny_reproduction):
    results = tiny_reproduction / RESULTS
    for name in paths.table_files(tables_of(tiny_reproduction)):
        assert (results / "tables" / name).stat().st_size > 0
    for name in paths.FIGURES:
        assert (results / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (results / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_report_holds_every_table_figure_and_run_and_needs_no_network(tiny_reproduction):
    page = Reader((tiny_reproduction / RESULTS / "report.html").read_text())
    titles = [tag.text for tag in page.inside("tables", "h3")]
    for name in set(tables_of(tiny_reproduction)) - {"cost"}:
        title = (tiny_reproduction / RESULTS / "tables" / f"{name}.md").read_text().splitlines()[0]
        assert title.removeprefix("# ") in titles
    assert len(page.inside("figures", "img")) == len(paths.FIGURES)
    assert "SYNTHETIC" in page.all("header")[0].text
    runs = list((tiny_reproduction / RESULTS / "runs").glob("*/*"))
    listed = page.section("runs")
    assert all(f"logs/tiny/fit/{run.parent.name}/{run.name}.log" in listed for run in runs)
    pages = {tag.attributes["href"] for tag in page.inside("runs", "a") if "/runs/" in tag.attributes["href"]}
    assert len(pages) == len(runs)
    assert f"{len(runs)} finished of {len(runs)}" in page.section("summary")
    assert not {"script", "link", "iframe"} & {tag.name for tag in page.tags}
    assert all(tag.attributes.get("src", "data:").startswith("data:") for tag in page.tags)


def test_every_table_says_synthetic_and_lists_every_method_of_the_plan(tiny_reproduction):
    for name in ("affectnet", "sewa", "afew_va", "differences", "parameters", "cost"):
        assert "SYNTHETIC" in (tiny_reproduction / RESULTS / "tables" / f"{name}.md").read_text()
    description = read_description(tiny_reproduction / RESULTS / "evaluation")
    sewa = (tiny_reproduction / RESULTS / "tables" / "sewa.md").read_text()
    titles = {description.title(row) for row in description.rows if row.dataset == "sewa"}
    assert len(titles) > 8
    for title in titles:
        assert f"| {title} |" in sewa
    assert "| missing |" not in sewa


def test_every_run_is_complete_and_knows_what_it_started_from(tiny_reproduction):
    runs = sorted((tiny_reproduction / RESULTS / "runs").glob("*/*"))
    assert len(runs) == 16
    names = {run.name for run in runs}
    for run in runs:
        assert {path.name for path in run.iterdir()} == set(paths.RUN_FILES)
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["run"] == run.name
        assert manifest["label"] == "synthetic"
        assert manifest["inputs"]["parent"] is None or manifest["inputs"]["parent"] in names


def test_every_job_leaves_a_log_and_a_benchmark(tiny_reproduction):
    logs = tiny_reproduction / "logs" / "tiny"
    for run in (tiny_reproduction / RESULTS / "runs").glob("*/*"):
        where = f"fit/{run.parent.name}/{run.name}"
        assert "validation CCC" in (logs / f"{where}.log").read_text()
        assert "max_rss" in (logs / "benchmark" / f"{where}.tsv").read_text()


def test_mlflow_shows_every_run_below_one_parent(tiny_reproduction):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tiny_reproduction}/.mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("hocbench")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run not in parents]
    assert [run.info.run_name for run in parents] == ["reproduction tiny"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    directories = (tiny_reproduction / RESULTS / "runs").glob("*/*")
    assert sorted(run.info.run_name for run in children) == sorted(f"{d.parent.name}/{d.name}" for d in directories)
    for run in children:
        assert run.info.status == "FINISHED"
        assert run.data.params["key.method"]
        assert "test_ccc_valence" in run.data.metrics


def test_second_start_has_nothing_to_do(tiny_reproduction):
    done = run_snakemake(tiny_reproduction)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
