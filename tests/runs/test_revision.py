"""Which commit computes, and whether its sources were edited, asked of real repositories."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "hocbench"
FILES = ("__init__.py", "runs/__init__.py", "runs/revision.py", "files/__init__.py", "files/code.py")
UNKNOWN = {"commit": None, "dirty": None, "diff": None}


def git(folder, *words):
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def asked(folder):
    """Ask the copy of the package in a folder, from somewhere else."""
    code = "import json; from hocbench.runs.revision import revision; print(json.dumps(revision()))"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd="/", check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    (folder / "hocbench").mkdir(parents=True)
    for name in FILES:
        (folder / "hocbench" / name).parent.mkdir(exist_ok=True)
        shutil.copy(PACKAGE / name, folder / "hocbench" / name)
    (folder / "workflow").mkdir()
    (folder / "workflow" / "rules.smk").write_text("rule a:\n")
    (folder / "notes.md").write_text("nothing\n")
    (folder / ".gitignore").write_text("__pycache__\n")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_a_clean_clone_has_its_commit(clone):
    assert asked(clone) == {"commit": git(clone, "rev-parse", "HEAD"), "dirty": False, "diff": None}
    (clone / "notes.md").write_text("of no consequence\n")
    assert asked(clone)["dirty"] is False


def test_edited_sources_are_told_apart(clone):
    found = []
    for text in ("rule b:\n", "rule c:\n"):
        (clone / "workflow" / "rules.smk").write_text(text)
        found.append(asked(clone))
    git(clone, "add", "--all")  # staged or not is the same
    found.append(asked(clone))
    (clone / "workflow" / "rules.smk").write_text("rule a:\n")
    (clone / "hocbench" / "new file.py").write_text("x = 1\n")
    found.append(asked(clone))
    (clone / "hocbench" / "new file.py").write_text("x = 2\n")
    found.append(asked(clone))
    assert all(each["dirty"] and len(each["diff"]) == 64 for each in found)
    assert {each["commit"] for each in found} == {git(clone, "rev-parse", "HEAD")}
    assert found[1]["diff"] == found[2]["diff"]
    assert len({each["diff"] for each in found}) == 4


def test_outside_of_a_clone_nothing_is_known(clone, tmp_path):
    other = tmp_path / "elsewhere"
    shutil.copytree(clone / "hocbench", other / "hocbench")
    assert asked(other) == UNKNOWN
    # Somebody's own repository with the package in an environment inside it.
    inside = clone / ".venv"
    shutil.copytree(other, inside)
    assert asked(inside) == UNKNOWN


def test_without_git(clone, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert asked(clone) == UNKNOWN
