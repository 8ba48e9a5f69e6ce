"""Shared fixtures: the workflow, run once on the tiny profile in a copy of the sources."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hocbench.cli import main

ROOT = Path(__file__).parents[1]
SOURCES = ("Snakefile", "hocbench", "workflow", "profiles", "params", "params.yaml")
TINY = "params/tiny.yaml"
LONGEST = ("tiny workflow", "paper profile")


def environment_of(folder: Path) -> dict[str, str]:
    """Return the environment of a command in a copied tree: its own package and MLflow store, our programs."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # The package is imported from the copy, so that a test may edit its sources.
    own = {"PYTHONPATH": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/.mlflow/mlflow.db", "PATH": programs}
    return os.environ | own


def snakemake_command(*arguments: str, configfile: str = TINY) -> list[str]:
    """Spell out the call of the workflow with the parameters of an overlay."""
    return [sys.executable, "-m", "snakemake", "--cores", "2", *arguments, "--configfile", configfile]


def run_snakemake(folder: Path, *arguments: str, configfile: str = TINY) -> subprocess.CompletedProcess[str]:
    """Run the workflow of a copied tree and return what it printed."""
    command = snakemake_command(*arguments, configfile=configfile)
    environment = environment_of(folder)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def planned_jobs(folder: Path, *arguments: str, configfile: str = TINY) -> dict[str, int]:
    """Count the jobs, by rule, that the workflow would run now."""
    done = run_snakemake(folder, "-n", "--quiet", "rules", *arguments, configfile=configfile)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    return {
        words[0]: int(words[1]) for words in counts if len(words) == 2 and words[1].isdigit() and words[0] != "total"
    }


def copy_sources(folder: Path) -> Path:
    """Copy what the workflow needs into a folder."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share costly fixtures in one process, and begin with the longest, when several run them."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        group = item.path.parent.name
        if names & {"copied_tree", "tiny_reproduction"}:
            group = LONGEST[0]
        elif item.path.stem == "test_paper":
            group = LONGEST[1]
        item.add_marker(pytest.mark.xdist_group(group))
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(next(item.iter_markers("xdist_group")).args[0], len(order)))


@pytest.fixture
def hocbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command; return its exit code and what it printed to both streams."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hocbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def copied_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the sources, so that tests leave the checkout alone."""
    return copy_sources(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def tiny_reproduction(copied_tree: Path) -> Path:
    """Run the whole DAG once on the tiny profile."""
    done = run_snakemake(copied_tree)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return copied_tree


@pytest.fixture
def finished_copy(tiny_reproduction: Path, tmp_path: Path) -> Path:
    """Copy the finished tree with all times of its files, for a test that changes something in it."""
    return Path(shutil.copytree(tiny_reproduction, tmp_path / "finished"))
