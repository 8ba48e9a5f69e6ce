"""Validation scores by epoch: of all trainings, and of the temporal stage against the level it is to recover."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hocbench.reporting.figures.parts import (
    CLIPS,
    FILLS,
    TEMPORAL,
    WIDTH,
    Picture,
    datasets_of,
    default_rank,
    label_of,
    legend,
    load,
    nothing,
    panel_title,
    rank_order,
    sample,
)
from hocbench.reporting.names import DATASET_NAMES
from hocbench.reporting.style import COLOURS, DASHES, MARKERS, look, place, subplots

LEVEL = "level of the transducted 2-D network"
CURVES, RECOVERY = "Learning curves", "Recovery of the static level by temporal factors alone"


def learning_curves(evaluation: Path) -> Picture:
    """Draw validation CCC (mean of both targets) by epoch, a panel per dataset; mean over seeds and folds."""
    table = _history(evaluation)
    epochs = table.groupby(["dataset", "run"])["epoch"].transform("max")
    table = table[(epochs > 0) & (table["lasso"] == 0) & (table["variant"] == "")]
    names = datasets_of(table)
    if not names:
        return nothing("No network was trained", evaluation, CURVES)
    figure, panels = subplots(1, len(names), figsize=(WIDTH, 3.3), sharey=True, squeeze=False, layout="constrained")
    ranks = sorted(set(table["rank"]) - {""}, key=rank_order)
    words = []
    for axes, name in zip(panels[0], names, strict=True):
        rows = table[table["dataset"] == name]
        ends = {}
        for method, rank in sorted(set(zip(rows["method"], rows["rank"], strict=True)), key=lambda key: place(key[0])):
            curve = rows[(rows["method"] == method) & (rows["rank"] == rank)].groupby("epoch")["ccc"].mean()
            label = f"{method}, rank {rank}" if rank and len(ranks) > 1 else method
            fill = FILLS[ranks.index(rank) % len(FILLS)] if rank else FILLS[0]
            axes.plot(curve.index, curve, markersize=4, fillstyle=fill, label=label, **look(method))
            ends[label] = curve.iloc[-1]
        _level(axes, rows)
        _finish(axes, rows, len(names), "Epoch")
        best = max(ends, key=lambda label: ends[label])
        words.append(
            f"{DATASET_NAMES[name]}: {len(ends)} networks end between {min(ends.values()):.2f} and {ends[best]:.2f}, "
            f"highest {best}."
        )
    panels[0][0].set_ylabel("Validation CCC\n(mean of both targets)")
    legend(figure, panels[0], place)
    caption = (
        "Validation CCC (mean of valence and arousal) by epoch; epoch 0 is the network before training. Lines are "
        "means over seeds and folds; the grey line is the level of the 2-D network that was transducted. "
        + sample(evaluation, table, "validation")
    )
    return Picture(figure, CURVES, caption, "Curves by epoch. " + " ".join(words), label_of(evaluation, names))


def recovery(evaluation: Path) -> Picture:
    """Draw validation CCC by epoch of the temporal stage, from the untrained network, with the level to recover."""
    table = _history(evaluation)
    epochs = table.groupby(["dataset", "run"])["epoch"].transform("max")
    own = (table["method"] == TEMPORAL) & (table["lasso"] == 0) & (epochs > 0) & ~table["variant"].str.startswith(CLIPS)
    table = table[own & (table["rank"] == default_rank(evaluation))]
    names = datasets_of(table)
    if not names:
        return nothing("No temporal factors were trained", evaluation, RECOVERY)
    figure, panels = subplots(1, len(names), figsize=(WIDTH, 3.1), squeeze=False, layout="constrained")
    variants = sorted(set(table["variant"]))
    words = []
    for axes, name in zip(panels[0], names, strict=True):
        rows = table[table["dataset"] == name]
        for variant in sorted(set(rows["variant"])):
            words.append(_recovery(axes, rows[rows["variant"] == variant], variants.index(variant)))
        _level(axes, rows[rows["variant"] == ""])
        _finish(axes, rows, len(names), "Epoch (temporal stage)")
    panels[0][0].set_ylabel("Validation CCC\n(mean of both targets)")
    legend(figure, panels[0])
    caption = (
        "Validation CCC (mean of valence and arousal) by epoch of the stage that trains the temporal factors alone; "
        "epoch 0 is the transducted network before training. Thick lines are means over seeds and folds, thin lines "
        "single runs; the grey line is the level of the 2-D network that was transducted. "
        + sample(evaluation, table, "validation")
    )
    return Picture(figure, RECOVERY, caption, "Curves by epoch. " + " ".join(words), label_of(evaluation, names))


def _history(evaluation: Path) -> pd.DataFrame:
    table = load(evaluation, "history")
    return table.assign(ccc=(table["validation_ccc_valence"] + table["validation_ccc_arousal"]) / 2)


def _recovery(axes: Axes, rows: pd.DataFrame, number: int) -> str:
    """Draw one network; say where it starts, where it ends and what the level is."""
    colour = COLOURS[(2 + number) % 7]
    for _, run in rows.groupby("run"):
        axes.plot(run["epoch"], run["ccc"], color=colour, linewidth=0.5, alpha=0.6)
    variant = str(rows["variant"].iloc[0])
    curve = rows.groupby("epoch")["ccc"].mean()
    style: dict[str, Any] = {"color": colour, "marker": MARKERS[(2 + number) % 7], "linestyle": DASHES[number % 4]}
    axes.plot(curve.index, curve, linewidth=1.8, label=variant or "temporal factors trained", **style)
    level = rows["static_level"].mean()
    text = f"{DATASET_NAMES[rows['dataset'].iloc[0]]}{f', {variant}' if variant else ''}: from {curve.iloc[0]:.2f} "
    text += f"untrained to {curve.iloc[-1]:.2f} after {curve.index[-1]} epochs"
    return text + (f", the level is {level:.2f}." if pd.notna(level) else ".")


def _level(axes: Axes, rows: pd.DataFrame) -> None:
    level = rows["static_level"].mean()
    if pd.notna(level):
        axes.axhline(level, color="grey", linewidth=1, label=LEVEL)


def _finish(axes: Axes, rows: pd.DataFrame, panels: int, name: str) -> None:
    axes.set_title(panel_title(rows, panels))
    axes.set_xlabel(name)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
