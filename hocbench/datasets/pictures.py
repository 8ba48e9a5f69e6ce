"""Which pictures of a dataset are missing or damaged, and which occur twice."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd

from hocbench.datasets.sources import locate, read_bytes
from hocbench.progress import progress

VIDEOS = (".avi", ".mp4", ".mkv", ".mov")
END_BYTES = 64  # some writers pad a file behind its end mark
SCAN, JPEG_END = b"\xff\xda", b"\xff\xd9"
ENDS = {b"\xff\xd8": JPEG_END, b"\x89PNG": b"IEND"}  # by the beginning of a file


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


def is_video(source: str) -> bool:
    """Tell a video by the end of its name."""
    return source.lower().endswith(VIDEOS)


def is_cut_short(content: bytes) -> bool:
    """Tell whether a JPEG or PNG file lacks its end; others cannot be told."""
    for start, end in ENDS.items():
        if content.startswith(start) and end not in content[-END_BYTES:]:
            # Cameras and editors append data of their own; the end then stands before it, behind the last scan.
            return content.rfind(end) <= content.rfind(SCAN) if end == JPEG_END else end not in content
    return False


def inspect_pictures(frames: pd.DataFrame, root: Path) -> Pictures:
    """Look at every file of an index.

    Each file is looked at by its first and last bytes, and read or decoded where these are odd; damage in the middle is
    found when the faces are cropped, and listed there. Files are hashed where another file of equal size belongs to
    another official split or, without such splits, to another subject.

    Parameters
    ----------
    frames : DataFrame
        Frames of an index.
    root : Path
        Its dataset folder.
    """
    # Two people never share a picture, and neither do two splits.
    owner = frames["split"].where(frames["split"] != "", frames["subject"])
    owners = dict(zip(frames["source"], owner, strict=True))
    missing: list[str] = []
    unreadable: dict[str, str] = {}
    sizes: dict[int, list[str]] = {}
    for source in progress(owners, "Looking at files", len(owners)):
        try:
            size, reason = _inspect(root, source)
        except FileNotFoundError:
            missing.append(source)
            continue
        except OSError as error:
            size, reason = 0, str(error)
        if reason:
            unreadable[source] = reason
        else:
            sizes.setdefault(size, []).append(source)
    alike = [group for group in sizes.values() if len({owners[source] for source in group}) > 1]
    return Pictures(len(owners), sorted(missing), dict(sorted(unreadable.items())), _duplicates(root, alike, owners))


def _inspect(root: Path, source: str) -> tuple[int, str]:
    """Return the size of a file and what is wrong with it, if anything."""
    path, member = locate(root, source)
    if member is not None:
        content = read_bytes(root, source)
        return len(content), _fault(source, content, content[-END_BYTES:], lambda: content)
    with path.open("rb") as file:
        size = path.stat().st_size
        head = file.read(END_BYTES)
        file.seek(max(0, size - END_BYTES))
        return size, _fault(source, head, file.read(), path.read_bytes)


def _fault(source: str, head: bytes, tail: bytes, content: Callable[[], bytes]) -> str:
    if not head:
        return "empty file"
    if is_video(source):
        return ""  # the index has opened it
    kind = PurePosixPath(source).suffix.lower()
    if any(head.startswith(start) and end in tail for start, end in ENDS.items()):
        return ""
    if head.startswith(tuple(ENDS)):
        return "cut short" if is_cut_short(content()) else ""
    picture = cv2.imdecode(np.frombuffer(content(), np.uint8), cv2.IMREAD_COLOR)
    return f"not a picture, though named {kind}" if picture is None else ""


def _duplicates(root: Path, alike: list[list[str]], owners: dict[str, str]) -> list[tuple[str, str]]:
    pairs = []
    for group in progress(alike, "Comparing files", len(alike)):
        first: dict[bytes, str] = {}
        for source in group:
            digest = hashlib.sha256(read_bytes(root, source)).digest()
            other = first.setdefault(digest, source)
            if owners[other] != owners[source]:
                pairs.append((other, source))
    return sorted(pairs)
