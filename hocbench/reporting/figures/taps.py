"""What the temporal factors have become, layer by layer."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hocbench.reporting.figures.parts import (
    CLIPS,
    WIDTH,
    Picture,
    datasets_of,
    default_rank,
    label_of,
    legend,
    load,
    nothing,
    sample,
    spread,
)
from hocbench.reporting.names import DATASET_NAMES
from hocbench.reporting.style import COLOURS, MARKERS, data_label, place, subplots

TITLE = "Learned temporal factors against their start"
PRESENT, START = "tap 0 (present frame)", "start"


def temporal_factors(evaluation: Path) -> Picture:
    """Draw the mean temporal factor by layer and tap with its start, a row per network, a column per stage."""
    table = load(evaluation, "factors")
    own = (table["lasso"] == 0) & (table["rank"] == default_rank(evaluation))
    table = table[own & ~table["variant"].str.startswith(CLIPS)]
    names = datasets_of(table)
    if not names:
        return nothing("No temporal factors were trained", evaluation, TITLE)
    networks = [
        (name, variant) for name in names for variant in sorted(set(table.loc[table["dataset"] == name, "variant"]))
    ]
    methods = sorted(set(table["method"]), key=place)
    figure, panels = subplots(
        *(len(networks), len(methods)),
        figsize=(WIDTH, 1.2 + 1.6 * len(networks)),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    layers, words = sorted(set(table["layer"]), key=lambda layer: (not layer.startswith("stem"), layer)), []
    for row, (name, variant) in zip(panels, networks, strict=True):
        for axes, method in zip(row, methods, strict=True):
            mine = (table["dataset"] == name) & (table["variant"] == variant) & (table["method"] == method)
            network = f"{DATASET_NAMES[name]}{f', {variant}' if variant else ''}"
            axes.set_title(
                f"{network}, {data_label(label_of(evaluation, [name]))}:\n{method.split(', ')[-1]}", fontsize=8
            )
            if mine.any():
                words.append(f"{network}, {method.split(', ')[-1]}: {_network(axes, table[mine], layers)}")
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
        + sample(evaluation, table, None)
    )
    return Picture(figure, TITLE, caption, " ".join(words), label_of(evaluation, names))


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
