"""What all figures share: a picture with its words, legends, axes, numbers in words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import data_label, new_figure

WIDTH = 7.0  # inches, that of a printed page between its margins
HATCHES, FILLS = ("", "//", "..", "xx"), ("full", "none", "left", "bottom")
FEWER = "clips-"  # beginning of the ablations that are trained on fewer clips


@dataclass(frozen=True)
class Picture:
    """A figure and the words that go with it.

    Attributes
    ----------
    figure : Figure
        Drawn.
    title : str
        What it is, in a few words.
    caption : str
        What is drawn, of how many frames, subjects and seeds, from which kind of data.
    alt : str
        What is to be seen, for those who do not see it.
    label : str
        "synthetic", "real", or "synthetic and real".
    """

    figure: Figure
    title: str
    caption: str
    alt: str
    label: str


def nothing(text: str, tables: Tables, title: str) -> Picture:
    """Say in place of a figure that there is nothing to draw."""
    label = tables.label_of()
    figure = new_figure(figsize=(WIDTH, 0.8))
    words = f"{text}, {data_label(label)}"
    figure.suptitle(words, y=0.5, va="center", fontsize=9)
    return Picture(figure, title, f"Nothing to draw: {words}.", f"No figure, only the words: {words}.", label)


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % t interval of a mean, NaN with fewer than two values.

    Parameters
    ----------
    values : sequence of float
        One number per seed.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def legend(figure: Figure, panels: Iterable[Axes], key: Callable[[str], Any] | None = None) -> None:
    """Put one legend for all panels below them, in the order of a key or of drawing."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    labels = sorted(handles, key=key) if key else list(handles)
    columns = _columns(labels)
    lines = -(-len(labels) // columns)
    figure.set_size_inches(WIDTH, figure.get_figheight() + 0.15 * max(0, lines - 3))  # a long one makes the page longer
    shown = [handles[label] for label in labels]
    figure.legend(shown, labels, frameon=False, loc="outside lower center", ncols=columns, fontsize=7)


def _columns(labels: Sequence[str]) -> int:
    """Find how many columns of a legend fit beside each other."""
    for count in range(len(labels), 1, -1):
        parts = np.array_split(list(labels), count)
        if sum(0.5 + 0.05 * max(len(label) for label in part) for part in parts) < WIDTH:  # inches
            return count
    return 1


def draw_levels(
    axes: Axes, rows: pd.DataFrame, column: str, levels: Sequence[Any], shift: float, style: dict[str, Any]
) -> None:
    """Draw means with intervals at the places of their levels; a line goes past levels that are not there."""
    rows = rows.set_index(column)
    there = [level for level in levels if level in rows.index]
    rows, places = rows.loc[there], np.array([levels.index(level) for level in there]) + shift
    axes.vlines(places, rows["low"], rows["high"], color=style["color"], linewidth=1.2)
    axes.plot(places, rows["mean"], markersize=4.5, **style)


def count_axis(axis: Any, values: Iterable[float], name: str) -> None:
    """Label a logarithmic axis of counts with plain numbers that do not run into each other.

    Parameters
    ----------
    axis : matplotlib Axis
        ``axes.xaxis`` or ``axes.yaxis``.
    values : iterable of float
        What is drawn, positive.
    name : str
        Name of the axis.
    """
    values = list(values)
    low, high = min(values) / 1.6, max(values) * 1.6
    for bases in ((1,), (1, 3), (1, 2, 5)):
        steps = [base * 10.0**power for power in range(-2, 13) for base in bases]
        ticks = [step for step in steps if 1.2 * low <= step <= high / 1.2]
        if len(ticks) > 1:
            break
    set_scale, set_limits = (
        (axis.axes.set_xscale, axis.axes.set_xlim)
        if axis.axis_name == "x"
        else (axis.axes.set_yscale, axis.axes.set_ylim)
    )
    set_scale("log")
    set_limits(low, high)
    axis.set_ticks(ticks, [short(tick) for tick in ticks], fontsize=8)
    axis.set_ticks([], minor=True)
    axis.set_label_text(name)


def short(count: float) -> str:
    """Write a count in thousands, millions or billions."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"


def spread(numbers: Iterable[float], form: str = ".2f") -> str:
    """Write the range of some numbers."""
    values = [value for value in numbers if np.isfinite(value)]
    if not values:
        return "no number"
    low, high = (format(value, form).replace("-", "−") for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
