"""SEWA, basic segments: one folder per segment with a video, landmark files and annotation CSVs."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

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
        parts = [self._read_segment(root, folder, notes) for folder in folders]
        return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), notes

    def _read_segment(self, root: Path, folder: Path, notes: dict[str, Any]) -> pd.DataFrame:
        match = SEGMENT.match(folder.name)
        session, subject = (match.group(3), match.group(4)) if match else ("", "")
        video = folder / f"{folder.name}.avi"
        if not video.is_file():
            raise DatasetError(f"sewa: {video} is missing; each segment folder holds its video")
        valence = _read_annotation(folder, "Valence", notes)
        arousal = _read_annotation(folder, "Arousal", notes)
        labels = pd.concat([valence, arousal], axis=1, keys=["valence", "arousal"]).sort_index()
        length = count_frames(video)
        # Frame numbers of labels and landmark files count from the first label.
        first = int(labels.index[0])
        if int(labels.index[-1]) - first + 1 > length:
            raise DatasetError(
                f"sewa: {video} has {length} frames, its labels go over {int(labels.index[-1]) - first + 1}; "
                "the video is cut short or the labels belong to another clip: copy both again"
            )
        landmarks = _read_landmarks(folder / f"{folder.name}-Landmarks")
        points = [landmarks.get(int(frame), np.empty(0, np.float32)) for frame in labels.index]
        status = np.where([len(point) == 0 for point in points], "landmarks_failed", "ok")
        status = np.where(labels.isna().any(axis=1), "label_missing", status)
        return pd.DataFrame(
            {
                "subject": f"P{subject}",
                "session": f"S{session}",
                "clip": folder.name,
                "frame": labels.index.to_numpy(),
                "source": video.relative_to(root).as_posix(),
                "source_frame": labels.index.to_numpy() - first,
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
            f"sewa: {candidates[0]} is missing, and so are the V and A annotations; copy the segment again"
        )
    kind = path.name.rsplit("_", 2)[1]
    notes["annotation"][kind] = notes["annotation"].get(kind, 0) + 1
    try:
        table = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    if table.empty:
        raise DatasetError(f"sewa: {path} is empty; copy the segment again")
    names = {str(column).strip().lower(): column for column in table.columns}
    if "frame_idx" not in names:
        raise DatasetError(f"sewa: {path} has no column frame_idx; it has {', '.join(map(str, table.columns))}")
    numeric = [column for column in table.select_dtypes("number").columns if column != names["frame_idx"]]
    if target.lower() in names:
        column = names[target.lower()]
    elif len(numeric) == 1:
        column = numeric[0]
    else:
        raise DatasetError(
            f"sewa: {path} has no column {target.lower()} and not exactly one number beside frame_idx; "
            f"it has {', '.join(map(str, table.columns))}"
        )
    notes["value_column"][str(column)] = notes["value_column"].get(str(column), 0) + 1
    series = table.set_index(names["frame_idx"])[column]
    if series.index.has_duplicates:
        frame = series.index[series.index.duplicated()][0]
        raise DatasetError(f"sewa: {path} lists frame {frame} twice; remove one of the rows")
    return series


def _read_landmarks(folder: Path) -> dict[int, np.ndarray]:
    """Read the third line of each file: 49 points; a file with -1 in it is a frame where tracking failed."""
    found = {}
    for path in sorted(folder.glob("*.txt")) if folder.is_dir() else []:
        lines = path.read_text(encoding="utf-8").splitlines()
        points = np.array(lines[2].split(), dtype=np.float32) if len(lines) > 2 else np.empty(0, np.float32)
        if len(points) == 2 * POINTS and not (points == -1).any():
            found[int(re.sub(r"\D", "", path.stem.split("_")[-1]))] = points
    return found
