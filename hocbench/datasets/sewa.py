"""SEWA, basic segments: one folder or archive per segment with a video, landmark files and annotation CSVs."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.annotations import Annotation, read_annotation
from hocbench.datasets.contract import read_each
from hocbench.datasets.faults import refuse_all
from hocbench.datasets.label_rate import Join, Track, join_all
from hocbench.datasets.numbering import FROM_1, Span, decide_numbering
from hocbench.datasets.scales import decide_scale
from hocbench.datasets.sources import list_files, read_bytes
from hocbench.datasets.video import Video, probe_video
from hocbench.errors import DatasetError

SEGMENT = re.compile(r"^S(AH|AL|VH|VL|SL|SD)_C(\d+)_S(\d+)_P(\d+)_VC1_(\d+)_(\d+)$")
HEARD_OR_SEEN = ("AV", "V", "A")  # what annotators could use, best first
POINTS = 49
SURPLUS_LANDMARKS = 2  # files behind the last frame; tools differ in whether they count the end of a video


@dataclass
class _Segment:
    """What is read of a segment before the whole copy says how labels and landmark files count, and their scale."""

    name: str
    source: str
    video: Video
    valence: Annotation
    arousal: Annotation
    start: int
    landmark_folder: Path
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
        scale, scaled = decide_scale(self.name, [annotation.labels() for annotation in annotations])
        reading.notes |= scaled
        joins = _join_labels(reading)
        origins = _number_landmarks(reading)
        parts = [
            _frames(segment, scale, joins[segment.name], origins.get(segment.name, 0)) for segment in reading.segments
        ]
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
    for heading, text in video.remarks().items():
        reading.notes.setdefault(heading, {})[name] = text
    valence, arousal = (_annotation(reading, folder, name, target, files) for target in ("Valence", "Arousal"))
    first, last = (int(number) for number in name.split("_")[-2:])
    if last - first + 1 != video.frames:
        reading.count("length", f"{video.frames - (last - first + 1):+d} frames against the name")
    texts = [each for each in sources if each.endswith(".txt") and "Landmarks" in each.removeprefix(place)]
    if not texts:
        reading.notes["without_landmarks"] += 1
    lies = root / texts[0] if texts else folder
    landmarks = _read_landmarks(root, texts)
    reading.segments.append(_Segment(name, source, video, valence, arousal, first, lies.parent, landmarks))


def _join_labels(reading: _Reading) -> dict[str, tuple[Join, Join]]:
    """Find the labels of all frames; returns how those of valence and of arousal are joined, by segment."""
    segments = reading.segments
    tracks = [
        Track(annotation, segment.video, segment.start)
        for segment in segments
        for annotation in (segment.valence, segment.arousal)
    ]
    joins, decided = join_all("sewa", tracks)
    reading.notes |= decided
    pairs = dict(zip([segment.name for segment in segments], zip(joins[::2], joins[1::2], strict=True), strict=True))
    for valence, arousal in pairs.values():
        reading.count("first_label", f"frame {min(valence.first_labelled, arousal.first_labelled)} of the video")
    return pairs


def _number_landmarks(reading: _Reading) -> dict[str, int]:
    """Find the number of the landmark file of each segment's first frame."""
    spans = {
        each.name: Span(each.landmark_folder, min(each.landmarks), max(each.landmarks), each.video.frames, each.start)
        for each in reading.segments
        if each.landmarks
    }
    if not spans:
        return {}
    numbering = decide_numbering(list(spans.values()), FROM_1, SURPLUS_LANDMARKS)
    refuse_all("sewa", [f"sewa: {numbering.describe(span, 'landmark files')}" for span in numbering.against])
    reading.notes["landmark_numbering"] = numbering.statement
    return {name: span.origin(numbering.kind) for name, span in spans.items()}


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


def _frames(segment: _Segment, scale: int, joins: tuple[Join, Join], origin: int) -> pd.DataFrame:
    """Make the rows of a segment: one per frame of the video, labelled or not, so that none moves another."""
    match = SEGMENT.match(segment.name)
    session, subject = (match.group(3), match.group(4)) if match else ("", "")
    length = segment.video.frames
    labels = {
        "valence": joins[0].pick(segment.valence) / scale,
        "arousal": joins[1].pick(segment.arousal) / scale,
    }
    points = [segment.landmarks.get(origin + frame, np.empty(0, np.float32)) for frame in range(length)]
    status = np.where([len(point) == 0 for point in points], "landmarks_failed", "ok")
    status = np.where(np.isnan(labels["valence"]) | np.isnan(labels["arousal"]), "label_missing", status)
    return pd.DataFrame(
        {
            "subject": f"P{subject}",
            "session": f"S{session}",
            "clip": segment.name,
            "frame": joins[0].origin + np.arange(length),
            "source": segment.source,
            "source_frame": np.arange(length),
            "landmarks": points,
            "status": status,
            **labels,
        }
    )


def _read_landmarks(root: Path, sources: list[str]) -> dict[int, np.ndarray]:
    """Read the third line of each file, 49 points, by its number; what holds -1 or no numbers has failed."""
    found = {}
    for source in sources:
        number = re.search(r"(\d+)\D*$", PurePosixPath(source).stem)
        if number:
            try:
                lines = read_bytes(root, source).decode("utf-8", errors="replace").splitlines()
            except OSError as error:
                raise DatasetError(f"sewa: {error}; copy it again") from None
            found[int(number.group(1))] = _points(lines[2] if len(lines) > 2 else "")
    return found


def _points(line: str) -> np.ndarray:
    try:
        points = np.array(line.split(), dtype=np.float32)
    except ValueError:
        return np.empty(0, np.float32)
    good = len(points) == 2 * POINTS and np.isfinite(points).all() and not (points == -1).any()
    return points if good else np.empty(0, np.float32)
