"""Hash of the sources that a step depends on, so that an edit reruns what it touches and nothing else."""

import ast
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent
# Their text cannot change a result: messages, and the place of files, which the workflow states anyway.
NEUTRAL = {"hocbench", "hocbench.errors", "hocbench.paths", "hocbench.training.tracking"}


def code_hash(*modules: str) -> str:
    """Hash the sources of modules and of all modules of this package that they import, directly or not.

    Parameters
    ----------
    *modules : str
        For example ``"hocbench.training"``.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    found: dict[str, Path] = {}
    waiting = [name for module in modules for name in _with_parents(module)]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or name in NEUTRAL or path is None:
            continue
        found[name] = path
        waiting.extend(_imports(path))
    digest = hashlib.sha256()
    for name, path in sorted(found.items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
