"""``hocbench conformance``: whether plug-ins keep their contracts."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hocbench.errors import ParameterError

if TYPE_CHECKING:
    from hocbench.plugins import Verdict


def conformance(
    place: Annotated[str, typer.Argument(help="FILE.py, FILE.py:CLASS, MODULE:CLASS, or the name of an adapter")],
    data: Annotated[Path | None, typer.Option(help="folder that an adapter reads, or a small part of it")] = None,
) -> None:
    """Hold networks and adapters of a file, or one class, against their contracts.

    Exit code 2: one is broken.
    """
    broken = 0
    for title, verdicts in _checked(place, data):
        sys.stdout.write(f"{title}\n")
        for verdict in verdicts:
            word = "BROKEN" if verdict.fault else "note  " if verdict.note else "kept  "
            sys.stdout.write(f"{word}  {verdict.clause}\n")
            if verdict.fault or verdict.note:
                sys.stdout.write(f"        {verdict.fault or verdict.note}\n")
        broken += sum(bool(verdict.fault) for verdict in verdicts)
    if broken:
        raise ParameterError(
            f"{place}: {broken} promises are broken; hocbench.nn.own and hocbench.datasets.contract spell them out"
        )


def _checked(place: str, data: Path | None) -> Iterator[tuple[str, "list[Verdict]"]]:
    """Check each plug-in of a place, under its title."""
    from hocbench.datasets.adapters import ADAPTERS
    from hocbench.datasets.conformance import check_adapter
    from hocbench.plugins import load_class, load_module

    if place.endswith(".py"):
        module = load_module(place, "conformance")
        values = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
        plugins = [value for value in values if isinstance(value, type) and (_is_adapter(value) or _is_network(value))]
        if not plugins:
            raise ParameterError(
                f"{place} holds neither an adapter, a class with a method read, nor a network, an nn.Module built by "
                "outputs, width, stem and clip_length; name the class that is meant: FILE.py:CLASS"
            )
    else:
        plugins = [load_class(ADAPTERS.get(place, place), "conformance", ADAPTERS)]
    for plugin in plugins:
        if _is_adapter(plugin):
            adapter = plugin() if isinstance(plugin, type) else plugin
            where = f"on {data}" if data else "without --data, so that nothing is read"
            yield f"adapter {type(adapter).__name__}, {where}", check_adapter(adapter, data)
        else:
            from hocbench.nn.conformance import check_network

            yield f"network {plugin.__name__}", check_network(plugin)


def _is_adapter(plugin: Any) -> bool:
    return hasattr(plugin, "read")


def _is_network(plugin: type) -> bool:
    """Whether a class is built as networks are; others of a file are parts of one."""
    import inspect

    from torch import nn

    if not issubclass(plugin, nn.Module):
        return False
    try:
        inspect.signature(plugin).bind(outputs=1, width=1, stem="small", clip_length=1)
    except TypeError:
        return False
    return True
