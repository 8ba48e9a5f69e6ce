"""The index at the end of an AVI: which chunks a video has, those without content too, and where they lie."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

HEADER_BYTES = 8  # of a chunk: its kind and its size
ENTRY = np.dtype([("kind", "S4"), ("flags", "<u4"), ("offset", "<u4"), ("size", "<u4")])


@dataclass(frozen=True)
class AviIndex:
    """The chunks of one stream, in order; each takes one frame, and those without content repeat a picture.

    Attributes
    ----------
    sizes : ndarray of int
        Bytes of each.
    numbers : dict of int to int
        Position of the content of a chunk in the file → its number, from 0; of those that have content.
    """

    sizes: np.ndarray
    numbers: dict[int, int]

    @property
    def first(self) -> int:
        """Number of the first chunk with content."""
        return int(np.argmax(self.sizes > 0))


def read_avi_index(media: str | io.BytesIO, stream: int) -> AviIndex | None:
    """Read the index of one stream of an AVI; None if it has none, as files that were cut short."""
    if not isinstance(media, str):
        return _read(media, stream)
    with Path(media).open("rb") as file:
        return _read(file, stream)


def _read(file: BinaryIO, stream: int) -> AviIndex | None:
    movi = 0
    file.seek(12)
    while len(head := file.read(HEADER_BYTES)) == HEADER_BYTES:
        kind, size = struct.unpack("<4sI", head)
        start = file.tell()
        if kind == b"idx1":
            content = file.read(size)
            # Files of several gigabytes go on after it, with chunks that it does not list.
            listed = len(content) == size and file.read(4) != b"RIFF"
            return _chunks(content, stream, movi) if listed else None
        if kind == b"LIST" and file.read(4) == b"movi":
            movi = start
        if kind == bytes(4):
            return None
        file.seek(start + size + size % 2)
    return None


def _chunks(content: bytes, stream: int, movi: int) -> AviIndex | None:
    entries = np.frombuffer(content[: len(content) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)
    # The same stream has chunks of palettes.
    pictures = [kind[:2] == b"%02d" % stream and kind[2:] != b"pc" for kind in entries["kind"].tolist()]
    entries = entries[np.array(pictures, dtype=bool)]
    if not (entries["size"] > 0).any():
        return None
    # Offsets count from the list of chunks, or in some files from the beginning.
    base = movi if entries["offset"][0] < movi else 0
    positions = entries["offset"].astype(np.int64) + base + HEADER_BYTES
    numbers = {int(positions[chunk]): int(chunk) for chunk in np.flatnonzero(entries["size"])}
    return AviIndex(entries["size"].astype(np.int64), numbers)
