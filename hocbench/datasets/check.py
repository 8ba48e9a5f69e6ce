"""An inventory of a user's own copy, as values and in words: what is there, what is not, whether it can be used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.columns import labelled
from hocbench.datasets.contract import DatasetIndex
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.pictures import Pictures, inspect_pictures
from hocbench.errors import DatasetError
from hocbench.experiment.tasks import CLASS, Task
from hocbench.files.staging import staged
from hocbench.files.write import write_text

MOST_DAMAGED = 0.05  # share of files, missing or unreadable, that a usable copy may have
BINS = 10  # of a histogram of labels

SHOWN_FILES = 10
# Notes of `hocbench.datasets.holdings` and of the adapters; others are called by their key.
WORDS = {
    "left_behind": "left by systems and programs, not part of the data",
    "not_recognised": "not recognised, not read",
    "held_twice": "held twice, the same bytes",
    "read_under_another_name": "found under another name",
    "pictures_not_in_the_json_file": "pictures that the JSON file does not list, not read",
    "pictures_not_in_the_lists": "pictures that neither list names, not read",
    "excluded": "left out by name (exclude)",
    "persons_in_several_spellings": "one person in several spellings, taken as one",
    "persons_who_may_be_one": "WARNING: perhaps one person under two names, taken as two; correct the names",
}
HOW_READ = {
    "to the end": "each read and decoded to its end",
    "headers only": "of which only the headers were read (--quick); damage behind them is not looked for",
}
BAR = 30  # characters of the longest bar of a histogram

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
        "labels": _labels(frames, index.task),
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
    known = labelled(frames)
    for split in sorted(set(frames["split"])):
        if not known[frames["split"] == split].any():
            problems.append(f"no frame {f'of {split} ' if split else ''}has a label; check the annotations")
    return problems


def _count(part: pd.DataFrame) -> dict[str, int]:
    sessions = part.loc[part["session"] != "", "session"].nunique()
    return {
        "frames": len(part),
        "labelled": int(labelled(part).sum()),
        "clips": int(part["clip"].nunique()),
        "subjects": int(part["subject"].nunique()),
        **({"sessions": int(sessions)} if sessions else {}),
    }


def _labels(frames: pd.DataFrame, task: Task) -> dict[str, Any]:
    """Count the labels of each target by their value, or the frames of each class."""
    if task.classes:
        return {CLASS: {name: int((frames[CLASS] == name).sum()) for name in task.classes}}
    ranges = zip(task.targets, task.ranges, strict=True)
    return {target: _histogram(frames[target], low, high) for target, (low, high) in ranges}


def _histogram(values: pd.Series, lowest: float, highest: float) -> dict[str, Any]:
    known = values.dropna().to_numpy()
    counts, edges = np.histogram(known, bins=np.linspace(lowest, highest, BINS + 1))
    low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
    return {"edges": edges.round(6).tolist(), "counts": counts.tolist(), "min": low, "max": high}


def describe_inventory(inventory: dict[str, Any]) -> str:
    """Write an inventory as text for a terminal; the JSON beside it names every file."""
    verdict = "usable" if inventory["usable"] else "NOT USABLE"
    lines = [f"{inventory['dataset']}: {verdict}", *(f"  {line}" for line in inventory["problems"])]
    if "splits" not in inventory:
        return "\n".join(lines) + "\n"
    if inventory["label"] == "synthetic":
        lines.append("  SYNTHETIC data, no real person in it")
    lines += ["", "layout", *_notes(inventory["layout"])]
    lines += ["", "frames", *_splits(inventory)]
    lines += [f"  {status}: {count:,}" for status, count in inventory["statuses"].items()]
    lines.append(f"  without landmarks: {inventory['landmarks_failed_share']:.2%}")
    lines += [f"  landmarks: {remark}" for remark in inventory["landmarks_remarks"]]
    lines += _named("with most points, or the box, outside the picture", inventory["landmarks_outside"])
    for target, counts in inventory["labels"].items():
        if "edges" in counts:
            lines += ["", _range(target, counts), *_bars(counts)]
        else:
            lines += ["", target, *(f"  {name}: {count:,}" for name, count in counts.items())]
    lines += ["", f"files: {inventory['files']:,}, {HOW_READ[inventory['read']]}"]
    lines += _named("missing", inventory["missing"])
    lines += _named("unreadable", [f"{source} ({why})" for source, why in inventory["unreadable"].items()])
    lines += _named("in two splits or of two subjects", [" = ".join(pair) for pair in inventory["duplicates"]])
    return "\n".join(lines) + "\n"


def _notes(notes: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in notes.items():
        if key == "expressions":
            continue
        what = WORDS.get(key, key.replace("_", " "))
        if isinstance(value, list):
            lines += _named(what, value)
        else:
            lines.append(f"  {what}: {_note(value)}")
    return lines


def _note(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    shown = [f"{name} {count:,}" if isinstance(count, int) else f"{name} {count}" for name, count in value.items()]
    rest = [f"and {len(shown) - SHOWN_FILES:,} more"] if len(shown) > SHOWN_FILES else []
    return ", ".join(shown[:SHOWN_FILES] + rest)


def _splits(inventory: dict[str, Any]) -> list[str]:
    return [
        f"  {split}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items())
        for split, counts in inventory["splits"].items()
    ]


def _range(target: str, histogram: dict[str, Any]) -> str:
    if histogram["min"] is None:
        return f"{target}: no label"
    return f"{target} from {histogram['min']:.3f} to {histogram['max']:.3f}"


def _bars(histogram: dict[str, Any]) -> list[str]:
    edges, counts = histogram["edges"], histogram["counts"]
    most = max(*counts, 1)
    return [
        f"  {low:+.1f} to {high:+.1f} {'█' * round(BAR * count / most):<{BAR}} {count:,}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _named(what: str, names: list[str]) -> list[str]:
    lines = [f"  {what}: {len(names):,}", *(f"    {name}" for name in names[:SHOWN_FILES])]
    if len(names) > SHOWN_FILES:
        lines.append(f"    and {len(names) - SHOWN_FILES:,} more; check.json, which --out writes, names all")
    return lines
