"""The frame index of a dataset: read by an adapter, checked, written to files."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.adapters import load_adapter
from hocbench.datasets.columns import SYNTHETIC_MARKER, SYNTHETIC_NOTICE, frame_columns
from hocbench.datasets.contract import DatasetIndex, task_of
from hocbench.datasets.faults import refuse_all
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.persons import unite_spellings
from hocbench.datasets.scales import check_signs
from hocbench.errors import DatasetError
from hocbench.experiment.tasks import CLASS, VALENCE_AROUSAL, Task
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
        If the name is unknown, the folder is not laid out as published, it holds no clip of a name to leave out, or a
        label does not belong to the task of the adapter.
    """
    adapter = load_adapter(name)
    task = task_of(adapter)
    columns = frame_columns(task)
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
    for column in columns:
        if column not in frames:
            frames[column] = defaults.get(column, np.nan)
    if task.classes:
        frames[CLASS] = frames[CLASS].fillna("")
    frames = frames[list(columns)].astype({k: v for k, v in columns.items() if v != "object"})
    frames = frames.sort_values(["clip", "frame"], kind="stable", ignore_index=True)
    frames["subject"], persons = unite_spellings(frames["subject"], frames["clip"])
    notes |= persons
    _check(adapter.name, frames, task)
    if task == VALENCE_AROUSAL:
        check_signs(adapter.name, frames)
    geometry = inspect_geometry(frames, root, everything=False)
    refuse_all(adapter.name, [f"{adapter.name}: {root}: {fault}" for fault in geometry.faults])
    if geometry.remarks:
        notes = notes | {"landmark_remarks": "; ".join(geometry.remarks)}
    return DatasetIndex(frames, "synthetic" if synthetic else "real", notes, task)


def _check(name: str, frames: pd.DataFrame, task: Task) -> None:
    double = frames.duplicated(["clip", "frame"])
    if double.any():
        row = frames[double].iloc[0]
        raise DatasetError(
            f"{name}: frame {row['frame']} of clip {row['clip']!r} is listed twice; remove one of the rows"
        )
    if task.classes:
        _check_classes(name, frames[frames[CLASS] != ""], task)
        return
    for target, (low, high) in zip(task.targets, task.ranges, strict=True):
        outside = (frames[target] < low) | (frames[target] > high)
        if outside.any():
            row = frames[outside].iloc[0]
            raise DatasetError(
                f"{name}: {target} {row[target]:g} of frame {row['frame']} of clip {row['clip']!r} is outside "
                f"[{low:g}, {high:g}]; check the scale of the annotation files"
            )


def _check_classes(name: str, labelled: pd.DataFrame, task: Task) -> None:
    strange = labelled[~labelled[CLASS].isin(task.classes)]
    if len(strange):
        row = strange.iloc[0]
        raise DatasetError(
            f"{name}: frame {row['frame']} of clip {row['clip']!r} has the class {row[CLASS]!r}, and the task of its "
            f"adapter knows {', '.join(task.classes)}; correct one of them"
        )
    several = labelled.drop_duplicates(["clip", CLASS]).groupby("clip")[CLASS].agg(list)
    for clip, classes in several[several.map(len) > 1].head(1).items():
        raise DatasetError(
            f"{name}: clip {clip!r} has frames of {' and '.join(classes)}; a clip is of one class, so make clips of it"
        )


def write_index(index: DatasetIndex, out: Path) -> None:
    """Write ``index.parquet`` and then ``index.json`` into a folder."""
    statuses = {str(key): int(count) for key, count in sorted(index.frames["status"].value_counts().items())}
    summary = {"label": index.label, "frames": len(index.frames), "statuses": statuses, "notes": index.notes}
    with staged(out, "index") as folder:
        write_parquet(index.frames, folder / "index.parquet")
        write_text(sealed(summary | {"files": hashes_of(folder, ["index.parquet"])}), folder / "index.json")
