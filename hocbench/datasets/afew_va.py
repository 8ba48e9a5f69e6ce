"""AFEW-VA: a folder of PNG frames and one JSON file per film clip, unpacked or in the archives of the release."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.contract import read_each
from hocbench.datasets.scales import LabelFile, decide_scale
from hocbench.datasets.sources import list_files, read_bytes
from hocbench.errors import DatasetError

RELEASED_SCALE = 10  # labels are integers from -10 to 10
FAR = 1e9  # no label of any scale goes so far
Row = dict[str, Any]


class AfewVa:
    """Film clips with the name of the actor."""

    name = "afew_va"
    layout = "folders 001 ... 600 with 00000.png ... and 001.json, or the 12 zip archives that hold them"

    def read(self, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all clips; see `hocbench.datasets.contract.Adapter`."""
        clips, archives = _find_clips(root)
        rows: list[Row] = []
        read_each(self.name, sorted(clips), lambda clip: rows.extend(_read_clip(root, clip, clips[clip])))
        scaled = _scale(rows)
        return pd.DataFrame(rows), {"clips": len(clips), "archives": archives} | scaled


def _find_clips(root: Path) -> tuple[dict[str, dict[str, str]], int]:
    """List the files of each clip by name, and count archives; an unpacked clip goes before a packed one."""
    clips: dict[str, dict[str, str]] = {}
    archives = sorted(path for path in root.iterdir() if path.suffix.lower() == ".zip")
    for archive in archives:
        try:
            sources = list_files(root, archive.name)
        except OSError as error:
            raise DatasetError(f"afew_va: {error}; copy it again") from None
        for source in sources:
            path = PurePosixPath(source)
            if path.parent.name.isdigit():
                clips.setdefault(path.parent.name, {})[path.name] = source
    for folder in root.iterdir():
        if folder.is_dir() and folder.name.isdigit():
            clips[folder.name] = {path.name: f"{folder.name}/{path.name}" for path in folder.iterdir()}
    return clips, len(archives)


def _read_clip(root: Path, clip: str, files: dict[str, str]) -> list[Row]:
    name = f"{clip}.json"
    if name not in files:
        folder = PurePosixPath(next(iter(files.values()), f"{clip}/")).parent
        raise DatasetError(
            f"afew_va: {root / folder / name} is missing; each clip folder holds its frames and one JSON file"
        )
    path = root / files[name]
    try:
        actor, frames = _load(path, read_bytes(root, files[name]))
    except OSError as error:
        raise DatasetError(f"afew_va: {path} cannot be read ({error}); copy it again") from None
    return [
        _read_frame(path, number, frame)
        | {"subject": actor, "clip": clip}
        | _picture(files, files[name], number, frame)
        for number, frame in sorted(frames.items())
    ]


def _scale(rows: list[Row]) -> dict[str, Any]:
    """Bring the labels of all clips to [-1, 1], and take where they stand out of the rows; returns notes."""
    clips: dict[str, list[Row]] = {}
    for row in rows:
        clips.setdefault(row["clip"], []).append(row)
    files = []
    for own in clips.values():
        places = [row["place"] for row in own]
        for target in ("valence", "arousal"):
            values = np.array([row[target] for row in own], dtype=np.float64)
            files.append(LabelFile(target, values, places.__getitem__))
    scale, notes = decide_scale("afew_va", files, RELEASED_SCALE)
    for row in rows:
        del row["place"]
        row |= {target: row[target] / scale for target in ("valence", "arousal")}
    return notes


def _picture(files: dict[str, str], description: str, number: str, frame: Row) -> Row:
    """Tell the picture and the landmarks of a frame, and its status as far as these two decide it."""
    name = f"{number}.png"
    points = _landmarks(frame.get("landmarks"))
    status = "ok" if len(points) else "landmarks_failed"
    if frame.get("valence") is None or frame.get("arousal") is None:
        status = "label_missing"
    if name not in files:
        status = "frame_missing"
    source = files.get(name, str(PurePosixPath(description).with_name(name)))
    return {"source": source, "landmarks": points, "status": status}


def _read_frame(path: Path, number: str, frame: Row) -> Row:
    """Read the labels of a frame, not scaled yet."""
    labels: Row = {"frame": int(number), "place": f"{path}, frame {number}"}
    for target in ("valence", "arousal"):
        value = frame.get(target)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DatasetError(f"afew_va: {path}, frame {number}: {target} {value!r} is not a number; check the file")
        # A number of a thousand digits is one of Python and of JSON, but not of NumPy.
        if value is not None and not abs(value) < FAR:
            raise DatasetError(f"afew_va: {path}, frame {number}: {target} {value!s:.20} is no label; check the file")
        labels[target] = np.nan if value is None else value
    return labels


def _load(path: Path, content: bytes) -> tuple[str, dict[str, Row]]:
    """Read the actor and the frames, by their numbers, of a clip."""
    try:
        clip = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"afew_va: {path} is not JSON ({error}); copy it again") from None
    if not isinstance(clip, dict) or not {"actor", "frames"} <= set(clip):
        raise DatasetError(f"afew_va: {path} has no keys actor and frames as released; copy it again")
    frames = clip["frames"]
    if not isinstance(frames, dict) or not frames:
        raise DatasetError(f"afew_va: {path}: frames is not a table of frames by number as released; copy it again")
    for name, frame in frames.items():
        if not (name.isdecimal() and len(name) < 10) or not isinstance(frame, dict):
            raise DatasetError(
                f"afew_va: {path}, frame {name!r}: not a frame number with labels as released; copy it again"
            )
    return str(clip["actor"]), frames


def _landmarks(points: Any) -> np.ndarray:
    """Flatten 68 points; anything else counts as failed."""
    try:
        flat = np.asarray(points or [], dtype=np.float32).ravel()
    except (TypeError, ValueError):
        return np.empty(0, np.float32)
    return flat if len(flat) == 136 and np.isfinite(flat).all() else np.empty(0, np.float32)
