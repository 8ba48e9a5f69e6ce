"""An inventory of a user's own copy: what is there, what is not, and whether it can be used."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.contract import DatasetIndex, write_text
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.inventory import describe_inventory
from hocbench.datasets.pictures import Pictures, inspect_pictures
from hocbench.errors import DatasetError
from hocbench.staging import staged

MOST_DAMAGED = 0.05  # share of files, missing or unreadable, that a usable copy may have
EDGES = np.linspace(-1, 1, 11)
CIRCULATING = (
    "the counts per expression that circulate add up to 414,800, one more than the rows; one of ids 0 to 7 is one too "
    "high, probably 1"
)

Inventory = dict[str, Any]


def check_dataset(name: str, root: Path, index: DatasetIndex, *, quick: bool = False, workers: int = 1) -> Inventory:
    """Take stock of a dataset.

    Parameters
    ----------
    name : str
        Its adapter's name.
    root : Path
        Its folder.
    index : DatasetIndex
        As read by its adapter.
    quick, workers
        See `hocbench.datasets.pictures.inspect_pictures`.

    Returns
    -------
    dict
        Plain values: what `describe_inventory` puts into words.
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
        "landmarks_failed_share": _share((frames["landmarks"].map(len) == 0).sum(), len(frames)),
        "landmarks_outside": geometry.outside,
        "landmarks_remarks": geometry.remarks,
        "labels": {target: _histogram(frames[target]) for target in ("valence", "arousal")},
        "files": pictures.files,
        "read": "headers only" if quick else "to the end",
        "missing": pictures.missing,
        "unreadable": pictures.unreadable,
        "duplicates": [list(pair) for pair in pictures.duplicates],
        "published": _compare(name, index),
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


def _share(part: int, whole: int) -> float:
    return round(float(part) / whole, 6)


def _compare(name: str, index: DatasetIndex) -> list[dict[str, Any]]:
    """Put our counts beside the published ones and say why they differ."""
    with (files("hocbench.published") / "datasets.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype={"layout": str}, keep_default_na=False)
    here = table[(table["dataset"] == name) & table["layout"].isin(["", index.notes.get("layout", "")])]
    rows = []
    for what, count, status in here[["what", "count", "status"]].itertuples(index=False):
        found = _found(index, what)
        row = {
            "what": what,
            "published": int(count),
            "status": status,
            "found": found,
            "difference": found - int(count),
        }
        rows.append(row | {"explanation": _explain(index, what, row["difference"])})
    return rows


def _found(index: DatasetIndex, what: str) -> int:
    frames = index.frames
    split, _, rest = what.partition(" rows")
    if not rest and not what.endswith("rows"):
        return len(frames) if what == "frames" else int(frames[what.removesuffix("s")].nunique())
    if rest.startswith(" of expression "):
        return int(index.notes["expressions"][split].get(rest.removeprefix(" of expression "), 0))
    own = frames[frames["split"] == split]
    return int(own[["valence", "arousal"]].notna().all(axis=1).sum()) if rest else len(own)


def _explain(index: DatasetIndex, what: str, difference: int) -> str:
    if difference == 0:
        return "as published"
    if index.label == "synthetic":
        return "SYNTHETIC data, whose size params.yaml sets"
    number = what.rpartition("expression ")[2]
    if difference == -1 and number in "01234567":
        return CIRCULATING
    if what == "validation rows" and difference == -1 and index.notes["layout"].startswith("2021"):
        return "3,999 and 4,000 are both in circulation; the former lacks one image"
    return f"your copy holds {'fewer' if difference < 0 else 'more'}"
