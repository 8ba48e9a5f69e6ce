"""Whether an adapter, ours or a user's, keeps the contract of `hocbench.datasets.contract`."""

import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.columns import NO_LABEL, STATUSES, frame_columns
from hocbench.datasets.contract import Adapter, task_of
from hocbench.datasets.sources import locate
from hocbench.errors import DatasetError
from hocbench.experiment.methods import CLIPS, IMAGES
from hocbench.experiment.tasks import CLASS, Task
from hocbench.plugins import Verdict, fault_of

LANDMARK_LENGTHS = (0, 98, 136)


def check_adapter(adapter: Adapter, root: Path | None) -> list[Verdict]:
    """Check an adapter by every clause of the contract on a dataset, or a small part of one, as distributed.

    Clauses that need frames are missing from the verdicts if none could be read, or if there is no folder.
    """
    verdicts = [
        Verdict("name is one word, layout says what is expected, role is images or clips", _describes_itself(adapter)),
        Verdict("task is made by affect or classification", _has_no_task(adapter)),
        Verdict("an empty folder is refused by a DatasetError that names it", _refuses_an_empty_folder(adapter)),
    ]
    if root is None or verdicts[1].fault:
        return verdicts
    try:
        frames, notes = adapter.read(root, ())
    except Exception as error:  # whatever a user's adapter raises is the finding
        return [*verdicts, Verdict(f"{root} is read", f"{type(error).__name__}: {error}")]
    again, _ = adapter.read(root, ())
    verdicts.append(Verdict(f"{root} is read", "" if len(frames) else "no frame found"))
    if len(frames):
        task = task_of(adapter)
        checks = {clause: partial(_first, check, frames, root, task) for clause, check in CLAUSES.items()}
        checks["a clip that is named in exclude is left out"] = partial(_kept, adapter, root, frames)
        checks["reading again gives the same frames"] = partial(_differs, frames, again)
        verdicts += [Verdict(clause, fault_of(check)) for clause, check in checks.items()]
    return [*verdicts, Verdict("notes are plain values", _not_plain(notes))]


def _first(check: "Check", frames: pd.DataFrame, root: Path, task: Task) -> str:
    return next(check(frames, root, task), "")


def _describes_itself(adapter: Adapter) -> str:
    name, layout, role = (getattr(adapter, attribute, None) for attribute in ("name", "layout", "role"))
    if not isinstance(name, str) or not name.isidentifier():
        return f"name is {name!r}"
    if not isinstance(layout, str) or not layout:
        return f"layout is {layout!r}"
    return "" if role in (IMAGES, CLIPS) else f"role is {role!r}"


def _has_no_task(adapter: Adapter) -> str:
    task = task_of(adapter)
    return "" if isinstance(task, Task) else f"task is {task!r}"


def _kept(adapter: Adapter, root: Path, frames: pd.DataFrame) -> str:
    first, *others = frames["clip"].unique()
    if not others:
        return ""
    rest, _ = adapter.read(root, [first])
    return f"clip {first!r} is still there" if first in set(rest["clip"]) else ""


def _refuses_an_empty_folder(adapter: Adapter) -> str:
    with tempfile.TemporaryDirectory() as folder:
        try:
            frames, _ = adapter.read(Path(folder), ())
        except DatasetError as error:
            return "" if folder in str(error) else f"the message names no folder: {error}"
        except Exception as error:  # as above
            return f"{type(error).__name__}: {error}"
    # No frame at all is refused by whoever called the adapter.
    return "" if len(frames) == 0 else f"{len(frames)} frames found in it"


def _columns(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    needed = ["subject", "clip", "frame", "source", "landmarks", *task.targets, "status"]
    columns = frame_columns(task)
    yield from (f"column {column} is missing" for column in needed if column not in frames)
    yield from (f"column {column} is unknown" for column in frames if column not in columns)
    for column, kind in columns.items():
        if kind != "object" and column in frames:
            try:
                frames[column].astype(np.dtype(kind) if kind != "str" else str)
            except (ValueError, TypeError) as error:
                yield f"column {column} is not {kind}: {error}"


def _unique(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    twice = frames[frames.duplicated(["clip", "frame"])]
    yield from (f"frame {frame} of clip {clip!r} comes twice" for clip, frame in twice[["clip", "frame"]].to_numpy())


def _one_subject(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    counts = frames.groupby("clip")["subject"].nunique()
    yield from (f"clip {clip!r} has {count} subjects" for clip, count in counts[counts != 1].items())


def _labels(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    if task.classes:
        wrong = frames[~(_unlabelled(frames, task) | frames[CLASS].isin(task.classes))]
        yield from (f"class {name!r} of clip {clip!r}" for clip, name in wrong[["clip", CLASS]].to_numpy())
        counts = frames[~_unlabelled(frames, task)].groupby("clip")[CLASS].nunique()
        yield from (f"clip {clip!r} has {count} classes" for clip, count in counts[counts > 1].items())
        return
    for target, (low, high) in zip(task.targets, task.ranges, strict=True):
        values = frames[target].astype("float64")
        wrong = frames[~(values.isna() | values.between(low, high))]
        yield from (f"{target} {value} of clip {clip!r}" for clip, value in wrong[["clip", target]].to_numpy())


def _unlabelled(frames: pd.DataFrame, task: Task) -> pd.Series:
    labels = frames[list(task.targets)]
    return (labels.isna() | (labels == "")).any(axis=1)


def _statuses(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    unknown = sorted(set(frames["status"]) - set(STATUSES))
    yield from (f"status {status!r} is none of {', '.join(STATUSES)}" for status in unknown)
    silent = frames[_unlabelled(frames, task) & ~frames["status"].isin([*NO_LABEL, "frame_missing"])]
    yield from (
        f"clip {clip!r} has a frame without label and status {s!r}" for clip, s in silent[["clip", "status"]].to_numpy()
    )


def _landmarks(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    for clip, points in zip(frames["clip"], frames["landmarks"], strict=True):
        if not isinstance(points, np.ndarray) or points.dtype != np.float32 or points.ndim != 1:
            yield f"clip {clip!r}: landmarks are no flat float32 array"
        elif len(points) not in LANDMARK_LENGTHS or not np.isfinite(points).all():
            yield f"clip {clip!r}: {len(points)} numbers; 136, 98 or 0 finite ones are expected"


def _sources(frames: pd.DataFrame, root: Path, task: Task) -> Iterator[str]:
    for source, status in frames[["source", "status"]].drop_duplicates("source").to_numpy():
        path, _ = locate(root, source)
        # By name: the user's own folders may hold links to other disks.
        if ".." in PurePosixPath(source).parts or PurePosixPath(source).is_absolute():
            yield f"{source!r} leads out of {root}"
        elif status != "frame_missing" and not path.exists():
            yield f"{source!r} does not exist, but its status is {status!r}"


def _differs(frames: pd.DataFrame, again: pd.DataFrame) -> str:
    try:
        pd.testing.assert_frame_equal(frames, again)
    except AssertionError as error:
        return " ".join(str(error).split())
    return ""


def _not_plain(notes: Any) -> str:
    if not isinstance(notes, dict):
        return f"notes are a {type(notes).__name__}"
    try:
        json.dumps(notes)
    except TypeError as error:
        return str(error)
    return ""


Check = Callable[[pd.DataFrame, Path, Task], Iterator[str]]
CLAUSES: dict[str, Check] = {
    "columns are those of the contract, with its types": _columns,
    "a frame comes once": _unique,
    "a clip has one subject": _one_subject,
    "labels are in the ranges or among the classes of the task, or missing": _labels,
    "statuses are known, and a missing label has one that says so": _statuses,
    "landmarks are 68 or 49 points, or none": _landmarks,
    "sources exist below the folder unless they are marked as missing": _sources,
}
