"""Rooms import earlier rooms only, no two modules import each other, and what needs no torch names none.

The order is that of docs/architecture.md.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A room imports itself and earlier ones. Modules of no folder are the ground floor.
ROOMS = (
    *("ground", "metrics", "files", "config", "experiment", "runs", "datasets", "synthetic", "faces", "nn", "tracking"),
    *("training", "evaluation", "claims", "verify", "reporting", "cost", "export", "network_tables", "cli"),
)
TOP = ("hocbench", "hocbench.__main__")  # the package itself, and what starts the command
# None of their modules imports torch, and nothing that they import does.
WITHOUT_TORCH = ("config", "experiment", "runs", "datasets", "synthetic", "faces", "evaluation", "claims", "verify")
WITHOUT_TORCH += ("reporting",)
# Imports of ours inside a function or for type checkers only, and why. Commands import what they need when they start.
HIDDEN = {
    ("hocbench.datasets.adapters", "hocbench.datasets.contract"): "the workflow names adapters and loads no pandas",
}


@cache
def modules():
    """Module → path."""
    paths = sorted((ROOT / "hocbench").rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def named(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@cache
def imports():
    """Module → what it imports of ours → whether that is hidden: not a statement of the module itself."""
    graph = {}
    for module, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        edges = graph[module] = {}
        for node in ast.walk(tree):
            for name in named(node):
                if name.partition(".")[0] == "hocbench":
                    target = name if name in modules() else name.rpartition(".")[0]
                    assert target in modules(), f"{module} imports {name}, which does not exist"
                    edges[target] = edges.get(target, True) and node not in tree.body
    return graph


def room(module):
    parts = module.split(".")
    is_folder = len(parts) > 2 or modules()[module].name == "__init__.py"
    return parts[1] if is_folder else "ground"


def test_every_folder_is_a_room():
    folders = {path.parent.name for path in (ROOT / "hocbench").glob("*/__init__.py")}
    assert folders == {*ROOMS} - {"ground"}


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_earlier_rooms_only(name):
    later = {
        (module, target)
        for module, targets in imports().items()
        if module not in TOP and room(module) == name
        for target in targets
        if target != "hocbench" and ROOMS.index(room(target)) > ROOMS.index(name)
    }
    assert later == set()


def test_no_module_imports_itself_over_others():
    order = {}

    def visit(module, way):
        assert module not in way, " -> ".join([*way[way.index(module) :], module])
        if module not in order:
            for target in imports()[module]:
                visit(target, [*way, module])
            order[module] = len(order)

    for module in modules():
        visit(module, [])
    assert set(order) == set(modules())


def test_imports_that_are_hidden_have_a_reason():
    hidden = {
        (module, target)
        for module, targets in imports().items()
        for target, is_hidden in targets.items()
        if is_hidden and room(module) != "cli"
    }
    assert hidden == set(HIDDEN)


def test_what_needs_no_torch_imports_none():
    heavy = {module for module, path in modules().items() if at_top(path) & {"torch", "tensorly", "accelerate"}}
    assert {"hocbench.nn.resnet", "hocbench.training.loop"} <= heavy
    for module in modules():
        if module not in TOP and room(module) in WITHOUT_TORCH:
            assert not closure(module) & heavy, module


def at_top(path):
    """Name the packages that a module imports when it is imported."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {name.partition(".")[0] for node in body for name in named(node)}


def closure(module):
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports()[name]
    return seen
