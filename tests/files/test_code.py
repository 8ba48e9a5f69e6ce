"""An edit changes the hash of the steps that execute it, and words change nothing."""

import ast
import re
import shutil
from pathlib import Path

import pytest

from hocbench.files import code

RULES = "".join(path.read_text() for path in sorted((code.ROOT / "workflow" / "rules").glob("*.smk")))
STEPS = sorted(set(re.findall(r'code_hash\("([\w.]+)"[,)]', RULES)))
TABLES = sorted(path.name for path in (code.PACKAGE / "published").iterdir() if path.suffix in (".csv", ".yaml"))


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the sources, which is what is hashed."""
    for room in code.ROOMS:
        shutil.copytree(code.ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "ROOT", tmp_path)
    return tmp_path


def hashes():
    return {step: code.code_hash(step) for step in STEPS}


def test_every_step_has_sources():
    assert len(STEPS) > 10
    for step in STEPS:
        assert step in code.sources(step)


def test_an_edit_touches_what_imports_it_only(copy):
    before = hashes()
    path = copy / "hocbench" / "nn" / "contraction.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    after = hashes()
    changed = {step for step in STEPS if after[step] != before[step]}
    assert changed == {step for step in STEPS if "hocbench.nn.contraction" in code.sources(step)}
    assert {"hocbench.training.stages", "hocbench.network_tables.write"} <= changed
    assert not {"hocbench.evaluation.scores", "hocbench.faces.crops", "hocbench.reporting.figures"} & changed


def test_readers_of_datasets_are_no_sources_of_what_never_calls_them():
    def of_data(module):
        return {name for name in code.sources(module) if name.startswith(("hocbench.datasets.", "hocbench.faces."))}

    columns, splits = "hocbench.datasets.columns", {f"hocbench.datasets.{name}" for name in ("splits", "split_lists")}
    assert of_data("hocbench.training.stages") == {columns, *splits, "hocbench.datasets.tables", "hocbench.faces.store"}
    assert of_data("hocbench.synthetic") == {columns, "hocbench.datasets.layouts"}
    assert of_data("hocbench.evaluation.scores") <= {columns}


def test_words_and_layout_reach_no_step(copy):
    """A comment in every file of ours, another docstring and other spacing."""
    before = hashes()
    for room in code.ROOMS:
        for path in (copy / room).rglob("*.py"):
            tree = ast.parse(path.read_text())
            # Written anew from its tree: other quotes, brackets and line ends, and no comment at all.
            words = ast.get_docstring(tree)
            text = ast.unparse(ast.Module(tree.body[1:] if words else tree.body, []))
            path.write_text(f'"""Other words."""\n\n\n# A comment.\n{text}\n# The end.\n')
    assert hashes() == before


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('def f(x):\n    """Say."""\n    return x\n', True),
        ("def f(x):\n    # Why.\n    return (x)\n", True),
        ("def f(x): return x", True),
        ("def f(x):\n    return x + 0\n", False),
        ("def f(x, /):\n    return x\n", False),
        ("async def f(x):\n    return x\n", False),
        ("def f(x: int):\n    return x\n", False),
    ],
)
def test_syntax_counts_and_spelling_does_not(text, same):
    assert (code.syntax_hash(text.encode()) == code.syntax_hash(b"def f(x):\n    return x\n")) is same


def test_the_hash_is_the_same_in_every_version_of_python():
    # As 3.11, 3.12 and 3.13 were seen to give it.
    text = b"def f(x, *, y: int = 1):\n    return f'{x!r} {y:.3f}', {**x}, [*x]\n"
    assert code.syntax_hash(text)[:16] == "e20f17218c2eefcb"


def test_a_published_number_is_an_input_of_the_rules_that_read_it_and_of_no_other():
    rules = re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", RULES, re.MULTILINE | re.DOTALL)
    checked = set()
    for _, body in rules:
        steps = re.findall(r'code_hash\("([\w.]+)"[,)]', body)
        if not steps:
            continue
        named = re.search(r"published=published\(([^)]*)\)", body)
        declared = set(re.findall(r'"([\w.]+)"', named[1])) if named else set()
        texts = [path.read_text() for path in code.sources(steps[0]).values()]
        read = {table for table in TABLES if any(f'"{table}"' in text for text in texts)}
        checked |= declared
        assert declared == read, steps
    assert checked == set(TABLES)


def test_every_module_named_by_a_rule_lies_in_a_room():
    for step in STEPS:
        assert Path(*step.split(".")).parts[0] in code.ROOMS


def test_a_file_of_the_users_own_counts_by_its_syntax_and_with_what_it_imports_of_ours(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from hocbench.datasets.columns import NO_CROP\n")
    assert {str(path), "hocbench.datasets.columns"} <= set(code.sources(str(path)))
    before = code.code_hash(str(path))
    path.write_text("# Words.\nfrom hocbench.datasets.columns import NO_CROP\n")
    assert code.code_hash(str(path)) == before
    path.write_text("from hocbench.datasets.columns import NO_CROP as OTHER\n")
    assert code.code_hash(str(path)) != before
