"""What became of the frames of each dataset; numbers only, since frames of real data are nobody's to hand on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.datasets.published_counts import describe_counts
from hocbench.errors import HocbenchError
from hocbench.files.checksums import check_beside, read_sealed
from hocbench.reporting.html.runs import read_json
from hocbench.reporting.markdown import records


@dataclass
class Ledger:
    """What is known about the frames of one dataset.

    Attributes
    ----------
    dataset, label : str
        Its name, and "synthetic", "real" or "" if that is not known.
    check : str
        The text of ``check.txt``, and the published counts.
    usable : bool or None
        What the check ledger.
    crops : dict
        ``crops.json``: how the crops were made, and how many.
    counts : list of list of str, or None
        reason, action, step, frames; None if that is not known.
    subsets : list of list of str
        fold, part, frames, clips, subjects, of ``splits.json``.
    problems : list of str
        What is absent or damaged.
    """

    dataset: str
    label: str = ""
    check: str = ""
    usable: bool | None = None
    crops: dict[str, Any] = field(default_factory=dict)
    counts: list[list[str]] | None = None
    subsets: list[list[str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_ledger(folder: Path, dataset: str) -> Ledger:
    """Read what the steps before the training have recorded in the folder of a prepared dataset."""
    ledger = Ledger(dataset)
    if not folder.is_dir():
        ledger.problems.append(f"no folder {folder}; run `snakemake data`")
        return ledger
    try:
        ledger.check = (folder / "check.txt").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        ledger.problems.append(f"{folder / 'check.txt'} cannot be read ({type(error).__name__})")
    check = read_json(folder / "check.json") or {}
    ledger.usable = bool(check["usable"]) if "usable" in check else None
    uses = {"check.json": _compare, "crops.json": _use_crops, "splits.json": _use_splits, "ledger.csv": _count}
    for name, use in uses.items():
        try:
            use(folder / name, ledger)
        except (HocbenchError, OSError, ValueError, KeyError, AttributeError) as error:
            ledger.problems.append(str(error) if isinstance(error, HocbenchError) else f"{folder / name}: {error}")
    ledger.label = ledger.label or str(check.get("label") or "")
    return ledger


def _compare(path: Path, ledger: Ledger) -> None:
    ledger.check += describe_counts(read_json(path) or {})


def _use_crops(path: Path, ledger: Ledger) -> None:
    ledger.crops = read_sealed(path)
    ledger.label = str(ledger.crops.get("label") or "")


def _use_splits(path: Path, ledger: Ledger) -> None:
    ledger.subsets = [
        [fold, part, *(f"{held[key]:,}" if key in held else "" for key in ("frames", "clips", "subjects"))]
        for fold, parts in read_sealed(path)["parts"].items()
        for part, held in parts.items()
    ]


def _count(path: Path, ledger: Ledger) -> None:
    check_beside(path, "crops.json")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    counts = table.groupby(["step", "reason", "action"]).size().reset_index(name="frames")
    ledger.counts = [[row["reason"], row["action"], row["step"], f"{row['frames']:,}"] for row in records(counts)]
