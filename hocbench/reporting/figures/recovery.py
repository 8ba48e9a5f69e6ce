"""Validation scores of the temporal stage by epoch, against the level that it is to recover."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from hocbench.reporting.figures.parts import FEWER, WIDTH, Picture, legend, nothing
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.figures.validation import draw_level, finish, score_label, score_words, trained_networks
from hocbench.reporting.style import COLOURS, DASHES, MARKERS, subplots

TITLE = "Recovery of the static level by temporal factors alone"


def draw(tables: Tables) -> Picture:
    """Draw validation scores by epoch of the temporal stage, from the untrained network, with the level to recover."""
    table = tables.main(trained_networks(tables), ablated=True)
    table = table[(table["method"] == "temporal") & ~table["ablation"].str.startswith(FEWER)]
    names = tables.datasets_of(table)
    if not names:
        return nothing("No temporal factors were trained", tables, TITLE)
    figure, panels = subplots(1, len(names), figsize=(WIDTH, 3.1), squeeze=False, layout="constrained")
    ablations = sorted(set(table["ablation"]))
    words = []
    for axes, name in zip(panels[0], names, strict=True):
        rows = table[table["dataset"] == name]
        for ablation in sorted(set(rows["ablation"])):
            network = rows[rows["ablation"] == ablation]
            words.append(f"{tables.dataset_title(name)}{_network(axes, network, ablations.index(ablation))}")
        draw_level(axes, rows[rows["ablation"] == ""])
        finish(axes, tables.panel_title(rows, len(names)), "Epoch (temporal stage)")
    panels[0][0].set_ylabel(score_label(tables, table))
    legend(figure, panels[0])
    caption = (
        f"Validation {score_words(tables, table)} by epoch of the stage that trains the temporal factors alone; "
        "epoch 0 is the transducted network before training. Thick lines are means over seeds and folds, thin lines "
        "single runs; the grey line is the level of the 2-D network that was transducted. "
        + tables.sample(table, "validation")
    )
    return Picture(figure, TITLE, caption, "Curves by epoch. " + " ".join(words), tables.label_of(names))


def _network(axes: Axes, rows: pd.DataFrame, number: int) -> str:
    """Draw one network; return in words its ablation, where it starts, where it ends, and the level."""
    colour = COLOURS[(2 + number) % 7]
    for _, run in rows.groupby("run"):
        axes.plot(run["epoch"], run["score"], color=colour, linewidth=0.5, alpha=0.6)
    ablation = str(rows["ablation"].iloc[0])
    curve = rows.groupby("epoch")["score"].mean()
    style: dict[str, Any] = {"color": colour, "marker": MARKERS[(2 + number) % 7], "linestyle": DASHES[number % 4]}
    axes.plot(curve.index, curve, linewidth=1.8, label=ablation or "temporal factors trained", **style)
    level = rows["static_level"].mean()
    text = f"{f', {ablation}' if ablation else ''}: from {curve.iloc[0]:.2f} untrained to {curve.iloc[-1]:.2f} "
    text += f"after {curve.index[-1]} epochs"
    return text + (f", the level is {level:.2f}." if pd.notna(level) else ".")
