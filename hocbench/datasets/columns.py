"""The columns of a frame index, and the words that stand in them."""

from collections.abc import Iterable
from typing import Literal

import pandas as pd

from hocbench.errors import DatasetError
from hocbench.experiment.tasks import Task

Label = Literal["synthetic", "real"]
SYNTHETIC_MARKER = "SYNTHETIC.json"  # written last: the folder is complete
SYNTHETIC_NOTICE = "SYNTHETIC.txt"  # written first

# What a frame of an index can be; cropping adds "image_unreadable" and "no_face".
STATUSES = ("ok", "uncertain_label", "label_missing", "landmarks_failed", "frame_missing")
NO_LABEL = ("uncertain_label", "label_missing")
# In predictions: a frame with a label but no crop, answered by what is best without looking at it.
NO_CROP = "no_crop"

# Of an index, beside the labels of its task.
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
    "split": "str",
    "status": "str",
}
# What crop stores and predictions add.
LATER_COLUMNS = ("face", "usable", "end_byte", "part")
_AFTER_LABELS = ("split", "status")


def frame_columns(task: Task) -> dict[str, str]:
    """Return the columns of the index of a dataset with their types, in order: `FRAME_COLUMNS` and the labels.

    Raises
    ------
    DatasetError
        If a target has the name of another column.
    """
    taken = [target for target in task.targets if target in FRAME_COLUMNS or target in LATER_COLUMNS]
    if taken:
        raise DatasetError(f"target {', '.join(taken)} of a task: an index has that column itself; rename the target")
    columns = {name: kind for name, kind in FRAME_COLUMNS.items() if name not in _AFTER_LABELS}
    columns |= dict.fromkeys(task.targets, "str" if task.classes else "float64")
    return columns | {name: FRAME_COLUMNS[name] for name in _AFTER_LABELS}


def label_columns(columns: Iterable[str]) -> list[str]:
    """Pick the columns of labels out of those of an index or a crop store."""
    return [name for name in columns if name not in FRAME_COLUMNS and name not in LATER_COLUMNS]


def labelled(frames: pd.DataFrame) -> pd.Series:
    """Return whether each frame of an index or a crop store has all its labels."""
    labels = frames[label_columns(frames.columns)]
    return (labels.notna() & (labels != "")).all(axis=1)
