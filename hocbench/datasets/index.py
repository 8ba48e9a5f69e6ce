"""The frame index of a dataset: read by an adapter, checked, written to files."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.adapters import load_adapter
from hocbench.datasets.columns import FRAME_COLUMNS, SYNTHETIC_MARKER, SYNTHETIC_NOTICE
from hocbench.datasets.contract import DatasetIndex
from hocbench.datasets.faults import refuse_all
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.persons import unite_spellings
from hocbench.datasets.scales import check_signs
from hocbench.errors import DatasetError
from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_parquet, write_text


def read_index(name: str, root: Path, exclude: Collection[str] = ()) -> DatasetIndex:
    """Read a dataset as distributed, fill columns that it does not have, sort and check it.

    Parameters
    ----------
    name : str
        Which adapter reads it; see `hocbench.datasets.adapters.load_adapter`.
    root : Path
        Its folder.
    exclude : collection of str
        Clips to leave out, by name or by their place below the folder.

    Raises
    ------
    DatasetError
        If the name is unknown, the folder is not laid out as published, or it holds no clip of a name to leave out.
    """
    adapter = load_adapter(name)
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


def write_index(index: DatasetIndex, out: Path) -> None:
    """Write ``index.parquet`` and then ``index.json`` into a folder."""
    statuses = {str(key): int(count) for key, count in sorted(index.frames["status"].value_counts().items())}
    summary = {"label": index.label, "frames": len(index.frames), "statuses": statuses, "notes": index.notes}
    with staged(out, "index") as folder:
        write_parquet(index.frames, folder / "index.parquet")
        write_text(sealed(summary | {"files": hashes_of(folder, ["index.parquet"])}), folder / "index.json")
