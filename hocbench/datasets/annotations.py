"""Annotation files of a video: found and checked, not joined to its frames yet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from hocbench.datasets.scales import LabelFile
from hocbench.datasets.tables import read_csv, to_numbers
from hocbench.errors import DatasetError


@dataclass(frozen=True)
class Annotation:
    """An annotation file: its path, the column taken as the value, and that column by number, not scaled."""

    path: Path
    column: str
    values: pd.Series

    @property
    def numbers(self) -> list[int]:
        """Numbers of all labels."""
        return [int(number) for number in self.values.index]

    def labels(self) -> LabelFile:
        """Return its labels, for the scale of the copy."""
        return LabelFile(self.column, self.values.to_numpy(), lambda index: f"{self.path}, row {index + 1}")


def read_annotation(path: Path, content: bytes, target: str) -> Annotation:
    """Read one annotation file, of "Valence" or "Arousal"; the values are not scaled yet.

    Raises
    ------
    DatasetError
        If it is empty, its columns are unclear, or a cell is wrong.
    """
    table = read_csv("sewa", path, content)
    if table.empty:
        raise DatasetError(f"sewa: {path} is empty below its header; copy the segment again")
    index, column = _columns(path, table, target)
    frames = to_numbers("sewa", path, table, index, blank=False)
    values = to_numbers("sewa", path, table, column, blank=True)
    _refuse(path, frames, ~(frames.abs() < 2**31) | (frames % 1 != 0), f"{index} {{:g}} is not a frame number")
    _refuse(path, frames, frames.duplicated(), "frame {:g} is listed twice", "remove one of the rows")
    _refuse(path, values, np.isinf(values), f"{column} {{:g}} is not a label")
    return Annotation(path, column, pd.Series(values.to_numpy(), index=frames.astype("int64")))


def _columns(path: Path, table: pd.DataFrame, target: str) -> tuple[str, str]:
    """Find the columns of the frame number and of the value."""
    names = {str(column).strip().lower(): str(column) for column in table.columns}
    has = f"it has {', '.join(map(str, table.columns))}. Use the file as released"
    if "frame_idx" not in names:
        raise DatasetError(f"sewa: {path} has no column frame_idx; {has}")
    numeric = [str(column) for column in table.select_dtypes("number").columns if column != names["frame_idx"]]
    if target.lower() not in names and len(numeric) != 1:
        raise DatasetError(
            f"sewa: {path} has no column {target.lower()} and not exactly one number beside frame_idx; {has}"
        )
    return names["frame_idx"], names.get(target.lower()) or numeric[0]


def _refuse(path: Path, values: pd.Series, wrong: pd.Series, message: str, remedy: str = "correct the row") -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DatasetError(f"sewa: {path}, row {row + 1}: {message.format(values.iloc[row])}; {remedy}")
