"""Text and tables in Markdown."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

STATUS_NOTE = "Status: P stated by the authors, S from a secondary source, U unverified recollection."
SPECIAL = re.compile(r"[\\`*_\[\]<>&~]")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def escape(text: str) -> str:
    r"""Write a name from data so that Markdown shows it as it is; `markdown_table` does the same for pipes.

    >>> escape("a_b <i>")
    'a\\_b \\<i\\>'
    """
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)
