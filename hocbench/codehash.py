"""Hash of the sources that a step depends on, so that an edit reruns what it touches and nothing else.

Tables of the package, such as the published numbers, are sources of the modules that read them: those that name them.
"""

import ast
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent
# Their text cannot change a result: messages, and the place of files, which the workflow states anyway.
NEUTRAL = {"hocbench", "hocbench.errors", "hocbench.paths", "hocbench.training.tracking"}
# `hocbench data check` prints these counts beside those of a copy; no data, which all follow from a check, change.
NEUTRAL_TABLES = {"published/datasets.csv"}


def code_hash(*modules: str) -> str:
    """Hash the sources of modules, of all modules of this package that they import, directly or not, and their tables.

    Parameters
    ----------
    *modules : str
        For example ``"hocbench.training"``.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, path in sorted(sources(*modules).items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def sources(*modules: str) -> dict[str, Path]:
    """Find the files that `code_hash` hashes.

    Returns
    -------
    dict
        Path by name: ``"hocbench.seeds"`` for a module, ``"published/results.csv"`` for a table.
    """
    tables = data_files()
    found: dict[str, Path] = {}
    waiting = [name for module in modules for name in _with_parents(module)]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or name in NEUTRAL or path is None:
            continue
        found[name] = path
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting.extend(_imports(tree))
        words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        found |= {each: file for each, file in tables.items() if file.name in words}
    return found


def data_files() -> dict[str, Path]:
    """List the tables of the package that results depend on, by their path in it; no two have the same name."""
    kinds = (path for path in PACKAGE.rglob("*") if path.suffix in (".csv", ".yaml"))
    tables = {path.relative_to(PACKAGE).as_posix(): path for path in kinds}
    return {name: path for name, path in tables.items() if name not in NEUTRAL_TABLES}


def _imports(tree: ast.Module) -> list[str]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names += _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += _with_parents(node.module)
            # `from package import module` names a module in its list.
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == PACKAGE.name]


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def _source(name: str) -> Path | None:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
