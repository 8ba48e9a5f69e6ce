"""What the temporal factors have become, layer by layer."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hocbench.reporting.figures.parts import FEWER, WIDTH, Picture, legend, nothing, spread
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import COLOURS, MARKERS, data_label, subplots

TITLE = "Learned temporal factors against their start"
PRESENT, START = "tap 0 (present frame)", "start"


def draw(tables: Tables) -> Picture:
    """Draw the mean temporal factor by layer and tap with its start, a row per network, a column per stage."""
    table = tables.main(tables.load("factors"), ablated=True)
    table = table[(table["lasso"] == 0) & ~table["ablation"].str.startswith(FEWER)]
    names = tables.datasets_of(table)
    if not names:
        return nothing("No temporal factors were trained", tables, TITLE)
    networks = [
        (name, ablation) for name in names for ablation in sorted(set(table.loc[table["dataset"] == name, "ablation"]))
    ]
    methods = sorted(set(table["method"]), key=tables.place)
    figure, panels = subplots(
        *(len(networks), len(methods)),
        figsize=(WIDTH, 1.2 + 1.6 * len(networks)),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    layers, words = sorted(set(table["layer"]), key=lambda layer: (not layer.startswith("stem"), layer)), []
    for row, (name, ablation) in zip(panels, networks, strict=True):
        network = f"{tables.dataset_title(name)}{f', {ablation}' if ablation else ''}"
        for axes, method in zip(row, methods, strict=True):
            stage = tables.method_title(method).split(", ")[-1]
            axes.set_title(f"{network}, {data_label(tables.label_of([name]))}:\n{stage}", fontsize=8)
            drawn = (table["dataset"] == name) & (table["ablation"] == ablation) & (table["method"] == method)
            if drawn.any():
                words.append(f"{network}, {stage}: {_network(axes, table[drawn], layers)}")
            else:
                axes.text(0.5, 0.5, "not trained", ha="center", va="center", transform=axes.transAxes, fontsize=8)
        row[0].set_ylabel("Factor")
    for axes in panels[-1]:
        axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=6.5)
    legend(figure, [axes for row in panels for axes in row], _tap_order)
    caption = (
        "Temporal factors of the transducted networks by layer and tap (distance in frames from the present one): mean "
        "over components, seeds and folds; thin lines reach from the 10 % to the 90 % quantile of the components. "
        f"Components that LASSO removed are left out. Dashes: start before training. {len(layers)} layers; "
        + tables.sample(table, None)
    )
    return Picture(figure, TITLE, caption, " ".join(words), tables.label_of(names))


def _network(axes: Axes, table: pd.DataFrame, layers: list[str]) -> str:
    """Draw one network; say how its taps range over the layers and where they started."""
    taps = sorted(set(table["tap"]))
    width = 0.7 / len(taps)
    texts = []
    for k, tap in enumerate(taps):
        rows = table[table["tap"] == tap].groupby("layer")[["mean", "q10", "q90", "init"]].mean().reindex(layers)
        places = np.arange(len(layers)) + (k - (len(taps) - 1) / 2) * width
        number = 2 * abs(tap) - (tap < 0)  # the same look in kernels of all sizes
        name = f"tap {tap:+d}".replace("-", "−") if tap else PRESENT
        axes.vlines(places, rows["q10"], rows["q90"], color=COLOURS[number % 6], linewidth=0.8)
        axes.plot(places, rows["mean"], MARKERS[number % 7], color=COLOURS[number % 6], markersize=3, label=name)
        half = 0.5 * width
        axes.hlines(rows["init"], places - half, places + half, color="black", linewidth=1.0)
        texts.append(f"{name} {spread(rows['mean'], '.3f')}, started at {spread(rows['init'], '.3f')}")
    axes.plot([], [], color="black", linewidth=1.0, label=START)
    axes.set_xlim(-0.6, len(layers) - 0.4)
    axes.grid(axis="x", visible=False)
    return f"{'; '.join(texts)}."


def _tap_order(name: str) -> float:
    """Sort the taps of a legend from the past to the future, the start last."""
    if name == START:
        return float("inf")
    return 0.0 if name == PRESENT else float(name.removeprefix("tap ").replace("−", "-"))
