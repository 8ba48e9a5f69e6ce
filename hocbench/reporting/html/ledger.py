"""What became of the frames of each dataset; numbers only, since frames of real data are nobody's to hand on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.datasets.published_counts import describe_counts
from hocbench.errors import HocbenchError
from hocbench.files.checksums import check_beside, read_sealed
from hocbench.reporting.html.runs import read_json


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
        What the check found.
    crops : dict
        ``crops.json``: how the crops were made, and how many.
    counts : DataFrame
        step, reason, action, frames.
    parts : dict
        Fold → part → what it holds, of ``splits.json``.
    problems : list of str
        What is absent or damaged.
    """

    dataset: str
    label: str = ""
    check: str = ""
    usable: bool | None = None
    crops: dict[str, Any] = field(default_factory=dict)
    counts: pd.DataFrame | None = None
    parts: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_ledger(folder: Path, dataset: str) -> Ledger:
    """Read what the steps before the training have recorded.

    Parameters
    ----------
    folder : Path
        Of the prepared dataset.
    dataset : str
        Its name.

    Returns
    -------
    Ledger
        What is absent or damaged is named in its problems.
    """
    found = Ledger(dataset)
    if not folder.is_dir():
        found.problems.append(f"no folder {folder}; run `snakemake data`")
        return found
    try:
        found.check = (folder / "check.txt").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        found.problems.append(f"{folder / 'check.txt'} cannot be read ({type(error).__name__})")
    check = read_json(folder / "check.json") or {}
    found.usable = bool(check["usable"]) if "usable" in check else None
    uses = {"check.json": _compare, "crops.json": _use_crops, "splits.json": _use_splits, "ledger.csv": _count}
    for name, use in uses.items():
        try:
            use(folder / name, found)
        except (HocbenchError, OSError, ValueError, KeyError, AttributeError) as error:
            found.problems.append(str(error) if isinstance(error, HocbenchError) else f"{folder / name}: {error}")
    found.label = found.label or str(check.get("label") or "")
    return found


def _compare(path: Path, found: Ledger) -> None:
    found.check += describe_counts(read_json(path) or {})


def _use_crops(path: Path, found: Ledger) -> None:
    found.crops = read_sealed(path)
    found.label = str(found.crops.get("label") or "")


def _use_splits(path: Path, found: Ledger) -> None:
    found.parts = read_sealed(path)["parts"]


def _count(path: Path, found: Ledger) -> None:
    check_beside(path, "crops.json")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    counts = table.groupby(["step", "reason", "action"]).size()
    found.counts = counts.rename("frames").reset_index()
