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
        try:
            clip = json.loads(path.read_text(encoding="utf-8"))
            actor, frames = str(clip["actor"]), clip["frames"]
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DatasetError(f"afew_va: {path} is not as released ({error}); copy it again") from None
        return [self._read_frame(root, folder, path, actor, name, frame) for name, frame in sorted(frames.items())]

    def _read_frame(
        self, root: Path, folder: Path, path: Path, actor: str, name: str, frame: dict[str, Any]
    ) -> dict[str, Any]:
        labels = {}
        for target in ("valence", "arousal"):
            value = frame.get(target)
            if value is not None and not -SCALE <= float(value) <= SCALE:
                raise DatasetError(
                    f"afew_va: {path}, frame {name}: {target} {value:g} is outside [-10, 10]; copy the file again"
                )
            labels[target] = np.nan if value is None else float(value) / SCALE
        image = folder / f"{name}.png"
        points = np.asarray(frame.get("landmarks") or [], dtype=np.float32).ravel()
        status = "ok" if len(points) == 136 else "landmarks_failed"
        if np.isnan(labels["valence"]) or np.isnan(labels["arousal"]):
            status = "label_missing"
        if not image.is_file():
            status = "frame_missing"
        return labels | {
            "subject": actor,
            "clip": folder.name,
            "frame": int(name),
            "source": image.relative_to(root).as_posix(),
            "landmarks": points if len(points) == 136 else np.empty(0, np.float32),
            "status": status,
        }
