"""CSV lists as people and programs write them, refused with the place of what is wrong."""

import io
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.errors import DatasetError


def read_csv(name: str, path: Path, content: bytes | None = None, **options: Any) -> pd.DataFrame:
    """Read a CSV list of a dataset; the content is given where it comes from an archive.

    Raises
    ------
    DatasetError
        If the file holds nothing, or is not CSV in UTF-8.
    """
    try:
        # Spreadsheets put a byte order mark in front, which is no part of the first column's name.
        return pd.read_csv(path if content is None else io.BytesIO(content), encoding="utf-8-sig", **options)
    except pd.errors.EmptyDataError:
        raise DatasetError(f"{name}: {path} is empty; copy it from the release again") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        remedy = "save it in UTF-8" if isinstance(error, UnicodeDecodeError) else "use the file as released"
        raise DatasetError(f"{name}: {path} cannot be read as CSV ({error}); {remedy}") from None


def to_numbers(name: str, path: Path, table: pd.DataFrame, column: str, *, blank: bool) -> pd.Series:
    """Return a column as float64; ``blank`` says whether cells may be empty.

    Raises
    ------
    DatasetError
        Naming the file, the row (counted from 1 below the header) and the cell that is not a number.
    """
    numbers = pd.to_numeric(table[column], errors="coerce").astype("float64")
    wrong = numbers.isna() & (table[column].notna() if blank else True)
    if wrong.any():
        row = int(table.index[wrong][0])
        cell = table[column].loc[row]
        fault = "is empty" if pd.isna(cell) else f"{cell!r} is not a number"
        raise DatasetError(f"{name}: {path}, row {row + 1}: {column} {fault}; correct the row")
    return numbers
