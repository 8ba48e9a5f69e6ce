"""Classes that a user writes: in a file, in a module, or in a package that announces them."""

import difflib
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from hocbench.errors import ParameterError

GROUP = "hocbench.plugins"


@dataclass(frozen=True)
class Verdict:
    """What a check of a plug-in found out.

    Attributes
    ----------
    clause : str
        What its contract promises.
    fault : str
        How it is broken; "" if it is kept.
    note : str
        What is worth knowing although nothing is promised.
    """

    clause: str
    fault: str = ""
    note: str = ""


def fault_of(check: Callable[[], str | None]) -> str:
    """Return the fault that a check finds, or what it raises: to a user's plug-in anything can happen."""
    try:
        return check() or ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def load_class(place: str, key: str, known: Iterable[str] = ()) -> Any:
    """Load what a user has written.

    Parameters
    ----------
    place : str
        ``file.py:Class``, ``module:Class``, or the name of an entry point of the group ``hocbench.plugins``.
    key : str
        Where the place is given, for messages.
    known : iterable of str
        Names that mean something else, to be offered to who misspelled one.

    Returns
    -------
    object
        The class.

    Raises
    ------
    ParameterError
        If there is no such file, module, class or entry point, or importing it fails.
    """
    module, name = split_place(place, key, known)
    loaded = load_module(module, key)
    try:
        return getattr(loaded, name)
    except AttributeError:
        near = difflib.get_close_matches(name, vars(loaded), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ParameterError(f"{key}: {module} has no class {name}{hint}") from None


def split_place(place: str, key: str, known: Iterable[str] = ()) -> tuple[str, str]:
    """Return file or module, and name of the class, of a place; see `load_class`.

    Raises
    ------
    ParameterError
        If it is the name of nothing that is announced.
    """
    module, _, name = place.rpartition(":")
    if module:
        return module, name
    announced = {point.name: point for point in entry_points(group=GROUP)}
    if place not in announced:
        names = [*known, *announced]
        near = difflib.get_close_matches(place, names, n=1)
        hint = f"did you mean {near[0]}? " if near else f"choose from {', '.join(names)}. " if names else ""
        raise ParameterError(f"{key}: there is no {place!r}; {hint}Your own is FILE.py:CLASS or MODULE:CLASS")
    return announced[place].module, announced[place].attr


def source_of(place: str, key: str, known: Iterable[str] = ()) -> Path:
    """Find the file that a class is written in, without importing it; see `load_class`.

    Raises
    ------
    ParameterError
        If there is none.
    """
    module = split_place(place, key, known)[0]
    path = Path(module)
    if not module.endswith(".py"):
        _look_here()
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            spec = None
        path = Path(spec.origin) if spec is not None and spec.origin else path
    if not path.is_file():
        raise ParameterError(f"{key}: {place!r} is not found; give FILE.py:CLASS or MODULE:CLASS")
    return path


def load_module(module: str, key: str) -> ModuleType:
    """Import a file by its path, or a module by its name.

    Raises
    ------
    ParameterError
        If it is not there, or importing it fails.
    """
    try:
        if module.endswith(".py"):
            return _from_file(Path(module), key)
        _look_here()
        return importlib.import_module(module)
    except ParameterError:
        raise
    except Exception as error:  # whatever a user's module raises is what is wrong with it
        raise ParameterError(f"{key}: {module} cannot be imported ({type(error).__name__}: {error})") from error


def _look_here() -> None:
    """Find modules as `python -m` does; the command `hocbench` starts without the folder that it is called in."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def _from_file(path: Path, key: str) -> ModuleType:
    """Import a file as a module that is named after its place and content, and leave nothing in its folder."""
    if not path.is_file():
        raise ParameterError(f"{key}: there is no file {path}; give its path from the folder of the workflow")
    content = path.read_bytes()
    name = f"hocbench_plugin_{hashlib.sha256(str(path.absolute()).encode() + content).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    # Not by its loader, which would write a __pycache__ beside the user's file.
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    try:
        exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module
