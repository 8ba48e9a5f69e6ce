"""Result tables as text, row by row, so that equal means equal to the last digit."""

import csv
from collections.abc import Sequence
from pathlib import Path

from hocbench.errors import VerifyError

NAMED = 3  # runs that are named in one message
Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """Read a CSV file with a header as text: a row per line, by column.

    Raises
    ------
    VerifyError
        If it has no header, a column twice, or a line with another number of cells than the header.
    """
    again = f"write {path.name} again"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            if not header or len(set(header)) < len(header):
                raise VerifyError(f"{path} has no header of distinct columns; {again}")
            rows = []
            for line in lines:
                if len(line) != len(header):
                    raise VerifyError(
                        f"{path}, line {lines.line_num}: {len(line)} cells where the header has {len(header)}; the "
                        f"file was cut off or edited; {again}"
                    )
                rows.append(dict(zip(header, line, strict=True)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise VerifyError(f"{path} cannot be read as CSV ({error}); {again}") from None
    return rows


def by_key(rows: Sequence[Row], keys: Sequence[str], where: str) -> dict[tuple[str, ...], Row]:
    """Index rows of `read_rows` by the columns that tell them apart; ``where`` names the table in messages.

    Raises
    ------
    VerifyError
        If a column is absent, or two rows have the same keys.
    """
    absent = [key for key in keys if rows and key not in rows[0]]
    if absent:
        raise VerifyError(f"{where} has no column {', '.join(absent)}; write it again with this version of hocbench")
    index: dict[tuple[str, ...], Row] = {}
    lines: dict[tuple[str, ...], int] = {}
    for line, row in enumerate(rows, 1):
        key = tuple(row[name] for name in keys)
        if key in index:
            raise VerifyError(
                f"{where} has two rows (data rows {lines[key]} and {line}) of {named(keys, key)}; one of them is "
                "too many, so write the table again"
            )
        index[key], lines[key] = row, line
    return index


def named(keys: Sequence[str], values: Sequence[str]) -> str:
    """Spell out what a row is of, leaving out what is empty."""
    return "; ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True) if value)


def listed(names: Sequence[str]) -> str:
    """Write how many runs there are, and the first of them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} {'run' if len(names) == 1 else 'runs'}: {', '.join(names[:NAMED])}{more}"


def number(text: str) -> float | None:
    """Read a number; None if the text is none."""
    try:
        return float(text)
    except ValueError:
        return None
