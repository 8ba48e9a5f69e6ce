"""A page of crops to look at: random ones, and those that were repaired or dropped, with their labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hocbench.datasets.columns import label_columns
from hocbench.faces.store import CropStore
from hocbench.files.staging import staged
from hocbench.reporting.style import new_figure, save, style
from hocbench.seeds import generator

COLUMNS, ROWS = 10, 4  # of random crops; as many at most of special ones
SEED = 0  # of what is shown; no result depends on it


def draw_montage(prepared: Path, stem: Path) -> None:
    """Draw ``STEM.png`` and ``STEM.pdf`` of a crop store.

    Parameters
    ----------
    prepared : Path
        Folder of the crop store.
    stem : Path
        Of real data the page shows faces of real people: keep it where the crops are.

    Raises
    ------
    FaceError
        If the folder is not a complete store.
    """
    store = CropStore(prepared)
    with staged(stem.parent, stem.name) as folder, style():
        save(montage(store), folder / stem.name)


def montage(store: CropStore) -> Figure:
    """Draw random usable crops above, and crops that are not as they should be below, each with status and labels."""
    rng = generator(SEED, use="montage")
    frames = store.frames
    special = ((frames["status"] != "ok") | frames["face"].isin(["neighbour", "none"])).to_numpy()
    usable = frames["usable"].to_numpy()
    sections = [
        ("usable frames, drawn at random", _pick(np.flatnonzero(usable & ~special), frames["status"], rng)),
        (
            "frames without landmarks, picture or label, of each kind",
            _pick(np.flatnonzero(special), frames["status"], rng),
        ),
    ]
    heights = [max(1, -(-len(rows) // COLUMNS)) for _, rows in sections]
    figure = new_figure(figsize=(COLUMNS * 1.05, sum(heights) * 1.45 + 1.2), layout="constrained")
    label = "SYNTHETIC " if store.label == "synthetic" else ""
    counts = f"{int(usable.sum()):,} of {len(frames):,} frames usable, {int(special.sum()):,} special"
    labels = label_columns(frames.columns)
    title = f"{label}{frames['dataset'].iloc[0]}: {counts}. Under each crop: {', '.join(labels)}"
    figure.suptitle(title, fontsize=10)
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    for part, (title, rows), height in zip(parts, sections, heights, strict=True):
        part.suptitle(title if len(rows) else f"{title}: none", fontsize=9)
        axes = np.atleast_2d(part.subplots(height, COLUMNS))
        for axis in axes.flat:
            axis.axis("off")
        pixels = store.read(rows)
        for axis, row, crop in zip(axes.flat, rows, pixels, strict=False):
            _draw(axis, crop, frames.iloc[row], labels)
    return figure


def _pick(rows: np.ndarray, statuses: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """Draw rows, as many of each status as there is room for; the rare ones would hardly be drawn otherwise."""
    drawn = pd.Series(rng.permutation(rows))
    turns = drawn.groupby(statuses.iloc[drawn].to_numpy()).cumcount()
    return np.sort(drawn.iloc[np.argsort(turns, kind="stable")].to_numpy()[: COLUMNS * ROWS])


def _draw(axis: Axes, crop: np.ndarray, frame: pd.Series, labels: list[str]) -> None:
    if frame["face"] != "none":
        axis.imshow(crop, interpolation="nearest")
    else:
        axis.text(0.5, 0.5, "no crop", ha="center", va="center", fontsize=7, transform=axis.transAxes)
    lines = [", ".join(_spelled(frame[name]) for name in labels)]
    if frame["status"] != "ok":
        lines.append(frame["status"].replace("_", " "))
    if frame["face"] in ("neighbour", "detector"):
        lines.append(f"face from {frame['face']}")
    axis.text(0.5, -0.04, "\n".join(lines), fontsize=6, ha="center", va="top", transform=axis.transAxes)


def _spelled(label: float | str) -> str:
    """Spell out a label: the name of a class, or a number with its sign; a dash for none."""
    if label == "" or pd.isna(label):
        return "–"
    return label if isinstance(label, str) else f"{label:+.2f}"
