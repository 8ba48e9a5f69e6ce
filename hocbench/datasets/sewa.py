"""SEWA, basic segments: one folder per segment with a video, landmark files and annotation CSVs."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from hocbench.datasets.contract import read_csv, to_numbers
from hocbench.errors import DatasetError

SEGMENT = re.compile(r"^S(AH|AL|VH|VL|SL|SD)_C(\d+)_S(\d+)_P(\d+)_VC1_(\d+)_(\d+)$")
HEARD_OR_SEEN = ("AV", "V", "A")  # what annotators could use, best first
POINTS = 49


class Sewa:
    """Video chats; both partners of a session share its number."""

    name = "sewa"
    layout = (
        "folders like SAH_C6_S181_P362_VC1_000742_001590 with <segment>.avi, <segment>-Landmarks/*.txt and "
        "<segment>_{Valence,Arousal}_{A,V,AV}_Aligned.csv"
    )

    def read(self, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all segment folders; see `hocbench.datasets.contract.Adapter`."""
        folders = sorted(path for path in root.iterdir() if path.is_dir() and SEGMENT.match(path.name))
        notes: dict[str, Any] = {"segments": len(folders), "annotation": {}, "value_column": {}}
        notes |= {"first_label": {}, "without_landmarks": 0}
        parts = [self._read_segment(root, folder, notes) for folder in folders]
        return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), notes

    def _read_segment(self, root: Path, folder: Path, notes: dict[str, Any]) -> pd.DataFrame:
        match = SEGMENT.match(folder.name)
        session, subject, start = (match.group(3), match.group(4), int(match.group(5))) if match else ("", "", 0)
        video = folder / f"{folder.name}.avi"
        if not video.is_file():
            raise DatasetError(f"sewa: {video} is missing; {_remedy(folder, 'Video')}")
        valence = _read_annotation(folder, "Valence", notes)
        arousal = _read_annotation(folder, "Arousal", notes)
        labels = pd.concat([valence, arousal], axis=1, keys=["valence", "arousal"]).sort_index()
        length = count_frames(video)
        numbers = [int(frame) for frame in labels.index]
        span = numbers[-1] - numbers[0] + 1
        if span > length:
            raise DatasetError(
                f"sewa: {video} has {length} frames, its labels go over {span}; "
                "the video is cut short or the labels belong to another clip: copy both again"
            )
        origin = _origin(numbers, length, start)
        _count(notes["first_label"], f"frame {numbers[0] - origin} of the video")
        # Frames that nobody labelled keep their rows: a gap would move the frames around it together.
        labels = labels.reindex(range(origin, origin + length))
        landmarks = _read_landmarks(folder, length, start, notes)
        points = [landmarks.get(frame, np.empty(0, np.float32)) for frame in range(length)]
        status = np.where([len(point) == 0 for point in points], "landmarks_failed", "ok")
        status = np.where(labels.isna().any(axis=1), "label_missing", status)
        return pd.DataFrame(
            {
                "subject": f"P{subject}",
                "session": f"S{session}",
                "clip": folder.name,
                "frame": labels.index.to_numpy(),
                "source": video.relative_to(root).as_posix(),
                "source_frame": np.arange(length),
                "landmarks": points,
                "valence": labels["valence"].to_numpy(),
                "arousal": labels["arousal"].to_numpy(),
                "status": status,
            }
        )


def count_frames(video: Path) -> int:
    """Count the frames of a video, by its header where that states them and by decoding otherwise.

    Raises
    ------
    DatasetError
        If the file is not a readable video.
    """
    try:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            return stream.frames or sum(1 for _ in container.decode(stream))
    except (av.FFmpegError, IndexError) as error:
        raise DatasetError(f"sewa: {video} cannot be read as a video ({error}); copy it again") from None


def _read_annotation(folder: Path, target: str, notes: dict[str, Any]) -> pd.Series:
    candidates = [folder / f"{folder.name}_{target}_{kind}_Aligned.csv" for kind in HEARD_OR_SEEN]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DatasetError(
            f"sewa: {candidates[0]} is missing, and so are the V and A annotations; {_remedy(folder, target)}"
        )
    kind = path.name.rsplit("_", 2)[1]
    _count(notes["annotation"], kind)
    table = read_csv("sewa", path)
    if table.empty:
        raise DatasetError(f"sewa: {path} is empty below its header; copy the segment again")
    index, column = _columns(path, table, target)
    _count(notes["value_column"], column)
    frames = to_numbers("sewa", path, table, index, blank=False)
    values = to_numbers("sewa", path, table, column, blank=True)
    _refuse(path, frames, frames % 1 != 0, f"{index} {{:g}} is not a frame number; mend the row")
    _refuse(path, frames, frames.duplicated(), "frame {:g} is listed twice; remove one of the rows")
    _refuse(path, values, values.abs() > 1, f"{column} {{:g}} is outside [-1, 1]; check the scale of the file")
    return pd.Series(values.to_numpy(), index=frames.astype("int64"))


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


def _refuse(path: Path, values: pd.Series, wrong: pd.Series, message: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DatasetError(f"sewa: {path}, row {row + 1}: {message.format(values.iloc[row])}")


def _origin(numbers: list[int], length: int, start: int) -> int:
    """Tell the number of a video's first frame.

    Numbers for all frames speak for themselves. Where some are missing, numbers count from 0, from 1 or from the start
    in the name of the segment, whichever fits; else from the first one.
    """
    low, high = min(numbers), max(numbers)
    candidates = (low,) if high - low + 1 == length else (0, 1, start)
    return next((origin for origin in candidates if origin <= low and high - origin < length), low)


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _remedy(folder: Path, what: str) -> str:
    """Say what to do about a missing file; copies of the release may hold it packed."""
    archive = folder / f"{folder.name}-{what}.zip"
    return f"unpack {archive.name} into the segment folder" if archive.is_file() else "copy the segment again"


def _read_landmarks(folder: Path, length: int, start: int, notes: dict[str, Any]) -> dict[int, np.ndarray]:
    """Read the third line of each file, 49 points, by frame of the video; what holds -1 or no numbers has failed."""
    inside = folder / f"{folder.name}-Landmarks"
    if not inside.is_dir():
        if (folder / f"{folder.name}-Landmarks.zip").is_file():
            raise DatasetError(f"sewa: {inside} is missing; {_remedy(folder, 'Landmarks')}")
        notes["without_landmarks"] += 1
        return {}
    found = {}
    for path in sorted(inside.glob("*.txt")):
        number = re.search(r"(\d+)\D*$", path.stem)
        if number:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            found[int(number.group(1))] = _points(lines[2] if len(lines) > 2 else "")
    origin = _origin(list(found), length, start) if found else 0
    return {number - origin: points for number, points in found.items()}


def _points(line: str) -> np.ndarray:
    try:
        points = np.array(line.split(), dtype=np.float32)
    except ValueError:
        return np.empty(0, np.float32)
    good = len(points) == 2 * POINTS and np.isfinite(points).all() and not (points == -1).any()
    return points if good else np.empty(0, np.float32)
