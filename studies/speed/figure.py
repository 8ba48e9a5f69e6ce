"""The figure: speed-up of each layer over each rival, with the limits that arithmetic and memory set."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hocbench.reporting.style import COLOURS, style, subplots
from studies.speed.layers import DENSE, TLTORCH, TWO_PLUS_ONE
from studies.speed.measurements import LIMIT, TIME, Measurement, ratio_to_ours
from studies.speed.roofline import BY_COUNT, BY_ROOFLINE
from studies.speed.timing import Setting, spread

WIDTH = 7.0  # inches
ROW = 2.3
# Colour, marker and dash of each rival.
LOOKS = {
    TLTORCH["factorized"]: (1, "s", "-"),
    TLTORCH["mobilenet"]: (4, "^", "--"),
    TLTORCH["reconstructed"]: (3, "D", ":"),
    DENSE[2]: (0, "o", "-"),
    DENSE[3]: (0, "o", "-"),
    TWO_PLUS_ONE: (2, "v", "-."),
}
LABELS = {DENSE[2]: "dense (3-D: = inflated)", DENSE[3]: "dense (3-D: = inflated)"}
LIMITS = {
    BY_COUNT: ("--", "chain against dense, limit by multiply-adds"),
    BY_ROOFLINE: (":", "chain against dense, limit by roofline"),
}


@style()
def draw_speed(measurements: Sequence[Measurement], settings: Sequence[Setting]) -> Figure:
    """Draw a row per setting and a panel per order and input size; bars are quartiles."""
    rows = [m for m in measurements if m.group.startswith("layers")]
    panels = list(dict.fromkeys((m.group, m.case) for m in rows))
    figure, grid = subplots(
        len(settings),
        len(panels),
        figsize=(WIDTH, ROW * len(settings) + 0.9),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for line, setting in zip(grid, settings, strict=True):
        for axes, (group, case) in zip(line, panels, strict=True):
            here = [m for m in rows if (m.setting, m.group, m.case) == (setting, group, case)]
            _panel(axes, here)
            axes.set_title(f"{group.removeprefix('layers ')} layers, {case}\n{setting}")
        line[0].set_ylabel("Speed-up\n(time by that of hocbench)")
    for axes in grid[-1]:
        axes.set_xlabel("Channels of the layer")
    handles: dict[str, Any] = {}
    for axes in grid.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _panel(axes: Axes, rows: Sequence[Measurement]) -> None:
    shapes = list(dict.fromkeys(m.shape for m in rows))
    relative = ratio_to_ours(rows)
    for method, (colour, marker, dash) in LOOKS.items():
        spreads = {m.shape: spread(relative[m]) for m in rows if m.method == method and m.quantity == TIME}
        if not spreads:
            continue
        values = [spreads[shape] for shape in shapes]
        axes.errorbar(
            range(len(shapes)),
            [value.median for value in values],
            yerr=[[v.median - v.low for v in values], [v.high - v.median for v in values]],
            color=COLOURS[colour],
            marker=marker,
            linestyle=dash,
            markersize=4,
            linewidth=1.2,
            label=LABELS.get(method, method),
        )
    for method, (dash, label) in LIMITS.items():
        bound = {m.shape: m.values[0] for m in rows if m.method == method and m.quantity == LIMIT}
        axes.plot(
            range(len(shapes)), [bound[shape] for shape in shapes], dash, color=COLOURS[6], linewidth=1.5, label=label
        )
    axes.axhline(1, color="grey", linewidth=1)
    axes.set_xticks(range(len(shapes)), [shape.split("×")[1] for shape in shapes])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
