"""AFEW-VA: a folder of PNG frames and one JSON file per film clip."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.errors import DatasetError

SCALE = 10.0  # labels are integers from -10 to 10


class AfewVa:
    """Film clips with the name of the actor."""

    name = "afew_va"
    layout = "folders 001 ... 600 with 00000.png ... and 001.json"

    def read(self, root: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all clip folders; see `hocbench.datasets.contract.Adapter`."""
        folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name.isdigit())
        rows = [row for folder in folders for row in self._read_clip(root, folder)]
        return pd.DataFrame(rows), {"clips": len(folders)}

    def _read_clip(self, root: Path, folder: Path) -> list[dict[str, Any]]:
        path = folder / f"{folder.name}.json"
        if not path.is_file():
            raise DatasetError(f"afew_va: {path} is missing; each clip folder holds its frames and one JSON file")
        actor, frames = _load(path)
        return [self._read_frame(root, folder, path, actor, name, frame) for name, frame in sorted(frames.items())]

    def _read_frame(
        self, root: Path, folder: Path, path: Path, actor: str, name: str, frame: dict[str, Any]
    ) -> dict[str, Any]:
        labels = {}
        for target in ("valence", "arousal"):
            value = frame.get(target)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise DatasetError(
                    f"afew_va: {path}, frame {name}: {target} {value!r} is not a number; copy the file again"
                )
            if value is not None and not -SCALE <= value <= SCALE:
                raise DatasetError(
                    f"afew_va: {path}, frame {name}: {target} {value:g} is outside [-10, 10]; copy the file again"
                )
            labels[target] = np.nan if value is None else value / SCALE
        image = folder / f"{name}.png"
        points = _landmarks(frame.get("landmarks"))
        status = "ok" if len(points) else "landmarks_failed"
        if np.isnan(labels["valence"]) or np.isnan(labels["arousal"]):
            status = "label_missing"
        if not image.is_file():
            status = "frame_missing"
        return labels | {
            "subject": actor,
            "clip": folder.name,
            "frame": int(name),
            "source": image.relative_to(root).as_posix(),
            "landmarks": points,
            "status": status,
        }


def _load(path: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """Read the actor and the frames, by their numbers, of a clip."""
    try:
        clip = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"afew_va: {path} is not JSON ({error}); copy it again") from None
    if not isinstance(clip, dict) or not {"actor", "frames"} <= set(clip):
        raise DatasetError(f"afew_va: {path} has no keys actor and frames as released; copy it again")
    frames = clip["frames"]
    if not isinstance(frames, dict) or not frames:
        raise DatasetError(f"afew_va: {path}: frames is not a table of frames by number as released; copy it again")
    for name, frame in frames.items():
        if not name.isdecimal() or not isinstance(frame, dict):
            raise DatasetError(
                f"afew_va: {path}, frame {name!r}: not a frame number with labels as released; copy it again"
            )
    return str(clip["actor"]), frames


def _landmarks(points: Any) -> np.ndarray:
    """Flatten 68 points; anything else counts as failed."""
    try:
        flat = np.asarray(points or [], dtype=np.float32).ravel()
    except (TypeError, ValueError):
        return np.empty(0, np.float32)
    return flat if len(flat) == 136 and np.isfinite(flat).all() else np.empty(0, np.float32)
