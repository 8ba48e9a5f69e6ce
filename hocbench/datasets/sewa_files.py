"""The files of SEWA's segments, found by the names of folders, archives and files on their way."""

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hocbench.datasets.holdings import Holdings, extension
from hocbench.datasets.names import canonical, without_copy_mark

# As copies spell it, at the beginning of the name of a folder, an archive or a file.
SPELLED = re.compile(
    r"S(AH|AL|VH|VL|SL|SD)[ _-]C(\d+)[ _-]S(\d+)[ _-]P(\d+)[ _-]VC1[ _-](\d+)[ _-](\d+)(?!\d)(?P<rest>.*)$",
    re.IGNORECASE,
)
ANNOTATION = re.compile(r"_(valence|arousal)_(av|v|a)_aligned\.csv")


@dataclass
class SegmentFiles:
    """The files of a segment by what they are, in whatever folders and archives they lie.

    Attributes
    ----------
    name : str
        As released: ``SAH_C6_S181_P362_VC1_000742_001590``.
    places : set of str
        Folders and archives that are named like it.
    videos : list of str
        All that claim to be its video.
    annotations : dict
        Value and what annotators could use, as ``("valence", "av")`` → files.
    landmarks : dict
        Number → files.
    others, strange : list of str
        Files that are not read; those that are unknown as well.
    """

    name: str
    places: set[str] = field(default_factory=set)
    videos: list[str] = field(default_factory=list)
    annotations: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    landmarks: dict[int, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)

    @property
    def used(self) -> list[str]:
        """All files that may be read."""
        groups = [self.videos, *self.annotations.values(), *self.landmarks.values()]
        return [source for group in groups for source in group]

    def add(self, source: str, place: str) -> bool:
        """Add a file to its group; returns whether it is known."""
        parts = source.removeprefix(place.rpartition("/")[0]).strip("/").split("/")
        name = without_copy_mark(parts[-1])
        match = SPELLED.match(name)
        rest = canonical(match.group("rest")) if match and _segment_name(match) == self.name else ""
        if rest == ".avi":
            self.videos.append(source)
        elif annotation := ANNOTATION.fullmatch(rest):
            self.annotations.setdefault((annotation.group(1), annotation.group(2)), []).append(source)
        elif extension(name) == ".txt" and any("landmarks" in part.casefold() for part in parts[:-1]):
            number = re.search(r"(\d+)\D*$", name[:-4])
            if number:
                self.landmarks.setdefault(int(number.group(1)), []).append(source)
            return number is not None
        else:
            self.others.append(source)
            return name.casefold() == "metadata.ini" or rest.startswith("_liking_")
        return True


def _segment_name(match: re.Match[str]) -> str:
    return "S{}_C{}_S{}_P{}_VC1_{}_{}".format(*match.groups()[:6]).upper()


def find_segments(holdings: Holdings) -> dict[str, SegmentFiles]:
    """Find the segments of a copy: by the outermost folder, archive or file on each path that is named like one.

    An archive that cannot be read, or a name to leave out that is no segment's, raises a DatasetError.
    """
    segments: dict[str, SegmentFiles] = {}
    for source in holdings.sources():
        parts = source.split("/")
        level, match = next(((i, match) for i, part in enumerate(parts) if (match := _spelled(part))), (0, None))
        if match is None:
            holdings.unrecognised(source)
            continue
        name, place = _segment_name(match), "/".join(parts[: level + 1])
        if holdings.excludes(name, place):
            continue
        segment = segments.setdefault(name, SegmentFiles(name))
        if level < len(parts) - 1 and match.group("rest").lower() in ("", ".zip"):
            segment.places.add(place)
        if parts[-1] and not segment.add(source, place):
            segment.strange.append(source)
    holdings.check_excluded()
    for name in sorted(segments):
        segment = segments[name]
        holdings.unrecognised(*segment.strange)
        if not segment.used and not segment.places:
            del segments[name]
        for place in segment.places:
            if PurePosixPath(place).name.removesuffix(".zip") != name:
                holdings.renamed(place, name)
    return segments


def _spelled(part: str) -> re.Match[str] | None:
    """Match the name of a segment, of a copy of it too, at the beginning of a name."""
    return SPELLED.match(without_copy_mark(part))
