"""How many labels a second there are, decided once for a whole copy, and which label belongs to which frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hocbench.datasets.annotations import Annotation
from hocbench.datasets.faults import refuse_all
from hocbench.datasets.layouts import LABELS_PER_SECOND
from hocbench.datasets.numbering import FROM_0, Numbering, Span, decide_numbering
from hocbench.datasets.video import Video
from hocbench.errors import DatasetError

# A rate measured over a whole clip differs from the true one by a label at either end.
RATE_TOLERANCE, END_TOLERANCE_LABELS = 0.02, 2
# Labels over less of a clip than this are at another rate than those of other files, or of another clip.
LEAST_SHARE = 0.9
PER_FRAME = 0.0
# What tools resample to; taken only where every file fits, since half of all labels missing looks like half the rate.
REGULAR_RATES = (1, 2, 4, 5, 8, 10, 12, 12.5, 15, 16, 20, 24, 25, 30, 40, 60, 75, 100, 120, 125, 200, 250, 500, 1000)
LEAST_VIDEOS = 3
SHOWN = 10


@dataclass(frozen=True)
class Track:
    """The labels of one file and the video that they are for."""

    annotation: Annotation
    video: Video
    start: int

    @cached_property
    def times(self) -> np.ndarray:
        """When each frame is shown, seconds."""
        return self.video.times()

    @property
    def seconds(self) -> float:
        """How long the video is."""
        return float(self.times[-1] + 1 / self.video.rate)

    def span(self, rate: float) -> Span:
        """Return the numbers of the labels beside how many there are at a rate."""
        numbers = self.annotation.numbers
        length = round(self.seconds * rate) if rate else self.video.frames
        return Span(self.annotation.path, min(numbers), max(numbers), length, self.start)


@dataclass(frozen=True)
class Join:
    """How the labels of one file belong to the frames of its video.

    Attributes
    ----------
    origin : int
        Number of the video's first frame.
    wanted : ndarray of int, (frames,)
        Number of the label of each frame.
    first_labelled : int
        First frame that has a label, counted from 0.
    """

    origin: int
    wanted: np.ndarray
    first_labelled: int

    def pick(self, annotation: Annotation) -> np.ndarray:
        """Return the label of each frame, NaN where it has none."""
        return annotation.values.reindex(self.wanted).to_numpy(dtype=np.float64)


def join_all(name: str, tracks: Sequence[Track]) -> tuple[list[Join], dict[str, object]]:
    """Find the label of each frame of a whole copy: one `Join` per annotation file, and notes.

    Raises
    ------
    DatasetError
        If the files are at no rate that can be found, or naming each file that contradicts the others.
    """
    rate = _decide_rate(name, tracks)
    spans = [track.span(rate) for track in tracks]
    faults = [_fault(name, track, span, rate) for track, span in zip(tracks, spans, strict=True)]
    refuse_all(name, [fault for fault in faults if fault])
    if rate:
        # Tools end at the last frame or after it: what all files have more is no fault of one.
        more = int(np.clip(np.median([span.found - span.length for span in spans]), 0, END_TOLERANCE_LABELS))
        spans = [Span(span.path, span.low, span.high, span.length + more, span.start) for span in spans]
    numbering = decide_numbering(spans, FROM_0, END_TOLERANCE_LABELS if rate else 0)
    refuse_all(name, [f"{name}: {numbering.describe(span, 'labels')}" for span in numbering.against])
    joins = [_join(track, span, rate, numbering) for track, span in zip(tracks, spans, strict=True)]
    rate_note = f"by time, {rate:g} labels per second" if rate else "by frame number"
    notes: dict[str, object] = {"label_rate": rate_note, "label_numbering": numbering.statement}
    return joins, notes | _incomplete(spans)


def _slack(length: int, rate: float) -> float:
    """How many labels more than expected a file may have: none where they are counted in frames."""
    return max(END_TOLERANCE_LABELS, RATE_TOLERANCE * length) if rate else 0


def _excess(tracks: Sequence[Track], rate: float) -> np.ndarray:
    """How many labels each file has more, or fewer, than a rate gives."""
    spans = [track.span(rate) for track in tracks]
    return np.array([span.found - span.length for span in spans])


def _decide_rate(name: str, tracks: Sequence[Track]) -> float:
    if not tracks:
        return PER_FRAME
    usual = {rate: _excess(tracks, rate) for rate in (PER_FRAME, LABELS_PER_SECOND)}
    fits = {
        rate: np.median(np.abs(excess))
        for rate, excess in usual.items()
        if np.mean((np.abs(excess) <= END_TOLERANCE_LABELS) & (excess <= _slack(0, rate))) >= 0.5
    }
    if fits:
        return min(fits, key=lambda rate: fits[rate])
    if len({track.video.source for track in tracks}) >= LEAST_VIDEOS:
        off = {rate: np.abs(_excess(tracks, rate)) for rate in REGULAR_RATES}
        regular = sorted((float(excess.sum()), rate) for rate, excess in off.items() if excess.max() <= 1)
        if regular and (len(regular) == 1 or regular[0][0] < regular[1][0]):
            return regular[0][1]
    for rate, excess in usual.items():
        lengths = np.array([track.span(rate).length for track in tracks])
        if np.mean((np.abs(excess) <= RATE_TOLERANCE * lengths) & (excess <= _slack(0, rate))) >= 0.5:
            return rate
    measured = sorted(track.span(PER_FRAME).found / track.seconds for track in tracks)
    track, typical = tracks[0], measured[len(measured) // 2]
    raise DatasetError(
        f"{name}: {track.annotation.path} and most other files have neither one label per frame nor "
        f"{LABELS_PER_SECOND:g} per second: about {typical:.3g} labels per second, the videos "
        f"{track.video.rate:.4g} frames per second. The files do not agree on another regular rate, or are too few to "
        "tell; take the annotations as released, or resample them to one of the two"
    )


def _fault(name: str, track: Track, span: Span, rate: float) -> str:
    """Describe what is wrong with the number of labels of a file; empty if it can be right."""
    video = track.video
    if span.found == video.pictures < video.frames and span.length - span.found > END_TOLERANCE_LABELS:
        return (
            f"{name}: {video.root / video.source} shows {video.pictures} pictures in {video.frames} frames, and "
            f"{span.path.name} has {span.found} labels: they were counted by picture, so nobody knows when each was "
            "given; number them by frame, or leave the segment out"
        )
    least = min(LEAST_SHARE * span.length, span.length - END_TOLERANCE_LABELS)
    if least <= span.found <= span.length + _slack(span.length, rate):
        return ""
    due = f"{span.length} at {rate:g} per second" if rate else f"{span.length}, one per frame"
    return (
        f"{name}: {video.root / video.source} has {video.frames} frames, the labels of {span.path.name} go over "
        f"{span.found}, {span.found / track.seconds:.3g} per second; by the other files there would be {due}: the "
        "video is cut short, or the labels are at another rate or of another clip; compare both files with the release"
    )


def _join(track: Track, span: Span, rate: float, numbering: Numbering) -> Join:
    origin = span.origin(numbering.kind)
    if not rate:
        return Join(origin, origin + np.arange(track.video.frames), span.low - origin)
    # Frame and label that are shown at the same time; the last frame may end just after the last label.
    nearest = origin + np.rint(track.times * rate).astype(np.int64)
    tolerance = END_TOLERANCE_LABELS if rate >= LABELS_PER_SECOND else 1
    nearest = np.where((nearest > span.high) & (nearest <= span.high + tolerance), span.high, nearest)
    return Join(0, nearest, int(np.argmax(nearest >= span.low)))


def _incomplete(spans: Sequence[Span]) -> dict[str, dict[str, str]]:
    """Name files that lack more labels at an end than a measured rate may be off; they are joined like the others."""
    lacking = [span for span in spans if span.length - span.found > END_TOLERANCE_LABELS]
    named = {span.path.name: f"{span.low} to {span.high}, {span.found} of {span.length}" for span in lacking[:SHOWN]}
    if len(lacking) > SHOWN:
        named["others"] = f"{len(lacking) - SHOWN} more"
    return {"labels_incomplete": named} if named else {}
