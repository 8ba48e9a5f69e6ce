"""AffectNet, release of 2021: numbered images, and one small array file per image and value."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.affectnet_labels import scale_labels
from hocbench.datasets.contract import read_each
from hocbench.errors import DatasetError

SPLITS = {"train_set": "training", "val_set": "validation"}
LAYOUT = "{train_set,val_set}/images/<id>.jpg and annotations/<id>_{exp,val,aro,lnd}.npy"

Row = dict[str, Any]


def is_here(root: Path) -> bool:
    """Tell whether a folder is laid out so."""
    return any((root / folder).is_dir() for folder in SPLITS)


def read(root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read both sets; see `hocbench.datasets.contract.Adapter`."""
    notes: dict[str, Any] = {"layout": "2021, one file per value", "expressions": {}}
    rows: list[Row] = []
    for folder, split in SPLITS.items():
        for part in ("images", "annotations"):
            if not (root / folder / part).is_dir():
                raise DatasetError(f"affectnet: {root / folder / part} is missing; expected layout: {LAYOUT}")
        found = _read_set(root, folder, split)
        expressions = pd.Series([row["expression"] for row in found], dtype=object).value_counts()
        notes["expressions"][split] = {str(key): int(count) for key, count in sorted(expressions.items())}
        rows += found
    frames = pd.DataFrame(rows)
    return frames, notes | scale_labels(frames)


def _read_set(root: Path, folder: str, split: str) -> list[Row]:
    """Read all images that have a file or an annotation; what one of them lacks is its status, not a fault of all."""
    images = {path.stem: path.name for path in (root / folder / "images").iterdir() if path.is_file()}
    annotated: dict[str, set[str]] = {}
    for path in (root / folder / "annotations").iterdir():
        number, _, value = path.stem.rpartition("_")
        if path.suffix == ".npy" and number:
            annotated.setdefault(number, set()).add(value)
    rows: list[Row] = []

    def read_image(name: str) -> None:
        rows.append(_read_image(root, folder, split, name, images.get(name), annotated.get(name, set())))

    read_each("affectnet", sorted(images.keys() | annotated.keys()), read_image)
    return rows


def _read_image(root: Path, folder: str, split: str, name: str, image: str | None, values: set[str]) -> Row:
    annotations = root / folder / "annotations"
    labels: Row = {"valence": np.nan, "arousal": np.nan}
    for target, value in (("valence", "val"), ("arousal", "aro")):
        if value in values:
            labels[target] = _number(annotations / f"{name}_{value}.npy", target)
    points = _landmarks(annotations / f"{name}_lnd.npy") if "lnd" in values else np.empty(0, np.float32)
    status = "ok" if len(points) else "landmarks_failed"
    if any(np.isnan(value) for value in labels.values()):
        status = "label_missing"
    if image is None:
        status = "frame_missing"
    expression = _array(annotations / f"{name}_exp.npy").flat[0] if "exp" in values else "none"
    return labels | {
        "expression": str(expression),
        "place": str(annotations / f"{name}_*.npy"),
        "subject": f"{folder}/{name}",
        "clip": f"{folder}/{name}",
        "frame": 0,
        "source": f"{folder}/images/{image or name + '.jpg'}",
        "landmarks": points,
        "split": split,
        "status": status,
    }


def _array(path: Path) -> np.ndarray:
    """Load an array file, never a pickled one."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"affectnet: {path} cannot be read as an array ({error}); copy it again") from None
    if not isinstance(array, np.ndarray) or array.size == 0:
        raise DatasetError(f"affectnet: {path} holds no value; copy it again")
    return array


def _number(path: Path, target: str) -> float:
    """Read a label; the release holds them as text in some files."""
    array = _array(path)
    try:
        value = float(array.item())
    except (ValueError, TypeError):
        raise DatasetError(f"affectnet: {path} holds {array!r:.60}, not one number; copy it again") from None
    if not np.isfinite(value):
        raise DatasetError(f"affectnet: {path}: {target} {value:g} is not a label; check the file")
    return value


def _landmarks(path: Path) -> np.ndarray:
    """Read 68 points; anything else counts as failed."""
    try:
        points = _array(path).astype(np.float32).ravel()
    except ValueError:
        return np.empty(0, np.float32)
    return points if len(points) == 136 and np.isfinite(points).all() else np.empty(0, np.float32)
