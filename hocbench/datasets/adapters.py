"""Adapters by name, or by the module or file that holds a user's own; none is imported before it is asked for."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hocbench.errors import DatasetError

if TYPE_CHECKING:
    from hocbench.datasets.contract import Adapter

ADAPTERS = {
    "affectnet": "hocbench.datasets.affectnet:AffectNet",
    "sewa": "hocbench.datasets.sewa:Sewa",
    "afew_va": "hocbench.datasets.afew_va:AfewVa",
}


def load_adapter(spec: str) -> "Adapter":
    """Import an adapter.

    Parameters
    ----------
    spec : str
        A name of `ADAPTERS`, ``package.module:Class`` or ``folder/file.py:Class``; an object serves like a class.

    Raises
    ------
    DatasetError
        If there is none.
    """
    place, _, attribute = ADAPTERS.get(spec, spec).rpartition(":")
    if not place:
        raise DatasetError(
            f"unknown dataset {spec!r}; choose from {', '.join(ADAPTERS)}, or give your own adapter as file.py:Class "
            "or package.module:Class"
        )
    try:
        adapter = getattr(_import(place), attribute)
    except (ImportError, AttributeError, OSError) as error:
        remedy = "check its path" if place.endswith(".py") else "is its folder in PYTHONPATH?"
        raise DatasetError(f"adapter {spec!r} cannot be imported ({error}); {remedy}") from None
    loaded: Adapter = adapter() if isinstance(adapter, type) else adapter
    return loaded


def _import(place: str) -> ModuleType:
    """Import a module by its name, or a file by its path."""
    if not place.endswith(".py"):
        # As `python -m` does; the command `hocbench` starts without the folder that it is called in.
        if str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))
        return importlib.import_module(place)
    spec = importlib.util.spec_from_file_location(Path(place).stem, place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def adapter_module(spec: str) -> str:
    """Return the module, or the file, that holds an adapter; see `load_adapter`."""
    return ADAPTERS.get(spec, spec).rpartition(":")[0]
