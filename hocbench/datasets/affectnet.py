"""AffectNet: the original release with two CSV lists, or that of 2021 with one annotation file per value."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets import affectnet_2021
from hocbench.datasets.affectnet_labels import scale_labels
from hocbench.datasets.contract import read_csv, to_numbers
from hocbench.errors import DatasetError

LISTS = "Manually_Annotated_file_lists"
IMAGES = "Manually_Annotated_Images"
COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
TEXT = {"subDirectory_filePath": str, "facial_landmarks": str}


class AffectNet:
    """Still images; each is a clip of one frame and a subject of its own, since no subject ids are distributed."""

    name = "affectnet"
    layout = (
        f"[Manually_Annotated/]{IMAGES}/<folder>/<image> and {LISTS}/training.csv and validation.csv, "
        f"or {affectnet_2021.LAYOUT}"
    )

    def read(self, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read both lists; see `hocbench.datasets.contract.Adapter`."""
        if affectnet_2021.is_here(root):
            return affectnet_2021.read(root)
        notes: dict[str, Any] = {"layout": "original CSV", "expressions": {}}
        parts = [self._read_list(root, split, notes) for split in ("training", "validation")]
        frames = pd.concat(parts, ignore_index=True)
        return frames, notes | scale_labels(frames)

    def _read_list(self, root: Path, split: str, notes: dict[str, Any]) -> pd.DataFrame:
        path = _first(root, f"{LISTS}/{split}.csv")
        images = _first(root, IMAGES).relative_to(root).as_posix()
        table = _read_csv(path)
        _check_paths(path, table["subDirectory_filePath"])
        counts = table["expression"].value_counts().sort_index()
        notes["expressions"][split] = {str(expression): int(count) for expression, count in counts.items()}
        clip = table["subDirectory_filePath"].str.replace(r"\.[^.]*$", "", regex=True)
        landmarks = [_landmarks(text) for text in table["facial_landmarks"].fillna("")]
        failed = np.array([len(points) == 0 for points in landmarks])
        return pd.DataFrame(
            {
                "subject": clip,
                "clip": clip,
                "frame": 0,
                "source": f"{images}/" + table["subDirectory_filePath"],
                "box_x": table["face_x"],
                "box_y": table["face_y"],
                "box_width": table["face_width"],
                "box_height": table["face_height"],
                "landmarks": landmarks,
                "valence": table["valence"],
                "arousal": table["arousal"],
                "expression": table["expression"],
                "place": [f"{path}, row {row + 1}" for row in table.index],
                "split": split,
                "status": np.where(failed, "landmarks_failed", "ok"),
            }
        )


def _first(root: Path, relative: str) -> Path:
    """Find a file of the release, which some copies keep below ``Manually_Annotated``."""
    for path in (root / relative, root / "Manually_Annotated" / relative):
        if path.exists():
            return path
    raise DatasetError(f"affectnet: {root / relative} is missing; expected layout: {AffectNet.layout}")


def _read_csv(path: Path) -> pd.DataFrame:
    first = read_csv("affectnet", path, dtype=str, header=None, nrows=1).iloc[0]
    # Some copies of validation.csv have no header: the first row stands in its place, with numbers.
    headless = len(first) == len(COLUMNS) and _is_number(first.iloc[-1])
    names: dict[str, Any] = {"header": None, "names": list(COLUMNS)} if headless else {}
    table = read_csv("affectnet", path, dtype=TEXT, **names)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DatasetError(
            f"affectnet: {path} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            "Use the list as released"
        )
    if table.empty:
        raise DatasetError(f"affectnet: {path} is empty below its header; copy it from the release again")
    nameless = table["subDirectory_filePath"].isna()
    if nameless.any():
        row = int(np.flatnonzero(nameless)[0])
        raise DatasetError(f"affectnet: {path}, row {row + 1}: subDirectory_filePath is empty; mend the row")
    for column in ("face_x", "face_y", "face_width", "face_height", "valence", "arousal"):
        blank = column.startswith("face_")
        table[column] = to_numbers("affectnet", path, table, column, blank=blank)
    return table


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _check_paths(path: Path, names: pd.Series) -> None:
    """Refuse names that lead out of the image folder."""
    outside = names.str.contains(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:", regex=True)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise DatasetError(
            f"affectnet: {path}, row {row + 1}: subDirectory_filePath {names.iloc[row]!r} leads out of the image "
            "folder; copy the list from the release again"
        )


def _landmarks(text: str) -> np.ndarray:
    """Parse ``x;y;x;y;...``; anything but 68 points counts as failed."""
    try:
        points = np.array(text.rstrip("; ").split(";"), dtype=np.float32)
    except ValueError:
        return np.empty(0, np.float32)
    return points if len(points) == 136 and np.isfinite(points).all() else np.empty(0, np.float32)
