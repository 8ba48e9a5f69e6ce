"""What every dataset adapter promises: one row per frame, in the same columns, whatever the layout on disk."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from hocbench.datasets.columns import Label
from hocbench.experiment.tasks import VALENCE_AROUSAL, Task


@dataclass(frozen=True)
class DatasetIndex:
    """The frames of a dataset.

    Attributes
    ----------
    frames : DataFrame
        Columns as of `frame_columns`, sorted by clip and frame. ``landmarks`` holds flat float32 arrays x, y, x, y, ...
        of 68 or 49 points in pixels, empty where there are none; targets of affect are in their ranges or NaN, and
        ``class`` is the name of a class or empty; ``status`` is one of `STATUSES`; ``source`` is a path below the
        dataset's folder, which may lead through a zip archive (see `hocbench.datasets.sources`), and ``source_frame`` a
        frame of it, if it is a video.
    label : {"synthetic", "real"}
        Told by the marker file that the renderer leaves in its folders.
    notes : dict
        What the adapter decided, for example which column was taken as the value.
    task : Task
        What its labels are of.
    """

    frames: pd.DataFrame
    label: Label
    notes: dict[str, Any] = field(default_factory=dict)
    task: Task = VALENCE_AROUSAL


class Adapter(Protocol):
    """Reads one dataset in its published layout.

    Attributes
    ----------
    name : str
        One word, the value of the column ``dataset``.
    layout : str
        What is expected below the dataset's folder, for messages.
    role : {"images", "clips"}
        What it consists of.
    task : Task
        What its labels are, made by `hocbench.experiment.tasks.affect` or ``classification``; without, valence and
        arousal.
    title : str
        What tables call it; without, the name of its entry in the parameters.
    """

    name: str
    layout: str
    role: str

    def read(self, root: Path, exclude: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Return the frames, with those columns of `frame_columns` that this dataset has, and notes.

        One row per frame, kept even where its picture, landmarks or label are missing; labels joined by frame, never by
        order, in the ranges of the task or NaN, or names of its classes; notes of plain values say what was decided on
        the way. Clips that are named in ``exclude`` are not read; `hocbench.datasets.holdings` sees to it.
        `hocbench conformance` checks an adapter against all of this.

        Raises
        ------
        DatasetError
            If a file is missing or not laid out as published; the message names it.
        """
        ...


def task_of(adapter: Any) -> Task:
    """Return the task of an adapter."""
    task: Task = getattr(adapter, "task", VALENCE_AROUSAL)
    return task
