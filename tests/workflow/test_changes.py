"""A change reruns what it touches and nothing else."""

import os

import pytest
import yaml

from tests.conftest import TINY, planned_jobs, run_snakemake

pytestmark = pytest.mark.workflow
FIGURES, TABLES = "results/tiny/figures", "results/tiny/tables"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_more_lasso_value_runs_its_runs_tables_and_figures(finished_copy):
    overlay = finished_copy / TINY
    values = yaml.safe_load(overlay.read_text())
    values["sweep"]["lasso"].append(0.1)
    overlay.write_text(yaml.safe_dump(values))
    # One LASSO run on images, one temporal and one joint run on SEWA; AFEW-VA takes no part in the sweep.
    once = ("evaluate", "table", "counts", "claims", "figures", "report", "all")
    assert planned_jobs(finished_copy) == {"fit": 3} | dict.fromkeys(once, 1)


def test_another_colour_redraws_pictures_only(finished_copy):
    style = finished_copy / "hocbench" / "reporting" / "style.py"
    text = style.read_text()
    assert "#0072B2" in text
    style.write_text(text.replace("#0072B2", "#882255"))
    jobs = planned_jobs(finished_copy)
    assert jobs["figures"] == 1
    assert set(jobs) <= {"figures", "montage", "report", "all"}
    path = finished_copy / FIGURES / "forest.png"
    before, tables = path.read_bytes(), contents(finished_copy / TABLES)
    words = path.with_suffix(".json").read_text()
    done = run_snakemake(finished_copy, f"{FIGURES}/forest.png")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() != before
    assert contents(finished_copy / TABLES) == tables
    # Words have no colour.
    assert path.with_suffix(".json").read_text() == words


def test_another_training_length_leaves_data_and_other_stages_alone(finished_copy):
    jobs = planned_jobs(finished_copy, "--config", "training={stages: {joint: {epochs: 2}}}")
    # The joint runs: two LASSO values on SEWA, one on AFEW-VA.
    assert jobs["fit"] == 3
    assert not {"synthesize", "index", "crop"} & set(jobs)


def test_another_bootstrap_trains_nothing(finished_copy):
    jobs = planned_jobs(finished_copy, "--config", "evaluation={replicates: 300}")
    assert jobs["evaluate"] == 1
    assert "fit" not in jobs


@pytest.mark.parametrize(
    ("name", "rules"),
    [("results.csv", {"table", "claims"}), ("parameters.csv", {"counts", "claims"}), ("datasets.csv", set())],
)
def test_a_corrected_published_number_rewrites_what_shows_it(finished_copy, name, rules):
    path = finished_copy / "hocbench" / "published" / name
    times = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("5", "6", 1))
    # As a file that is taken from elsewhere with its time.
    os.utime(path, ns=(times - 10**12, times - 10**12))
    assert planned_jobs(finished_copy) == dict.fromkeys((*rules, "report", "all"), 1)


def test_a_laboratory_that_was_sent_rewrites_the_report_only(finished_copy):
    folder = finished_copy / "results" / "reference" / "laboratories" / "theirs"
    folder.mkdir(parents=True)
    (folder / "manifests.json").write_text("{}")
    assert planned_jobs(finished_copy) == {"report": 1, "all": 1}
