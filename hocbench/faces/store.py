"""Read access to the crop store: all faces of a dataset in one memory-mapped array."""

from pathlib import Path

import numpy as np
import pandas as pd

from hocbench.errors import FaceError
from hocbench.files.checksums import check_file, read_sealed
from hocbench.opencv import cv2

# Of larger ones only the size is looked at, each time; `hocbench audit` reads them whole.
HASHED_BYTES = 2**30


class CropStore:
    """Read access to a folder written by `make_crops`.

    Attributes
    ----------
    frames : DataFrame
        One row per crop; columns dataset, subject, session, clip, frame, the labels of the task, split, status, face,
        usable.
    crops : ndarray, memory-mapped, read-only, uint8
        Raw: shape (n, size, size, 3), RGB. JPEG: one file after the other, in bytes; `read` decodes them.
    label : str
        "synthetic" or "real".
    size : int
        Pixels per side.

    Raises
    ------
    FaceError
        If the folder is not a complete store.
    DamageError
        If a file is not as it was written.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "crops.json").is_file():
            raise FaceError(f"{folder} is not a complete crop store (no crops.json); run `hocbench crop` again")
        summary = read_sealed(folder / "crops.json")
        _check(folder, summary.get("files", {}))
        try:
            self.frames = pd.read_parquet(folder / "frames.parquet")
            self.crops = np.load(folder / "crops.npy", mmap_mode="r", allow_pickle=False)
            self.label: str = summary["label"]
            self.size: int = summary["size"]
            packed = summary.get("store", "raw") == "jpeg"
            self._ends = self.frames["end_byte"].to_numpy() if packed else None
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise FaceError(f"{folder} is not a complete crop store ({error}); run `hocbench crop` again") from None
        count, unit = len(self.crops), "crops"
        expected = len(self.frames)
        if self._ends is not None:
            expected, unit = int(self._ends[-1]) if len(self._ends) else 0, "bytes of crops"
        if count != expected:
            raise FaceError(
                f"{folder}: {count} {unit} but {expected} {'bytes in the rows' if packed else 'rows'}; "
                "run `hocbench crop` again"
            )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Read crops by their rows, of any shape: (*rows.shape, size, size, 3), uint8.

        They are RGB, a copy, and black where a frame has no crop.
        """
        if self._ends is None:
            return np.asarray(self.crops[rows])
        pixels = np.zeros((rows.size, self.size, self.size, 3), np.uint8)
        for place, row in enumerate(rows.ravel()):
            start = self._ends[row - 1] if row else 0
            content = self.crops[start : self._ends[row]]
            if len(content):
                pixels[place] = decode(content)
        return pixels.reshape(*rows.shape, self.size, self.size, 3)


def _check(folder: Path, files: dict[str, str]) -> None:
    """Compare the files of a store with their hashes."""
    for name in ("frames.parquet", "crops.npy"):
        path = folder / name
        if name in files and path.is_file() and path.stat().st_size <= HASHED_BYTES:
            check_file(path, files[name])


def decode(content: np.ndarray) -> np.ndarray:
    """Decode a crop from the bytes of a JPEG, RGB."""
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB))
