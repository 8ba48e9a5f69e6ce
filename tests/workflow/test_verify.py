"""`hocbench verify` on the tiny profile: a repetition from scratch is identical, and planted changes are found."""

import csv
import json
import shutil
import subprocess

import pytest

from hocbench.evaluation.files import write_seal
from hocbench.files.checksums import read_sealed, sealed
from hocbench.verify import record
from tests.conftest import copy_sources, environment_of, run_snakemake, snakemake_command
from tests.verify.reproductions import text_of

pytestmark = pytest.mark.workflow
RESULTS = "results/tiny"


@pytest.fixture(scope="module")
def reference(tiny_reproduction, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "reference"
    record(tiny_reproduction / RESULTS, folder, "reference")
    return folder


@pytest.fixture
def here(tiny_reproduction, tmp_path):
    """Copy the finished results alone."""
    return shutil.copytree(tiny_reproduction / RESULTS, tmp_path / "tiny")


@pytest.fixture
def verify(hocbench, tmp_path):
    def run(results, reference):
        out = tmp_path / "out"
        code, *printed = hocbench("verify", results, "--reference", reference, "--out", out)
        with (out / "verify.csv").open(encoding="utf-8", newline="") as file:
            cells = list(csv.DictReader(file))
        return code, " ".join("".join(printed).split()), cells

    return run


def edit(folder, table, change):
    """Change the rows of a table of finished results, and seal them again."""
    path = folder / "evaluation" / f"{table}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    path.write_text(text_of(rows), encoding="utf-8")
    write_seal(read_sealed(folder / "evaluation" / "files.json")["files"], folder / "evaluation")


def outcomes(cells):
    return {cell["outcome"] for cell in cells}


@pytest.mark.system
def test_a_run_that_is_done_again_is_identical(finished_copy, reference, verify):
    results = finished_copy / RESULTS
    (run,) = results.glob("runs/afew_va/joint-*")
    for folder in (run, results / "evaluation"):
        shutil.rmtree(folder)
    done = run_snakemake(finished_copy, f"{RESULTS}/evaluation/files.json")
    assert done.returncode == 0, done.stdout + done.stderr
    code, printed, cells = verify(results, reference)
    assert (code, outcomes(cells)) == (0, {"identical"})
    tables = {"scores", "intervals", "differences", "sparsity", "history", "windows"}
    assert tables <= {cell["table"] for cell in cells}
    assert "Data: the same bytes: " in printed and "Conclusions: the same: " in printed
    assert "This machine reproduces the reference" in printed and "Bytes: have to be the same (CPU type " in printed
    assert "Other bytes" not in printed and "Not here" not in printed


@pytest.mark.parametrize(
    ("moved", "code", "outcome"), [(1e-12, 0, "within tolerance"), (0.001, 3, "different"), (10, 3, "different")]
)
def test_a_score_that_moved(here, reference, verify, moved, code, outcome):
    edit(here, "scores", lambda rows: rows[0].update(value=f"{float(rows[0]['value']) + moved:.15g}"))
    found, printed, cells = verify(here, reference)
    assert (found, outcomes(cells)) == (code, {"identical", outcome})
    assert "the runs gave the same predictions" in printed.replace("│ ", "")


def test_another_processor_should_give_the_same_bytes(here, reference, verify):
    for path in here.glob("runs/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["environment"]["processor"] = manifest["processors"][0] = "another processor"
        path.write_text(sealed(manifest))
    code, printed, cells = verify(here, reference)
    assert (code, outcomes(cells)) == (0, {"identical"})
    assert "Bytes: should be the same, since the arithmetic is portable (CPU type " in printed
    assert " and another processor; " in printed and "Other bytes: " not in printed


def test_a_run_that_was_removed_is_named(here, reference, verify):
    (run,) = here.glob("runs/sewa/inflated-*")
    shutil.rmtree(run)
    code, printed, cells = verify(here, reference)
    assert (code, outcomes(cells)) == (2, {"identical"})
    assert f"run sewa/{run.name} stands in the tables, but {run} is not a finished run" in printed


@pytest.mark.system
def test_a_second_run_from_scratch(tiny_reproduction, reference, verify, tmp_path):
    """The same instructions give the same bytes; older ones stand for another processor and are named."""
    code, printed, cells = verify(reproduce(tmp_path / "again", {}), reference)
    assert (code, outcomes(cells)) == (0, {"identical"})
    assert "Other bytes" not in printed
    older = reproduce(tmp_path / "older", {"ATEN_CPU_CAPABILITY": "default"})
    code, printed, cells = verify(older, reference)
    # One seed each: no spread is known, so what rounding moved counts as different.
    assert (code, outcomes(cells)) == (3, {"identical", "different"})
    assert "Bytes: not comparable." in printed and "CPU instructions: " in printed and " DEFAULT here; " in printed
    assert "machine (instructions.ATEN_CPU_CAPABILITY " in printed.replace("│ ", "")
    assert {cell["basis"] for cell in cells if cell["outcome"] == "different"} >= {
        "no spread between laboratories known"
    }


def reproduce(folder, settings):
    folder.mkdir()
    copy_sources(folder)
    environment = environment_of(folder) | settings
    command = snakemake_command("tables", "claims")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / RESULTS
