"""Where files count from, decided once for a whole copy: a single file that lacks its last one cannot tell."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hocbench.datasets.faults import refuse_all

FROM_0, FROM_1, FROM_NAME, FROM_FIRST = "from 0", "from 1", "from the start in the segment's name", "from their first"
SHIFTS = {0: "as the frames", 1: "one higher than the frames", -1: "one lower than the frames"}
KINDS = (FROM_0, FROM_1, FROM_NAME, FROM_FIRST)


@dataclass(frozen=True)
class Span:
    """The numbers in one file, or of the files in one folder.

    Attributes
    ----------
    path : Path
        Where, for messages.
    low, high : int
        First and last number.
    length : int
        How many there are if none is missing.
    start : int
        First frame in the name of the segment.
    """

    path: Path
    low: int
    high: int
    length: int
    start: int

    @property
    def found(self) -> int:
        """How many numbers there are from the first to the last."""
        return self.high - self.low + 1

    def origin(self, kind: str) -> int:
        """Return the first number of a file that counts in this way."""
        return {FROM_0: 0, FROM_1: 1, FROM_NAME: self.start}.get(kind, self.low)

    def allows(self, kind: str, slack: int = 0) -> bool:
        """Return whether all numbers lie where a file that counts so has them, up to ``slack`` after the end."""
        if kind == FROM_FIRST:
            return self.length <= self.found <= self.length + slack
        origin = self.origin(kind)
        return origin <= self.low and self.high - origin < self.length + slack

    @property
    def says(self) -> str:
        """The only way of counting that these numbers allow; empty if there are several, or none."""
        origins = {self.origin(kind): kind for kind in reversed(KINDS) if self.allows(kind)}
        return next(iter(origins.values())) if len(origins) == 1 else ""


@dataclass(frozen=True)
class Numbering:
    """How the files of a copy count: one of `KINDS`, the same with how many files say so, and those that contradict."""

    kind: str
    statement: str
    against: tuple[Span, ...]

    def describe(self, span: Span, what: str) -> str:
        """Describe how the numbers of a file contradict the others, for a message that begins with its path."""
        return (
            f"{span.path} numbers its {what} {span.low} to {span.high} where {span.length} are expected, against the "
            f"other files, which count {self.kind}; check which of its {what} belong to which frames and number them "
            "like the others"
        )


def decide_numbering(spans: Sequence[Span], convention: str, slack: int = 0) -> Numbering:
    """Decide how a copy counts, from the spans of all its files.

    If no file shows it (where the first or the last number may be missing, two ways are possible), ``convention``
    holds. A file may have up to ``slack`` numbers more than expected at its end.
    """
    votes = Counter(span.says for span in spans if span.says)
    kind = max(KINDS, key=lambda kind: (votes[kind], kind == convention)) if votes else convention
    if votes:
        silent = len(spans) - votes.total()
        statement = f"{kind}, as {votes[kind]} of {len(spans)} say" + (f"; {silent} cannot tell" * bool(silent))
    else:
        statement = f"{kind} by convention, as none of {len(spans)} can tell"
    # Numbers that fit another way exactly are not a few too many of this one.
    against = [span for span in spans if not span.allows(kind, 0 if span.says else slack)]
    return Numbering(kind, statement, tuple(against))


@dataclass(frozen=True)
class PictureNumbers:
    """The frames that a file describes, and the pictures beside it, by their numbers."""

    path: Path
    described: frozenset[int]
    pictures: frozenset[int]

    def fits(self, shift: int) -> bool:
        """Return whether there is just one picture for each frame, ``shift`` above its number."""
        return {number + shift for number in self.described} == self.pictures


def decide_shift(name: str, clips: Sequence[PictureNumbers]) -> tuple[int, str]:
    """Decide how much higher the pictures of a copy are numbered than the frames in its files: 0, 1 or -1.

    A clip that lacks a picture, or has one more, does not count. Returns the shift, and how many clips say so.

    Raises
    ------
    DatasetError
        Naming clips whose pictures are numbered in another way than those of the others.
    """
    says = [next((shift for shift in SHIFTS if clip.fits(shift)), None) for clip in clips]
    votes = Counter(shift for shift in says if shift is not None)
    shift = max(SHIFTS, key=lambda shift: votes[shift])
    refuse_all(
        name,
        [
            f"{name}: {clip.path} describes frames {min(clip.described)} to {max(clip.described)}, and its pictures "
            f"are numbered {min(clip.pictures)} to {max(clip.pictures)}, against {votes[shift]} other clips, whose "
            f"pictures are numbered {SHIFTS[shift]}; number them like those"
            for clip, said in zip(clips, says, strict=True)
            if said not in (None, shift)
        ],
    )
    if not votes:
        return shift, f"{SHIFTS[shift]} by convention, as none of {len(clips)} clips has a picture for each frame"
    silent = len(clips) - votes.total()
    return shift, f"{SHIFTS[shift]}, as {votes[shift]} of {len(clips)} say" + (f"; {silent} cannot tell" * bool(silent))
