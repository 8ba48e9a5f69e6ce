"""Hash of the sources that a step executes, so that an edit reruns what it touches and nothing else.

A module counts by its syntax tree: comments, docstrings and layout change nothing. Tables of the package, such as the
published numbers, are no sources but inputs of the rules that read them.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hocbench"
ROOMS = ("hocbench", "studies")  # folders of the root whose modules are sources
# No result depends on them: words of errors, places of files that the workflow states anyway, progress, memory,
# whether an attempt is the first one, MLflow.
NEUTRAL = (
    *("hocbench.errors", "hocbench.paths", "hocbench.terminal", "hocbench.malloc", "hocbench.tracking"),
    *("hocbench.runs.attempts", "hocbench.runs.revision"),
)
EVERYWHERE = ("hocbench.arithmetic",)  # how each of our processes computes is set before anything else
# Where a node stands, and what some version of Python writes and another does not.
LAYOUT = {"lineno", "col_offset", "end_lineno", "end_col_offset", "ctx", "kind", "type_comment"}


def code_hash(*modules: str) -> str:
    """Hash the syntax of modules and of all modules of ours that they import, directly or not.

    Parameters
    ----------
    *modules : str
        For example ``"hocbench.training.stages"``, or a file of the user's own, ``"readers/mine.py"``.

    Returns
    -------
    str
        16 hexadecimal digits, the same in every version of Python.
    """
    digest = hashlib.sha256()
    for name, syntax in module_hashes(*modules).items():
        digest.update(f"{name}\0{syntax}\0".encode())
    return digest.hexdigest()[:16]


def module_hashes(*modules: str) -> dict[str, str]:
    """Hash each of the modules that `code_hash` hashes together; sha256 by name, in alphabetical order."""
    return {name: syntax_hash(path.read_bytes()) for name, path in sorted(sources(*modules, *EVERYWHERE).items())}


def sources(*modules: str) -> dict[str, Path]:
    """Find the modules that `code_hash` hashes.

    Returns
    -------
    dict
        Path by name, such as ``"hocbench.seeds"``.
    """
    found = {module: Path(module) for module in modules if module.endswith(".py")}
    waiting = [name for module in modules if module not in found for name in _with_parents(module)]
    waiting += [name for path in found.values() for name in _parsed(path.read_bytes())[1]]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or path is None or name in NEUTRAL or name.startswith(tuple(f"{each}." for each in NEUTRAL)):
            continue
        found[name] = path
        waiting += _parsed(path.read_bytes())[1]
    return found


def syntax_hash(content: bytes) -> str:
    """Hash the syntax tree of one module's text, without docstrings; see `code_hash`."""
    return _parsed(content)[0]


@functools.cache
def _parsed(content: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the hash of a module's syntax, and the modules of ours that it names."""
    tree = ast.parse(content)
    imported = tuple(dict.fromkeys(_imports(tree)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest(), imported


def _plain(node: Any) -> Any:
    """Spell out a syntax tree in tuples, as every version of Python has it."""
    if isinstance(node, ast.AST):
        fields = ((name, _plain(value)) for name, value in vars(node).items() if name not in LAYOUT)
        return type(node).__name__, *((name, value) for name, value in fields if value is not None and value != [])
    return [_plain(item) for item in node] if isinstance(node, list) else node


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` names a module in its list.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] in ROOMS:
                yield from _with_parents(name)


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _source(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
