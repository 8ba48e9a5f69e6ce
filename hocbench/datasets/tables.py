"""CSV lists as people and programs write them, refused with the place of what is wrong; and points of faces."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.errors import DatasetError


def read_csv(name: str, path: Path, content: bytes, **options: Any) -> pd.DataFrame:
    """Read the content of a CSV list of a dataset; what is empty, or not CSV in UTF-8, raises a DatasetError."""
    try:
        # Spreadsheets put a byte order mark in front, which is no part of the first column's name.
        return pd.read_csv(io.BytesIO(content), encoding="utf-8-sig", **options)
    except pd.errors.EmptyDataError:
        raise DatasetError(f"{name}: {path} is empty; copy it from the release again") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        remedy = "save it in UTF-8" if isinstance(error, UnicodeDecodeError) else "use the file as released"
        raise DatasetError(f"{name}: {path} cannot be read as CSV ({error}); {remedy}") from None


def to_numbers(name: str, path: Path, table: pd.DataFrame, column: str, *, blank: bool) -> pd.Series:
    """Return a column as float64; ``blank`` says whether cells may be empty.

    A cell that is not a number raises a DatasetError with the file and the row, counted from 1 below the header.
    """
    numbers = pd.to_numeric(table[column], errors="coerce").astype("float64")
    wrong = numbers.isna() & (table[column].notna() if blank else True)
    if wrong.any():
        row = int(table.index[wrong][0])
        cell = table[column].loc[row]
        fault = "is empty" if pd.isna(cell) else f"{cell!r} is not a number"
        raise DatasetError(f"{name}: {path}, row {row + 1}: {column} {fault}; correct the row")
    return numbers


def to_points(numbers: Any, count: int = 68) -> np.ndarray:
    """Flatten the landmarks of one face, numbers or their text in any shape, to float32 x, y, x, y, ...

    The array is empty if these are not ``count`` points with finite coordinates.
    """
    try:
        points = np.asarray(numbers, dtype=np.float32).ravel()
    except (TypeError, ValueError, OverflowError):
        points = np.empty(0, np.float32)
    return points if len(points) == 2 * count and np.isfinite(points).all() else np.empty(0, np.float32)
