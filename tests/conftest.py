"""Shared fixtures: the workflow, run once on the tiny profile in a copy of the sources."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from hocbench.arithmetic import make_portable
from hocbench.cli.main import main
from studies.__main__ import main as studies_main
from tests.watchdog import pytest_configure  # noqa: F401 - daemons end with the tests, whatever ends these

# As every run computes: what a test trains is then the same on any CPU. torch and numpy read it when they are imported.
make_portable()

ROOT = Path(__file__).parents[1]
SOURCES = ("Snakefile", "hocbench", "studies", "workflow", "profiles", "params", "params.yaml")
TINY = "params/tiny.yaml"
LONGEST = ("tiny workflow", "paper profile", "tests/training", "tests/studies", "tests/export")
TINY_WORKFLOW = (
    *("test_changes.py", "test_dry_run.py", "test_reproduction.py", "test_readme.py", "test_interruption.py"),
    *("test_cluster.py", "studies/test_run.py", "slurm/test_slurm.py", "workflow/test_verify.py"),
)


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


def group_of(nodeid: str) -> str:
    """Name the tests that share costly fixtures: those of the tiny workflow, of the paper profile, of a folder."""
    path = nodeid.split("::")[0]
    if path.endswith(TINY_WORKFLOW):
        return LONGEST[0]
    return LONGEST[1] if path.endswith("test_paper.py") else path.rpartition("/")[0]


class _Groups(LoadScopeScheduling):
    """Hands whole groups to the processes that run the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Groups:
    """Take the place of the usual schedulers, which would make costly fixtures in every process."""
    return _Groups(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest groups."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(group_of(item.nodeid), len(order)))


@pytest.fixture
def hocbench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run the command; return its exit code and what it printed to both streams."""
    return _caller("hocbench", main, monkeypatch, capsys)


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run ``python -m studies``, as the fixture ``hocbench`` runs the command."""
    return _caller("studies", studies_main, monkeypatch, capsys)


def _caller(
    name: str, start: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            start()
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
