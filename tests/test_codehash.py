"""An edit changes the hash of what imports it, and of nothing else."""

import re
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


RULES = "".join(path.read_text() for path in sorted((Path(codehash.PACKAGE).parent / "workflow/rules").glob("*.smk")))
# The report imports what compares laboratories, and with it what judges claims.
READERS = {
    "bench/bars.csv": {"hocbench.bench"},
    "published/claims.yaml": {"hocbench.reporting.claims", "hocbench.reporting.html"},
    "published/layout.csv": {"hocbench.reporting.tables", "hocbench.counting"},
    "published/parameters.csv": {"hocbench.counting", "hocbench.reporting.claims", "hocbench.reporting.html"},
    "published/results.csv": {"hocbench.reporting.tables", "hocbench.reporting.claims", "hocbench.reporting.html"},
}


def test_a_published_number_is_a_source_of_the_rules_that_read_it_and_of_no_other():
    rules = set(re.findall(r'code_hash\("([\w.]+)"\)', RULES))
    assert len(rules) > 10
    found = {name: set(codehash.sources(name)) for name in rules}
    assert {table: {name for name in rules if table in found[name]} for table in codehash.data_files()} == READERS
    names = [Path(table).name for table in codehash.data_files()]
    assert len(set(names)) == len(names)


def test_a_corrected_number_changes_the_hash_of_its_readers(tmp_path, monkeypatch):
    package = tmp_path / "hocbench"
    shutil.copytree(codehash.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(codehash, "PACKAGE", package)
    steps = ("hocbench.counting", "hocbench.evaluation")
    steps += tuple(f"hocbench.reporting.{name}" for name in ("claims", "tables", "html"))
    before = {step: codehash.code_hash(step) for step in steps}
    path = package / "published" / "parameters.csv"
    path.write_text(path.read_text().replace("0", "1", 1))
    changed = {step for step in steps if codehash.code_hash(step) != before[step]}
    assert changed == READERS["published/parameters.csv"]
