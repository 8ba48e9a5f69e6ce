"""Files that are written whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file, whose folder exists; what was written there then takes its place.

    After an error the file is as it was, and what was written is gone.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file in one step."""
    with replaced(path) as temporary:
        temporary.write_bytes(content)


def write_text(text: str, path: Path) -> None:
    """Write a text file in one step: UTF-8, lines end as they are given."""
    write_bytes(text.encode(), path)


def write_json(value: Any, path: Path) -> None:
    """Write plain values as sorted, indented JSON in one step."""
    write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", path)


def write_parquet(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table as Parquet in one step."""
    with replaced(path) as temporary:
        frame.to_parquet(temporary, index=False)
