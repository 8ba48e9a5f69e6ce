"""Errors by quadrant of the labels, a row per network, grouped by dataset."""

import pandas as pd
from matplotlib.axes import Axes

from hocbench.reporting.figures.parts import Picture, legend, nothing
from hocbench.reporting.figures.row_panels import row_panels, split_by_network
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import COLOURS, MARKERS
from hocbench.runs.finished import TARGETS

TITLE = "Error by quadrant of the labels"
ORDER = ("V+ A+", "V- A+", "V- A-", "V+ A-")


def draw(tables: Tables) -> Picture:
    """Draw the RMSE in each quadrant of the labels, a row per method, grouped by dataset."""
    table = tables.main(tables.load("quadrants"))
    names = tables.datasets_of(table)
    if not names:
        return nothing("No scored frame of valence and arousal", tables, TITLE)
    groups = []
    for name in names:
        rows = table[table["dataset"] == name]
        frames = rows.groupby("quadrant")["n_frames"].max()
        counts = ", ".join(f"{_sign(quadrant)} {frames.get(quadrant, 0)}" for quadrant in ORDER)
        heading = f"{tables.heading(rows)}; {tables.description.datasets[name].frames}: {counts}"
        groups.append((heading, split_by_network(tables, rows)))
    figure, panels = row_panels(
        [(heading, [tables.name(rows.iloc[0], False) for rows in own]) for heading, own in groups], len(TARGETS)
    )
    y = 0
    for _, networks in groups:
        for number, rows in enumerate(networks):
            for axes, target in zip(panels, TARGETS, strict=True):
                _errors(axes, rows, f"rmse_{target}", y + 1 + number)
        y += 1 + len(networks)
    for axes, target in zip(panels, TARGETS, strict=True):
        axes.set_xlabel(f"RMSE, {target}", fontsize=8)
        axes.set_xlim(left=0)
    for k, quadrant in enumerate(ORDER):
        panels[0].plot([], [], MARKERS[k], color=COLOURS[k], markersize=4, label=_sign(quadrant))
    legend(figure, [panels[0]])
    caption = (
        "Root mean squared error on the test part by quadrant of the labels (V valence, A arousal, + or − their sign), "
        "frames pooled; markers are means over seeds, lines reach from the smallest to the largest seed. "
        + tables.sample(table)
        + tables.without_plane()
    )
    return Picture(figure, TITLE, caption, _words(tables, table), tables.label_of(names))


def _errors(axes: Axes, rows: pd.DataFrame, column: str, y: int) -> None:
    for k, quadrant in enumerate(ORDER):
        values = rows.loc[rows["quadrant"] == quadrant, column]
        if len(values):
            axes.hlines(y, values.min(), values.max(), color=COLOURS[k], linewidth=1, zorder=2)
            axes.plot(values.mean(), y, MARKERS[k], color=COLOURS[k], markersize=4, zorder=3)


def _sign(quadrant: str) -> str:
    return quadrant.replace("-", "−")


def _words(tables: Tables, table: pd.DataFrame) -> str:
    words = []
    for name in tables.datasets_of(table):
        means = table[table["dataset"] == name].groupby("quadrant")[["rmse_valence", "rmse_arousal"]].mean()
        found = {quadrant: tuple(means.loc[quadrant]) for quadrant in ORDER if quadrant in means.index}
        points = [
            f"{_sign(quadrant)} valence {valence:.2f}, arousal {arousal:.2f}"
            for quadrant, (valence, arousal) in found.items()
        ]
        words.append(f"{tables.dataset_title(name)}, mean RMSE of all methods: {'; '.join(points)}.")
    return " ".join(words)
