"""Classes that a user writes, from a file, a module, or a package that announces them."""

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hocbench.errors import ParameterError

GROUP = "hocbench.plugins"


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
    module, _, name = place.rpartition(":")
    if not module:
        announced = {point.name: point for point in entry_points(group=GROUP)}
        if place not in announced:
            near = difflib.get_close_matches(place, [*known, *announced], n=1, cutoff=0.0)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ParameterError(f"{key}: there is no {place!r}; {hint}Your own is FILE.py:CLASS or MODULE:CLASS")
        module, name = announced[place].module, announced[place].attr
    try:
        loaded = _from_file(Path(module), key) if module.endswith(".py") else importlib.import_module(module)
    except ParameterError:
        raise
    except Exception as error:  # whatever a user's module raises is what is wrong with it
        raise ParameterError(f"{key}: {module} cannot be imported ({type(error).__name__}: {error})") from error
    try:
        return getattr(loaded, name)
    except AttributeError:
        raise ParameterError(f"{key}: {module} has no class {name}") from None


def _from_file(path: Path, key: str) -> Any:
    """Import a file as a module that is named after its place, so that workers can import it too."""
    if not path.is_file():
        raise ParameterError(f"{key}: there is no file {path}; give its path from the folder of the workflow")
    name = "hocbench_plugin_" + "".join(c if c.isalnum() else "_" for c in str(path.with_suffix("")))
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ParameterError(f"{key}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
