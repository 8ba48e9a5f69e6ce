"""An edit changes the hash of what imports it, and of nothing else."""

import shutil
from pathlib import Path

import hocbench.codehash as codehash


def test_edit_touches_dependants_only(tmp_path, monkeypatch):
    package = tmp_path / "hocbench"
    shutil.copytree(Path(codehash.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(codehash, "PACKAGE", package)
    steps = ("hocbench.nn", "hocbench.plan", "hocbench.seeds")
    before = {step: codehash.code_hash(step) for step in steps}
    with (package / "nn" / "contraction.py").open("a") as file:
        file.write("\n# edited\n")
    after = {step: codehash.code_hash(step) for step in steps}
    assert after["hocbench.nn"] != before["hocbench.nn"]
    assert after["hocbench.plan"] == before["hocbench.plan"]
    assert after["hocbench.seeds"] == before["hocbench.seeds"]
