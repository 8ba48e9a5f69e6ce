"""A program that names the modules of ours that commands load, as Python itself finds them."""

import ast
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command


def main(commands: dict[str, list[str]]) -> dict[str, list[str]]:
    """Name the modules that each of some commands loads, as if each had a process of its own.

    Parameters
    ----------
    commands : dict of str to list of str
        Adapters that a command is given by the words of the command: ``{"hocbench data check": ["sewa"]}``.
    """
    loaded = {}
    for words, adapters in commands.items():
        for name in [name for name in sys.modules if is_ours(name)]:
            del sys.modules[name]
        load(words.split(), adapters)
        loaded[words] = sorted(filter(is_ours, sys.modules))
    return loaded


def is_ours(module: str) -> bool:
    """Whether a module belongs to the package or to the studies."""
    return module.partition(".")[0] in ("hocbench", "studies")


def load(words: list[str], adapters: list[str]) -> None:
    """Import what a command imports: its program, and what is imported in its body."""
    program = importlib.import_module({"hocbench": "hocbench.cli.main", "studies": "studies.__main__"}[words[0]])
    command: Any = get_command(program.app)
    for word in words[1:]:
        command = command.commands[word]
    function = inspect.unwrap(command.callback)
    for name in imports_of(inspect.getsource(sys.modules[function.__module__]), function.__name__):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:  # of a name in a module
            importlib.import_module(name.rpartition(".")[0])
    for adapter in adapters:
        importlib.import_module("hocbench.datasets.adapters").load_adapter(adapter)


def imports_of(text: str, function: str) -> Iterator[str]:
    """Name what the body of a function imports, and those of the functions beside it that it calls."""
    functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    waiting, seen = [function], set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Name) and node.id in functions and node.id not in seen:
                waiting.append(node.id)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
