"""The whole DAG on the tiny profile: every layer runs, nothing runs twice, an interruption costs one start."""

import json
import sqlite3

import pandas as pd
import pytest

from hocbench import paths
from tests.conftest import run_snakemake

pytestmark = pytest.mark.workflow
RESULTS = "results/tiny"


def test_all_promised_files_are_there(tiny_reproduction):
    results = tiny_reproduction / RESULTS
    for name in paths.TABLES:
        for kind in ("md", "html", "csv"):
            assert (results / "tables" / f"{name}.{kind}").stat().st_size > 0
    for name in paths.FIGURES:
        assert (results / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (results / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "SYNTHETIC" in (results / "tables" / "sewa.md").read_text()
    assert "<html" in (results / "report.html").read_text()[:2000].lower()


def test_tables_show_every_row_of_the_plan(tiny_reproduction):
    page = (tiny_reproduction / RESULTS / "tables" / "sewa.md").read_text()
    for method in (
        "CP 2-D, static + moving average",
        "CP 2-D, fine-tuned on frames (reference)",
        "CP 3-D, transducted, untrained",
        "dense 2-D inflated to 3-D",
        "dense 3-D from scratch",
    ):
        assert f"| {method} |" in page
    assert "| missing |" not in page


def test_every_run_is_a_child_of_the_reproduction_in_mlflow(tiny_reproduction):
    with sqlite3.connect(tiny_reproduction / ".mlflow" / "mlflow.db") as database:
        children = database.execute("select value from tags where key = 'mlflow.parentRunId'").fetchall()
        finals = database.execute("select count(*) from latest_metrics where key = 'test_ccc_valence'").fetchone()
    assert len(children) == finals[0] == 19
    assert len(set(children)) == 1


def test_static_level_is_recorded_and_pruned_weights_stay_out(tiny_reproduction):
    runs = tiny_reproduction / RESULTS / "runs" / "sewa"
    temporal = next(runs.glob("temporal-rank0.22x-lasso0.05-*"))
    history = pd.read_csv(temporal / "history.csv")
    assert history["static_level"].notna().all()
    joint = json.loads((next(runs.glob("joint-rank0.22x-lasso0.05-*")) / "network.json").read_text())
    lasso_runs = tiny_reproduction / RESULTS / "runs" / "affectnet"
    lasso = json.loads((next(lasso_runs.glob("lasso-*")) / "network.json").read_text())
    zeros = {layer["name"]: layer["zeros"] for layer in lasso["layers"]}
    assert all(
        layer["zeros"] >= zeros[layer["name"]] - (layer["rank"] == zeros[layer["name"]]) for layer in joint["layers"]
    )


def test_second_start_has_nothing_to_do(tiny_reproduction):
    done = run_snakemake(tiny_reproduction)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_figure_colour_reruns_figures_only(tiny_reproduction):
    style = tiny_reproduction / "hocbench" / "reporting" / "style.py"
    text = style.read_text()
    style.write_text(text.replace("#0072B2", "#0072B3"))
    try:
        done = run_snakemake(tiny_reproduction, "-n", "--quiet", "rules")
    finally:
        style.write_text(text)
    counts = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    assert {rule for rule in counts if rule in ("fit", "crop", "evaluate", "table", "figure")} == {"figure"}


def test_one_more_lasso_value_reruns_only_what_needs_it(tiny_reproduction):
    done = run_snakemake(
        tiny_reproduction, "-n", "--quiet", "rules", "--config", "sweep={rank: [0.22], lasso: [0, 0.05, 0.1]}"
    )
    counts = dict(line.split() for line in (done.stdout + done.stderr).splitlines() if len(line.split()) == 2)
    assert counts["fit"] == "3"
    assert "crop" not in counts


def test_a_deleted_manifest_makes_the_run_again_with_the_same_bytes(tiny_reproduction):
    run = next((tiny_reproduction / RESULTS / "runs" / "sewa").glob("frames-*"))
    names = ("weights.safetensors", "predictions.parquet", "network.json")
    before = {name: (run / name).read_bytes() for name in names}
    tables = (tiny_reproduction / RESULTS / "evaluation" / "scores.csv").read_bytes()
    (run / "manifest.json").unlink()
    done = run_snakemake(tiny_reproduction)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {name: (run / name).read_bytes() for name in names} == before
    assert (tiny_reproduction / RESULTS / "evaluation" / "scores.csv").read_bytes() == tables
