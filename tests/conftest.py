"""Shared fixtures: the workflow, run once on the tiny profile in a copy of the sources."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("Snakefile", "hocbench", "workflow", "profiles", "params", "params.yaml")

Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def run_snakemake(
    folder: Path, *arguments: str, configfile: str = "params/tiny.yaml"
) -> subprocess.CompletedProcess[str]:
    """Run the workflow of a copied tree and return what it printed."""
    # The package is imported from the copy, so that a test may edit its sources.
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/.mlflow/mlflow.db",
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", configfile, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def copied_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the workflow needs, so that tests leave the checkout alone."""
    folder = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.fixture(scope="session")
def tiny_reproduction(copied_tree: Path) -> Path:
    """Run the whole DAG once on the tiny profile."""
    done = run_snakemake(copied_tree)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return copied_tree
