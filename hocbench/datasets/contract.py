"""What every dataset adapter promises: one row per frame, in the same columns, whatever the layout on disk."""

import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from hocbench.datasets.faults import refuse_all
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.persons import unite_spellings
from hocbench.datasets.scales import check_signs
from hocbench.errors import DatasetError
from hocbench.files.checksums import check_file, read_sealed
from hocbench.terminal import Item, progress

Label = Literal["synthetic", "real"]
SYNTHETIC_MARKER = "SYNTHETIC.json"  # written last: the folder is complete
SYNTHETIC_NOTICE = "SYNTHETIC.txt"  # written first

# What a frame of an index can be; cropping adds "image_unreadable" and "no_face".
STATUSES = ("ok", "uncertain_label", "label_missing", "landmarks_failed", "frame_missing")
NO_LABEL = ("uncertain_label", "label_missing")
# In predictions: a frame with a label but no crop, answered by the mean label of the training part.
NO_CROP = "no_crop"

FRAME_COLUMNS = {
    "dataset": "str",
    "subject": "str",
    "session": "str",
    "clip": "str",
    "frame": "int64",
    "source": "str",
    "source_frame": "int64",
    "box_x": "float64",
    "box_y": "float64",
    "box_width": "float64",
    "box_height": "float64",
    "landmarks": "object",
    "valence": "float64",
    "arousal": "float64",
    "split": "str",
    "status": "str",
}


@dataclass(frozen=True)
class DatasetIndex:
    """The frames of a dataset.

    Attributes
    ----------
    frames : DataFrame
        Columns of `FRAME_COLUMNS`, sorted by clip and frame. ``landmarks`` holds flat float32 arrays x, y, x, y, ...
        of 68 or 49 points in pixels, empty where there are none; valence and arousal are in [-1, 1] or NaN;
        ``status`` is one of `STATUSES`; ``source`` is a path below the dataset's folder, which may lead through a zip
        archive (see `hocbench.datasets.sources`), and ``source_frame`` a frame of it, if it is a video.
    label : {"synthetic", "real"}
        Told by the marker file that the renderer leaves in its folders.
    notes : dict
        What the adapter decided, for example which column was taken as the value.
    """

    frames: pd.DataFrame
    label: Label
    notes: dict[str, Any] = field(default_factory=dict)


class Adapter(Protocol):
    """Reads one dataset in its published layout.

    Attributes
    ----------
    name : str
        One word, the value of the column ``dataset``.
    layout : str
        What is expected below the dataset's folder, for messages.
    """

    name: str
    layout: str

    def read(self, root: Path, exclude: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return the frames, with those columns of `FRAME_COLUMNS` that this dataset has, and notes.

        One row per frame, kept even where its picture, landmarks or label are missing; labels joined by frame, never by
        order; valence and arousal in [-1, 1] or NaN; notes of plain values say what was decided on the way. Clips that
        are named in ``exclude`` are not read; `hocbench.datasets.holdings` sees to it.
        `hocbench data conformance` checks an adapter against all of this.

        Raises
        ------
        DatasetError
            If a file is missing or not laid out as published; the message names it.
        """
        ...


def read_with(adapter: Adapter, root: Path, exclude: Collection[str] = ()) -> DatasetIndex:
    """Read a dataset, fill columns that it does not have, sort and check it."""
    if not root.is_dir():
        raise DatasetError(
            f"{adapter.name}: folder {root} does not exist; put your copy there or change "
            f"datasets.{adapter.name}.root. "
            f"Expected inside: {adapter.layout}"
        )
    synthetic = (root / SYNTHETIC_MARKER).is_file()
    if not synthetic and (root / SYNTHETIC_NOTICE).is_file():
        raise DatasetError(
            f"{adapter.name}: {root} holds {SYNTHETIC_NOTICE} but no {SYNTHETIC_MARKER}: "
            "its rendering was interrupted; render it again"
        )
    frames, notes = adapter.read(root, exclude)
    if frames.empty:
        raise DatasetError(f"{adapter.name}: no frame found below {root}; expected inside: {adapter.layout}")
    defaults: dict[str, Any] = {"dataset": adapter.name, "session": "", "split": "", "source_frame": 0}
    for column in FRAME_COLUMNS:
        if column not in frames:
            frames[column] = defaults.get(column, np.nan)
    frames = frames[list(FRAME_COLUMNS)].astype({k: v for k, v in FRAME_COLUMNS.items() if v != "object"})
    frames = frames.sort_values(["clip", "frame"], kind="stable", ignore_index=True)
    frames["subject"], persons = unite_spellings(frames["subject"], frames["clip"])
    notes |= persons
    _check(adapter.name, frames)
    check_signs(adapter.name, frames)
    geometry = inspect_geometry(frames, root, everything=False)
    refuse_all(adapter.name, [f"{adapter.name}: {root}: {fault}" for fault in geometry.faults])
    if geometry.remarks:
        notes = notes | {"landmark_remarks": "; ".join(geometry.remarks)}
    return DatasetIndex(frames, "synthetic" if synthetic else "real", notes)


def load_excluded(prepared: Path) -> list[str]:
    """Return the clips that an index leaves out by name; `load_index` has found it whole."""
    excluded: list[str] = read_sealed(prepared / "index.json").get("notes", {}).get("excluded", [])
    return excluded


def load_index(prepared: Path, columns: list[str] | None = None) -> tuple[pd.DataFrame, Label]:
    """Load an index that `hocbench.datasets.write_index` wrote.

    Parameters
    ----------
    prepared : Path
        Folder with ``index.parquet`` and ``index.json``.
    columns : list of str, optional
        Which ones; all by default.

    Returns
    -------
    DataFrame, {"synthetic", "real"}
        The frames, and what the data are.

    Raises
    ------
    DatasetError
        If there is none.
    DamageError
        If a file is not as it was written.
    """
    table, seal = prepared / "index.parquet", prepared / "index.json"
    absent = [path.name for path in (table, seal) if not path.is_file()]
    if absent:
        raise DatasetError(f"{prepared} has no index ({' and '.join(absent)} missing); run `hocbench index` first")
    try:
        about = read_sealed(seal)
        check_file(table, about.get("files", {}).get(table.name))
        return pd.read_parquet(table, columns=columns), about["label"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{prepared} has no index that can be read ({error}); run `hocbench index` again") from None


def _check(name: str, frames: pd.DataFrame) -> None:
    double = frames.duplicated(["clip", "frame"])
    if double.any():
        row = frames[double].iloc[0]
        raise DatasetError(
            f"{name}: frame {row['frame']} of clip {row['clip']!r} is listed twice; remove one of the rows"
        )
    for target in ("valence", "arousal"):
        outside = frames[target].abs() > 1
        if outside.any():
            row = frames[outside].iloc[0]
            raise DatasetError(
                f"{name}: {target} {row[target]:g} of frame {row['frame']} of clip {row['clip']!r} is outside [-1, 1]; "
                "check the scale of the annotation files"
            )


def read_each(name: str, items: Iterable[Item], read: Callable[[Item], None]) -> None:
    """Read one part of a dataset after the other, with a progress bar, and report the faults of all of them together.

    Raises
    ------
    DatasetError
        If some part could not be read: its own message, or the first `MOST_FAULTS` of several.
    """
    faults = []
    for item in progress(items, f"Reading {name}"):
        try:
            read(item)
        except DatasetError as error:
            faults.append(str(error))
    refuse_all(name, faults)


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
        raise DatasetError(f"{name}: {path}, row {row + 1}: {column} {fault}; mend the row")
    return numbers
