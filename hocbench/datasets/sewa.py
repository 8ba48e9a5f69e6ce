"""SEWA, basic segments: one folder or archive per segment with a video, landmark files and annotation CSVs."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.annotations import Annotation, Join, find_scale, join_labels, read_annotation
from hocbench.datasets.contract import read_each
from hocbench.datasets.sources import list_files, read_bytes
from hocbench.datasets.video import Video, probe_video
from hocbench.errors import DatasetError

SEGMENT = re.compile(r"^S(AH|AL|VH|VL|SL|SD)_C(\d+)_S(\d+)_P(\d+)_VC1_(\d+)_(\d+)$")
HEARD_OR_SEEN = ("AV", "V", "A")  # what annotators could use, best first
POINTS = 49


@dataclass
class _Segment:
    """What is read of a segment before the scale of the labels is known."""

    name: str
    source: str
    video: Video
    valence: Annotation
    arousal: Annotation
    join: Join
    landmarks: dict[int, np.ndarray]


@dataclass
class _Reading:
    """All segments, and counts of what was found."""

    root: Path
    segments: list[_Segment] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def count(self, note: str, key: str) -> None:
        counts = self.notes.setdefault(note, {})
        counts[key] = counts.get(key, 0) + 1


class Sewa:
    """Video chats; both partners of a session share its number."""

    name = "sewa"
    layout = (
        "folders (or zip archives) like SAH_C6_S181_P362_VC1_000742_001590 with <segment>.avi, "
        "<segment>-Landmarks/*.txt and <segment>_{Valence,Arousal}_{A,V,AV}_Aligned.csv, or the zip archives "
        "<segment>-{Video,Landmarks,Valence,Arousal}.zip that hold them"
    )

    def read(self, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all segments; see `hocbench.datasets.contract.Adapter`."""
        places = _find_segments(root)
        reading = _Reading(root, notes={"segments": len(places), "without_landmarks": 0})
        read_each(self.name, sorted(places), lambda name: _read_segment(reading, name, places[name]))
        annotations = [each for segment in reading.segments for each in (segment.valence, segment.arousal)]
        scale = find_scale(annotations)
        reading.notes["label_scale"] = scale
        parts = [_frames(segment, scale) for segment in reading.segments]
        return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), reading.notes


def _find_segments(root: Path) -> dict[str, str]:
    """Map the name of each segment to its folder or archive; a folder goes before an archive."""
    found: dict[str, str] = {}
    for path in sorted(root.iterdir(), key=lambda path: path.is_dir()):
        packed = path.suffix.lower() == ".zip" and SEGMENT.match(path.stem)
        if packed or (path.is_dir() and SEGMENT.match(path.name)):
            found[path.stem] = path.name
    return found


def _read_segment(reading: _Reading, name: str, place: str) -> None:
    root, folder = reading.root, reading.root / place
    try:
        sources = list_files(root, place)
    except OSError as error:
        raise DatasetError(f"sewa: {error}; copy it again") from None
    files = {PurePosixPath(source).name: source for source in sources}
    if f"{name}.avi" not in files:
        raise DatasetError(f"sewa: {folder / name}.avi is missing; copy the segment again")
    source = files[f"{name}.avi"]
    video = probe_video(root, source)
    valence, arousal = (_annotation(reading, folder, name, target, files) for target in ("Valence", "Arousal"))
    first, last = (int(number) for number in name.split("_")[-2:])
    join = join_labels(valence.numbers + arousal.numbers, video, root / source, first)
    reading.count("first_label", f"frame {join.first_labelled} of the video")
    reading.count("label_join", join.kind)
    if last - first + 1 != video.frames:
        reading.count("length", f"{video.frames - (last - first + 1):+d} frames against the name")
    texts = [each for each in sources if each.endswith(".txt") and "Landmarks" in each.removeprefix(place)]
    if not texts:
        reading.notes["without_landmarks"] += 1
    landmarks = _read_landmarks(root, texts, video.frames, first)
    reading.segments.append(_Segment(name, source, video, valence, arousal, join, landmarks))


def _annotation(reading: _Reading, folder: Path, name: str, target: str, files: dict[str, str]) -> Annotation:
    candidates = [f"{name}_{target}_{kind}_Aligned.csv" for kind in HEARD_OR_SEEN]
    chosen = next((candidate for candidate in candidates if candidate in files), None)
    if chosen is None:
        raise DatasetError(
            f"sewa: {folder / candidates[0]} is missing, and so are the V and A annotations; copy the segment again"
        )
    path = reading.root / files[chosen]
    try:
        annotation = read_annotation(path, read_bytes(reading.root, files[chosen]), target)
    except OSError as error:
        raise DatasetError(f"sewa: {path} cannot be read ({error}); copy it again") from None
    reading.count("annotation", chosen.rsplit("_", 2)[1])
    reading.count("value_column", annotation.column)
    return annotation


def _frames(segment: _Segment, scale: int) -> pd.DataFrame:
    """Make the rows of a segment: one per frame of the video, labelled or not, so that none moves another."""
    match = SEGMENT.match(segment.name)
    session, subject = (match.group(3), match.group(4)) if match else ("", "")
    length = segment.video.frames
    labels = {
        target: segment.join.pick(annotation) / scale
        for target, annotation in (("valence", segment.valence), ("arousal", segment.arousal))
    }
    points = [segment.landmarks.get(frame, np.empty(0, np.float32)) for frame in range(length)]
    status = np.where([len(point) == 0 for point in points], "landmarks_failed", "ok")
    status = np.where(np.isnan(labels["valence"]) | np.isnan(labels["arousal"]), "label_missing", status)
    return pd.DataFrame(
        {
            "subject": f"P{subject}",
            "session": f"S{session}",
            "clip": segment.name,
            "frame": segment.join.origin + np.arange(length),
            "source": segment.source,
            "source_frame": np.arange(length),
            "landmarks": points,
            "status": status,
            **labels,
        }
    )


def _read_landmarks(root: Path, sources: list[str], length: int, start: int) -> dict[int, np.ndarray]:
    """Read the third line of each file, 49 points, by frame of the video; what holds -1 or no numbers has failed."""
    found = {}
    for source in sources:
        number = re.search(r"(\d+)\D*$", PurePosixPath(source).stem)
        if number:
            try:
                lines = read_bytes(root, source).decode("utf-8", errors="replace").splitlines()
            except OSError as error:
                raise DatasetError(f"sewa: {error}; copy it again") from None
            found[int(number.group(1))] = _points(lines[2] if len(lines) > 2 else "")
    origin = Join.find_origin(list(found), length, start) if found else 0
    return {number - origin: points for number, points in found.items()}


def _points(line: str) -> np.ndarray:
    try:
        points = np.array(line.split(), dtype=np.float32)
    except ValueError:
        return np.empty(0, np.float32)
    good = len(points) == 2 * POINTS and np.isfinite(points).all() and not (points == -1).any()
    return points if good else np.empty(0, np.float32)
