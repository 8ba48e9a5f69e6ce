"""What the map and the guide for contributors name exists, and their examples run."""

import ast
import re
from functools import cache

import pytest

from tests.test_architecture import ROOMS, ROOT, modules

PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"hocbench(?:\.\w+)+")
PLACE = re.compile(r"[\w.*-]+(?:/[\w.*-]*)+|[\w-]+\.(?:py|md|yaml|toml|txt|smk)")


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def quoted(page):
    """Return what a page quotes in its lines, without blocks of code."""
    return CODE.findall(re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL))


@cache
def names_of(module):
    """Name what a module defines or imports."""
    names = set()
    for node in ast.parse(modules()[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names


def exists(name):
    module, _, attribute = name.rpartition(".")
    return name in modules() or (module in modules() and attribute in names_of(module))


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_ours_exists(page):
    named = {name for text in quoted(page) for name in NAME.findall(text)}
    assert {name for name in named if not exists(name)} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page):
    # Words in capitals, as in results/PROFILE, stand for something.
    named = {text for text in quoted(page) if PLACE.fullmatch(text) and not re.search(r"[A-Z]{3}", text.split("/")[0])}
    concrete = {text for text in named if not re.search(r"/[A-Z]{2,}", text)}
    assert concrete
    assert {text for text in concrete if not any(ROOT.glob(text.rstrip("/")))} == set()


def test_names_and_paths_that_do_not_exist_are_seen():
    assert exists("hocbench.experiment.plan.make_plan")
    assert exists("hocbench.training.fit")
    assert not exists("hocbench.experiment.plan.make_plans")
    assert not exists("hocbench.experiments.plan")
    assert PLACE.fullmatch("tests/test_nothing.py")
    assert PLACE.fullmatch("params.yaml")
    assert not PLACE.fullmatch("hocbench.errors.HocbenchError")


def test_the_map_lists_the_rooms_in_their_order():
    table = text_of("docs/architecture.md").split("## Rooms")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| (\w+) \|", table, re.MULTILINE))[1:] == ROOMS
