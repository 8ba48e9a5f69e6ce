"""The workflow killed inside every one of its rules, and what is left when it was started again."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from hocbench.files.audit import audit
from tests.conftest import TINY, environment_of, snakemake_command

# The tiny profile with fewer runs: each rule works, for each kind of dataset and network.
OVERLAY = "params/killed.yaml"
CHANGES: dict[str, Any] = {"sweep": {"lasso": [0]}}
# Words of the command of a job; the last one may be a part of a word.
JOBS = {
    "synthesize": ("hocbench", "synthesize"),
    "check": ("hocbench", "data", "check"),
    "index": ("hocbench", "index"),
    "splits": ("hocbench", "data", "splits"),
    "crop": ("hocbench", "crop"),
    "hashes": ("hocbench", "data", "hashes"),
    "montage": ("hocbench", "data", "montage"),
    "fit, 2-D": ("hocbench", "fit", '"stage":"static"'),
    "fit, temporal": ("hocbench", "fit", '"stage":"temporal"'),
    "evaluate": ("hocbench", "evaluate"),
    "table": ("hocbench", "tables"),
    "counts": ("hocbench", "counts"),
    "claims": ("hocbench", "claims"),
    "figures": ("hocbench", "figures"),
    "report": ("hocbench", "report"),
}
# Times, what holds times, and hashes of it.
EXEMPT = ("cost.json", "manifest.json", "costs.csv", "files.json", "cost.csv", "cost.md", "cost.html", "cost.json")
# The report shows all of these; the layout of pictures is computed with a last digit that varies.
EXEMPT_ENDS = ("report.html", ".pdf", ".png")


def write_overlay(folder: Path) -> None:
    """Write the parameters of the killed workflow into a copied tree."""
    values = yaml.safe_load((folder / TINY).read_text(encoding="utf-8"))
    values["datasets"]["sewa"]["baselines"] = []
    (folder / OVERLAY).write_text(yaml.safe_dump(values | CHANGES), encoding="utf-8")


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of the workflow in a copied tree."""
    return environment_of(folder) | {"HOCBENCH_TRACKING": "off", "OMP_NUM_THREADS": "1"}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the workflow in a session of its own; what it prints goes to a file."""
    with (folder / "snakemake.txt").open("a", encoding="utf-8") as output:
        command = snakemake_command(*arguments, configfile=OVERLAY)
        return subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=output, stderr=output, text=True,
            start_new_session=True,
        )  # fmt: skip


def resume(folder: Path) -> subprocess.Popen[str]:
    """Do what the documentation says: `snakemake --unlock && snakemake --cores all`."""
    unlock = snakemake_command("--unlock", configfile=OVERLAY)
    subprocess.run(unlock, cwd=folder, env=environment(folder), check=True, capture_output=True)
    return start(folder)


def job_of(folder: Path, words: tuple[str, ...]) -> int | None:
    """Return the process id of a job of the workflow in a folder, if there is one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _is_job(entry, folder, words):
            return int(entry.name)
    return None


def _is_job(entry: Path, folder: Path, words: tuple[str, ...]) -> bool:
    try:
        found = (entry / "cmdline").read_text(encoding="utf-8").split("\0")
        here = (entry / "cwd").resolve() == folder.resolve()
    except (OSError, UnicodeDecodeError):  # the process has ended meanwhile
        return False
    if not here or "-c" in found:  # a shell around it
        return False
    program, *rest = words
    return any(word.rsplit("/", 1)[-1] == program for word in found[:3]) and all(
        any(part == word or (part.startswith('"') and part in word) for word in found) for part in rest
    )


def kill_in(
    process: subprocess.Popen[str], folder: Path, rules: Iterable[str], rng: random.Random, whole_group: bool
) -> str | None:
    """Kill the workflow at a random moment of a job of some rules; return which rule, None if it ended first."""
    while process.poll() is None:
        seen = ((rule, job_of(folder, JOBS[rule])) for rule in rules)
        rule, job = next(((rule, job) for rule, job in seen if job is not None), (None, None))
        time.sleep(0.02 if rule is None else rng.uniform(0, 1.5))
        # A quick job may have ended meanwhile; then it is the turn of the next one.
        if rule is not None and job == job_of(folder, JOBS[rule]):
            (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
            process.wait()
            return rule
    return None


def half_written(folder: Path) -> list[str]:
    """Name the files below a tree that are there and differ from what was written down with them."""
    places = [folder / "results" / "tiny", folder / "data" / "prepared" / "tiny"]
    found = audit([place for place in places if place.is_dir()])
    return [str(path.relative_to(folder)) for path in found.damaged if path.exists()]


def results(folder: Path) -> dict[str, bytes]:
    """Read all files that a second run must repeat to the byte."""
    places = [folder / "results" / "tiny", folder / "data" / "prepared" / "tiny"]
    paths = [path for place in places for path in place.rglob("*") if path.is_file()]
    kept = [path for path in paths if path.name not in EXEMPT and not path.name.endswith(EXEMPT_ENDS)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept if not path.name.startswith(".")}


def assert_same(tree: Path, quiet: Path) -> None:
    """Compare the results of two trees byte by byte."""
    found, expected = results(tree), results(quiet)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
