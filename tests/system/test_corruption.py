"""Damaged outputs of a finished workflow: the next start makes them again, with the same bytes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run_snakemake
from tests.files.test_corruption import DAMAGES
from tests.system.pipeline_kill import OVERLAY, assert_same, environment

pytestmark = pytest.mark.system
# One of each kind; a run and what starts from it are both among them.
DAMAGED = (
    *("data/prepared/tiny/afew_va/index.parquet", "data/prepared/tiny/affectnet/crops.npy"),
    *("data/prepared/tiny/sewa/crops.json", "data/prepared/tiny/sewa/splits.csv"),
    *("results/tiny/runs/affectnet/static-*/weights.safetensors", "results/tiny/runs/sewa/joint-*/predictions.parquet"),
    *("results/tiny/runs/afew_va/temporal-*/manifest.json", "results/tiny/evaluation/scores.csv"),
    *("results/tiny/evaluation/timelines.parquet", "results/tiny/tables/sewa.csv", "results/tiny/tables/ranks.json"),
)


@pytest.fixture
def finished(quiet, tmp_path):
    """A copy of the finished tree with all times of its files."""
    return Path(shutil.copytree(quiet, tmp_path / "finished"))


def hocbench(tree, *words):
    command = [sys.executable, "-m", "hocbench", *words]
    return subprocess.run(command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=False)


def damage(tree, pattern, kind):
    path = sorted(tree.glob(pattern))[0]
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    return path


def test_what_audit_deletes_is_made_again_with_the_same_bytes(finished, quiet):
    kinds = [*DAMAGES]
    paths = [damage(finished, pattern, kinds[i % len(kinds)]) for i, pattern in enumerate(DAMAGED)]
    found = hocbench(finished, "audit", "results/tiny", "data/prepared/tiny")
    assert found.returncode == 2
    named = {line.split(" is damaged")[0] for line in found.stdout.splitlines()}
    assert named == {str(path.relative_to(finished)) for path in paths}
    assert hocbench(finished, "audit", "results/tiny", "data/prepared/tiny", "--delete").returncode == 0
    assert not any(path.exists() for path in paths)
    done = run_snakemake(finished, configfile=OVERLAY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(finished, quiet)


def test_a_job_that_reads_a_damaged_file_names_it_and_the_next_start_makes_it_again(finished, quiet):
    path = damage(finished, "results/tiny/evaluation/intervals.csv", "a bit in the middle")
    done = run_snakemake(finished, configfile=OVERLAY)
    assert done.returncode != 0
    log = (finished / "logs/tiny/tables.log").read_text()
    name = path.relative_to(finished)
    assert f"{name} is damaged (its hash differs from what was written); delete it and start again" in log
    path.unlink()
    done = run_snakemake(finished, configfile=OVERLAY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_same(finished, quiet)
