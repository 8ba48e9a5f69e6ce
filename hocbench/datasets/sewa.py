"""SEWA, basic segments: one folder or archive per segment with a video, landmark files and annotation CSVs."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.annotations import Annotation, read_annotation
from hocbench.datasets.faults import read_each, refuse_all
from hocbench.datasets.holdings import Holdings, extension
from hocbench.datasets.label_rate import Join, Track, join_all
from hocbench.datasets.names import did_you_mean
from hocbench.datasets.numbering import FROM_1, Span, decide_numbering
from hocbench.datasets.scales import decide_scale
from hocbench.datasets.sewa_files import SegmentFiles, find_segments
from hocbench.datasets.tables import to_points
from hocbench.datasets.video import Video, probe_video
from hocbench.errors import DatasetError

HEARD_OR_SEEN = ("AV", "V", "A")  # what annotators could use, best first
POINTS, NO_POINTS = 49, np.empty(0, np.float32)
SURPLUS_LANDMARKS = 2  # files after the last frame; tools differ in whether they count the end of a video


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

    holdings: Holdings
    segments: list[_Segment] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.holdings.root

    def count(self, note: str, key: str) -> None:
        counts = self.notes.setdefault(note, {})
        counts[key] = counts.get(key, 0) + 1


class Sewa:
    """Video chats; both partners of a session share its number."""

    name, title, role = "sewa", "SEWA", "clips"
    layout = (
        "folders (or zip archives) like SAH_C6_S181_P362_VC1_000742_001590 with <segment>.avi, "
        "<segment>-Landmarks/*.txt and <segment>_{Valence,Arousal}_{A,V,AV}_Aligned.csv, or the zip archives "
        "<segment>-{Video,Landmarks,Valence,Arousal}.zip that hold them"
    )

    def read(self, root: Path, exclude: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all segments; see `hocbench.datasets.contract.Adapter`."""
        holdings = Holdings(self.name, root, exclude)
        files = find_segments(holdings)
        reading = _Reading(holdings, notes={"segments": len(files), "without_landmarks": 0})
        read_each(self.name, sorted(files), lambda name: _read_segment(reading, files[name]))
        annotations = [labels for segment in reading.segments for labels in (segment.valence, segment.arousal)]
        scale, scaled = decide_scale(self.name, [annotation.labels() for annotation in annotations])
        reading.notes |= scaled
        joins = _join_labels(reading)
        origins = _number_landmarks(reading)
        reading.notes |= holdings.notes(source for segment in files.values() for source in segment.used)
        parts = [
            _frames(segment, scale, joins[segment.name], origins.get(segment.name, 0)) for segment in reading.segments
        ]
        return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()), reading.notes


def _read_segment(reading: _Reading, files: SegmentFiles) -> None:
    holdings, root, name = reading.holdings, reading.root, files.name
    outer = [*files.places, *(PurePosixPath(source).parent.as_posix() for source in files.used)]
    folder = root / min(outer, key=lambda place: (len(place), place))
    if not files.videos:
        near = did_you_mean(f"{name}.avi", [source.rpartition("/")[2] for source in files.others])
        raise DatasetError(f"sewa: {folder / name}.avi is missing; copy the segment again{near}")
    source = holdings.one(f"the video of {name}", files.videos)
    video = probe_video(root, source)
    for heading, text in video.remarks().items():
        reading.notes.setdefault(heading, {})[name] = text
    valence, arousal = (_annotation(reading, folder, files, target) for target in ("Valence", "Arousal"))
    first, last = (int(number) for number in name.split("_")[-2:])
    if last - first + 1 != video.frames:
        reading.count("length", f"{video.frames - (last - first + 1):+d} frames against the name")
    if not files.landmarks:
        reading.notes["without_landmarks"] += 1
    lies = root / min(min(sources) for sources in files.landmarks.values()) if files.landmarks else folder / name
    landmarks = _read_landmarks(holdings, files)
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
        part.name: Span(part.landmark_folder, min(part.landmarks), max(part.landmarks), part.video.frames, part.start)
        for part in reading.segments
        if part.landmarks
    }
    if not spans:
        return {}
    numbering = decide_numbering(list(spans.values()), FROM_1, SURPLUS_LANDMARKS)
    refuse_all("sewa", [f"sewa: {numbering.describe(span, 'landmark files')}" for span in numbering.against])
    reading.notes["landmark_numbering"] = numbering.statement
    return {name: span.origin(numbering.kind) for name, span in spans.items()}


def _annotation(reading: _Reading, folder: Path, files: SegmentFiles, target: str) -> Annotation:
    holdings = reading.holdings
    kind = next((kind for kind in HEARD_OR_SEEN if (target.lower(), kind.lower()) in files.annotations), None)
    if kind is None:
        name = f"{files.name}_{target}_{HEARD_OR_SEEN[0]}_Aligned.csv"
        near = did_you_mean(name, [path.rpartition("/")[2] for path in files.others if extension(path) == ".csv"])
        raise DatasetError(
            f"sewa: {folder / name} is missing, and so are the V and A annotations; copy the segment again{near}"
        )
    what = f"the {target.lower()} of {files.name}"
    source = holdings.one(what, files.annotations[target.lower(), kind.lower()])
    annotation = read_annotation(reading.root / source, holdings.read(source), target)
    reading.count("annotation", kind)
    reading.count("value_column", annotation.column)
    return annotation


def _frames(segment: _Segment, scale: int, joins: tuple[Join, Join], origin: int) -> pd.DataFrame:
    """Make the rows of a segment: one per frame of the video, labelled or not, so that none moves another."""
    session, subject = segment.name.split("_")[2:4]
    length = segment.video.frames
    labels = {
        "valence": joins[0].pick(segment.valence) / scale,
        "arousal": joins[1].pick(segment.arousal) / scale,
    }
    points = [segment.landmarks.get(origin + frame, NO_POINTS) for frame in range(length)]
    status = np.where([len(point) == 0 for point in points], "landmarks_failed", "ok")
    status = np.where(np.isnan(labels["valence"]) | np.isnan(labels["arousal"]), "label_missing", status)
    return pd.DataFrame(
        {
            "subject": subject,
            "session": session,
            "clip": segment.name,
            "frame": joins[0].origin + np.arange(length),
            "source": segment.source,
            "source_frame": np.arange(length),
            "landmarks": points,
            "status": status,
            **labels,
        }
    )


def _read_landmarks(holdings: Holdings, files: SegmentFiles) -> dict[int, np.ndarray]:
    """Read the third line of each file, 49 points, by its number; what holds -1 or no numbers has failed."""
    points_by_frame = {}
    for number, sources in files.landmarks.items():
        source = holdings.one(f"the landmarks of frame {number} of {files.name}", sources)
        lines = holdings.read(source).decode("utf-8", errors="replace").splitlines()
        points = to_points(lines[2].split() if len(lines) > 2 else [], POINTS)
        points_by_frame[number] = NO_POINTS if (points == -1).any() else points
    return points_by_frame
