"""An inventory of a user's own copy: what is there, what is not, and whether it can be used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.contract import DatasetIndex
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.inventory import describe_inventory
from hocbench.datasets.pictures import Pictures, inspect_pictures
from hocbench.errors import DatasetError
from hocbench.files.staging import staged
from hocbench.files.write import write_text

MOST_DAMAGED = 0.05  # share of files, missing or unreadable, that a usable copy may have
EDGES = np.linspace(-1, 1, 11)

Inventory = dict[str, Any]


def check_dataset(name: str, root: Path, index: DatasetIndex, *, quick: bool = False, workers: int = 1) -> Inventory:
    """Make the inventory of a dataset as its adapter has read it: plain values, which `describe_inventory` words.

    For ``quick`` and ``workers`` see `hocbench.datasets.pictures.inspect_pictures`.
    """
    frames = index.frames
    pictures = inspect_pictures(frames, root, quick=quick, workers=workers)
    geometry = inspect_geometry(frames, root, everything=True)
    problems = _problems(frames, pictures) + geometry.faults
    return {
        "dataset": name,
        "label": index.label,
        "layout": index.notes,
        "usable": not problems,
        "problems": problems,
        "splits": {
            (split or "all"): _count(frames[frames["split"] == split]) for split in sorted(set(frames["split"]))
        },
        "statuses": {str(key): int(count) for key, count in sorted(frames["status"].value_counts().items())},
        "landmarks_failed_share": round(float((frames["landmarks"].map(len) == 0).mean()), 6),
        "landmarks_outside": geometry.outside,
        "landmarks_remarks": geometry.remarks,
        "labels": {target: _histogram(frames[target]) for target in ("valence", "arousal")},
        "files": pictures.files,
        "read": "headers only" if quick else "to the end",
        "missing": pictures.missing,
        "unreadable": pictures.unreadable,
        "duplicates": [list(pair) for pair in pictures.duplicates],
    }


def refused(name: str, error: DatasetError) -> Inventory:
    """Make the inventory of a copy that its adapter cannot read."""
    return {"dataset": name, "usable": False, "problems": [str(error)]}


def write_inventory(inventory: Inventory, out: Path) -> None:
    """Write ``check.txt`` and then ``check.json`` into a folder."""
    with staged(out, "check") as folder:
        write_text(describe_inventory(inventory), folder / "check.txt")
        write_text(json.dumps(inventory, indent=1, sort_keys=True) + "\n", folder / "check.json")


def _problems(frames: pd.DataFrame, pictures: Pictures) -> list[str]:
    """List what keeps a copy from being used."""
    problems = []
    damaged = len(pictures.missing) + len(pictures.unreadable)
    if damaged > MOST_DAMAGED * pictures.files:
        first = (pictures.missing + list(pictures.unreadable))[0]
        problems.append(
            f"{damaged} of {pictures.files} files are missing or unreadable, first {first}; more than "
            f"{MOST_DAMAGED:.0%} is too many: copy them again"
        )
    labelled = frames[["valence", "arousal"]].notna().all(axis=1)
    for split in sorted(set(frames["split"])):
        if not labelled[frames["split"] == split].any():
            problems.append(f"no frame {f'of {split} ' if split else ''}has a label; check the annotations")
    return problems


def _count(part: pd.DataFrame) -> dict[str, int]:
    labelled = part[["valence", "arousal"]].notna().all(axis=1)
    sessions = part.loc[part["session"] != "", "session"].nunique()
    return {
        "frames": len(part),
        "labelled": int(labelled.sum()),
        "clips": int(part["clip"].nunique()),
        "subjects": int(part["subject"].nunique()),
        **({"sessions": int(sessions)} if sessions else {}),
    }


def _histogram(values: pd.Series) -> dict[str, Any]:
    known = values.dropna().to_numpy()
    counts, edges = np.histogram(known, bins=EDGES)
    low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
    return {"edges": edges.round(6).tolist(), "counts": counts.tolist(), "min": low, "max": high}
