"""Adapters by name, or by the place of a user's own; none is imported before it is asked for."""

from typing import TYPE_CHECKING

from hocbench.plugins import load_class, source_of

if TYPE_CHECKING:
    from hocbench.datasets.contract import Adapter

ADAPTERS = {
    "affectnet": "hocbench.datasets.affectnet:AffectNet",
    "sewa": "hocbench.datasets.sewa:Sewa",
    "afew_va": "hocbench.datasets.afew_va:AfewVa",
}
KEY = "adapter"


def load_adapter(place: str) -> "Adapter":
    """Import an adapter.

    Parameters
    ----------
    place : str
        A name of `ADAPTERS`, or a place as of `hocbench.plugins.load_class`; an object serves like a class.

    Raises
    ------
    ParameterError
        If there is none.
    """
    adapter = load_class(ADAPTERS.get(place, place), KEY, ADAPTERS)
    loaded: Adapter = adapter() if isinstance(adapter, type) else adapter
    return loaded


def adapter_module(place: str) -> str:
    """Return what `hocbench.files.code.code_hash` takes for an adapter: a module of ours, or a file of the user's."""
    if place in ADAPTERS:
        return ADAPTERS[place].partition(":")[0]
    return str(source_of(place, KEY, ADAPTERS))
