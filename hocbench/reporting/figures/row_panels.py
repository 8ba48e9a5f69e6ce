"""Panels, one per target, with a row per network, grouped by dataset under headings."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from hocbench.reporting.figures.parts import WIDTH
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import subplots

NETWORK = ["method", "factorization", "rank", "lasso", "ablation"]


def split_by_network(tables: Tables, rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Split rows of a dataset by network, in the order of methods."""
    networks = [own for _, own in rows.groupby(NETWORK)]
    return sorted(networks, key=lambda own: (tables.place(own["method"].iloc[0]), own["lasso"].iloc[0]))


def row_panels(groups: Sequence[tuple[str, list[str]]], targets: int) -> tuple[Any, Any]:
    """Lay out panels, one per target, with names of rows under headings."""
    count = sum(1 + len(names) for _, names in groups)
    size = (WIDTH, 1.0 + 0.165 * count)
    figure, panels = subplots(1, targets, figsize=size, sharey=True, squeeze=False, layout="constrained")
    panels = panels[0]
    ticks: list[int] = []
    labels: list[str] = []
    y = 0
    for heading, names in groups:
        for axes in panels:
            axes.axhspan(y - 0.5, y + 0.5, color="0.93", linewidth=0, zorder=0)
        _heading(panels[0], heading, y)
        ticks += range(y + 1, y + 1 + len(names))
        labels += names
        y += 1 + len(names)
    panels[0].set_yticks(ticks, labels, fontsize=6.5)
    panels[0].set_ylim(y - 0.5, -0.6)
    for axes in panels:
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="y", visible=False)
    return figure, panels


def _heading(axes: Axes, text: str, y: int) -> None:
    """Write a heading from the left edge of the page on; it takes no room from the panels."""
    where = blended_transform_factory(axes.figure.transFigure, axes.transData)
    box = {"facecolor": "0.93", "edgecolor": "none", "pad": 1.0}
    written = axes.text(0.01, y, text, fontsize=6.3, fontweight="bold", va="center", transform=where, bbox=box)
    written.set_in_layout(False)
    written.set_zorder(5)
