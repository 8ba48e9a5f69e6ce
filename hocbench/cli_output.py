"""How commands print tables."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def print_table(table: "Table") -> None:
    """Print a table as wide as the terminal, or wide enough for every name."""
    from rich.console import Console

    # A pipe has no width of its own, and ids and keys must never be cut there.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
