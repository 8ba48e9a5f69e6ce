"""Which pictures of a dataset are missing or damaged, and which occur twice."""

import hashlib
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import av
import numpy as np
import pandas as pd

from hocbench.datasets.pixels import PictureError, open_header, read_picture
from hocbench.datasets.playback import play
from hocbench.datasets.sources import is_video, locate, open_media, read_bytes
from hocbench.errors import DatasetError
from hocbench.parallel import shared
from hocbench.terminal import progress

BATCH_PICTURES, BATCH_VIDEOS = 256, 8  # that a worker process reads at a time


@dataclass(frozen=True)
class File:
    """A file: its size in bytes, and what is wrong with it, if anything."""

    size: int
    fault: str = ""


@dataclass(frozen=True)
class Pictures:
    """What was found of the files of a dataset.

    Attributes
    ----------
    files : int
        How many the index names.
    missing : list of str
        Sources that are not there.
    unreadable : dict
        Source → reason.
    duplicates : list of tuple
        Pairs of sources with the same content of which one is to be trained on and the other may be tested on.
    """

    files: int
    missing: list[str]
    unreadable: dict[str, str]
    duplicates: list[tuple[str, str]]


def inspect_pictures(frames: pd.DataFrame, root: Path, *, quick: bool, workers: int) -> Pictures:
    """Read every file of an index, in so many worker processes; a worker that is killed raises a DatasetError.

    Pictures and videos are decoded to their ends, so that damage anywhere is found, as far as their decoders can tell.
    If ``quick`` is true, no more than the headers of pictures are read, and of videos what the index has read already.
    Files are hashed where another file of equal size belongs to another official split or, without such splits, to
    another subject.
    """
    # Two people never share a picture, and neither do two splits.
    owner = frames["split"].where(frames["split"] != "", frames["subject"])
    owners = dict(zip(frames["source"], owner, strict=True))
    batches = list(_batches(_wanted_frames(frames)))
    label = "Looking at headers" if quick else "Reading files"
    inspected: dict[str, File | None] = {}
    try:
        for batch in shared(_inspect_all, ((root, batch, quick) for batch in batches), len(batches), workers, label):
            inspected |= batch
    except BrokenProcessPool:
        raise DatasetError(
            f"a worker that read {root} was killed, perhaps for want of memory; start again, with fewer --workers"
        ) from None
    files = {source: file for source in owners if (file := inspected[source]) is not None}
    unreadable = {source: file.fault for source, file in sorted(files.items()) if file.fault}
    whole = {source: file.size for source, file in files.items() if not file.fault}
    return Pictures(len(owners), sorted(owners.keys() - files.keys()), unreadable, _duplicates(root, whole, owners))


def _wanted_frames(frames: pd.DataFrame) -> dict[str, list[int]]:
    """Return the frames that the index names of each video; none of other files."""
    wanted: dict[str, list[int]] = {source: [] for source in frames["source"]}
    videos = np.array([is_video(source) for source in frames["source"]], dtype=bool)
    shown = frames[videos & (frames["status"] != "frame_missing").to_numpy()]
    return wanted | {str(source): part["source_frame"].tolist() for source, part in shown.groupby("source")}


def _batches(wanted: dict[str, list[int]]) -> Iterator[dict[str, list[int]]]:
    for videos, length in ((False, BATCH_PICTURES), (True, BATCH_VIDEOS)):
        sources = [source for source in wanted if is_video(source) == videos]
        for start in range(0, len(sources), length):
            yield {source: wanted[source] for source in sources[start : start + length]}


def _inspect_all(root: Path, batch: dict[str, list[int]], quick: bool) -> dict[str, File | None]:
    """Read some files; None stands for one that is missing."""
    return {source: _inspect(root, source, frames, quick) for source, frames in batch.items()}


def _inspect(root: Path, source: str, frames: list[int], quick: bool) -> File | None:
    size = 0
    try:
        path, member = locate(root, source)
        if is_video(source) and member is None:
            size = path.stat().st_size
            return File(size, "" if quick or not size else _fault_of_video(root, source, frames))
        content = read_bytes(root, source)
        size = len(content)
        if is_video(source):
            return File(size, "" if quick else _fault_of_video(root, source, frames))
        open_header(content) if quick else read_picture(content)
    except FileNotFoundError:
        return None
    except OSError as error:
        return File(0, error.strerror or str(error))
    except PictureError as error:
        kind = PurePosixPath(source).suffix.lower()
        return File(size, f"{error}, though named {kind}" if str(error) == "not a picture" else str(error))
    return File(size)


def _fault_of_video(root: Path, source: str, frames: list[int]) -> str:
    """Decode a video to its end, and say which of the frames that the index names cannot be shown."""
    wanted, lost = set(frames), []
    try:
        for number, shown in enumerate(play(open_media(root, source), root / source)):
            if isinstance(shown, str) and number in wanted:
                lost.append(shown)
            wanted.discard(number)
    except (av.FFmpegError, IndexError, DatasetError) as error:
        return str(error)
    lost += [f"the video ends before frame {number}" for number in sorted(wanted)]
    return f"{len(lost)} of {len(frames)} frames cannot be decoded; {lost[0]}" if lost else ""


def _duplicates(root: Path, sizes: dict[str, int], owners: dict[str, str]) -> list[tuple[str, str]]:
    """Compare files of equal size of which some belong to another owner than others."""
    groups: dict[int, list[str]] = {}
    for source, size in sizes.items():
        groups.setdefault(size, []).append(source)
    alike = [group for group in groups.values() if len({owners[source] for source in group}) > 1]
    pairs = []
    for group in progress(alike, "Comparing files", len(alike)):
        first: dict[bytes, str] = {}
        for source in group:
            digest = hashlib.sha256(read_bytes(root, source)).digest()
            other = first.setdefault(digest, source)
            if owners[other] != owners[source]:
                pairs.append((other, source))
    return sorted(pairs)
