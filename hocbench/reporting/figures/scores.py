"""Test scores against what networks cost: a row each, and as a front."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hocbench.reporting.figures.parts import (
    WIDTH,
    Picture,
    count_axis,
    family,
    interval_words,
    label_of,
    legend,
    load,
    nothing,
    pooled_ccc,
    row_name,
    sample,
    short,
    spread,
    with_parameters,
)
from hocbench.reporting.style import COLOURS, TARGET_NAMES, data_label, look, place, subplots
from hocbench.runs.finished import TARGETS

SIZES, PARETO = "Score and parameters", "Score against parameters, operations and training time"


def score_parameters(evaluation: Path) -> Picture:
    """Draw parameters and test CCC with interval of each method on SEWA, a row each, the smallest network on top."""
    table = _with_costs(evaluation, ["parameters"])
    if table.empty:
        return nothing("No score on SEWA", evaluation, SIZES)
    table = table.assign(place=[place(method)[0] for method in table["method"]])
    table = table.sort_values(["parameters", "place", "method", "rank", "lasso"], kind="stable")
    rows = [rows for _, rows in table.groupby(["method", "rank", "lasso"], sort=False)]
    figure, panels = subplots(
        1, 3, figsize=(WIDTH, 1.3 + 0.19 * len(rows)), sharey=True, width_ratios=(2, 3, 3), layout="constrained"
    )
    for y, mine in enumerate(rows):
        number, marker = family(mine["method"].iloc[0])
        colour = COLOURS[number]
        panels[0].plot(mine["parameters"].iloc[0], y, marker, color=colour, markersize=5)
        for axes, target in zip(panels[1:], TARGETS, strict=True):
            score = mine[mine["target"] == target].iloc[0]
            axes.plot([score["low"], score["high"]], [y, y], "|-", color=colour, linewidth=1.2, markersize=5)
            axes.plot(score["mean"], y, marker, color=colour, markersize=5)
    several = table.loc[table["rank"] != "", "rank"].nunique() > 1
    panels[0].set_yticks(range(len(rows)), [row_name(mine.iloc[0], several) for mine in rows], fontsize=8)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    count_axis(panels[0].xaxis, table["parameters"], "Parameters")
    for axes, target in zip(panels[1:], TARGETS, strict=True):
        axes.set_xlabel(f"Test CCC, {target}")
    label = label_of(evaluation, ["sewa"])
    figure.suptitle(f"SEWA, {data_label(label)}; bars: 95 % intervals", fontsize=9)
    caption = (
        f"Parameters as trained, and test CCC of each method on SEWA. {interval_words(table)}. "
        f"{sample(evaluation, table)}"
    )
    return Picture(figure, SIZES, caption, _ranking(table, several), label)


def pareto(evaluation: Path) -> Picture:
    """Draw test CCC on SEWA against parameters, multiply-adds and training time; the front is marked."""
    seconds = "gpu_s" if (load(evaluation, "costs")["gpu_s"].fillna(0) > 0).any() else "training_cpu_s"
    table = _with_costs(evaluation, ["parameters", "multiply_adds", seconds])
    if table.empty:
        return nothing("No score on SEWA", evaluation, PARETO)
    unit = "GPU" if seconds == "gpu_s" else "CPU"
    costs = {"parameters": "Parameters", "multiply_adds": "Multiply-adds per frame", seconds: f"Training, {unit} s"}
    figure, panels = subplots(2, 3, figsize=(WIDTH, 5.2), sharex="col", sharey="row", layout="constrained")
    ranks = table.loc[table["rank"] != "", "rank"]
    several, words = ranks.nunique() > 1, []
    for line, target in zip(panels, TARGETS, strict=True):
        scores = table[table["target"] == target].reset_index(drop=True)
        for axes, (cost, name) in zip(line, costs.items(), strict=True):
            front = pareto_front(scores[cost].to_numpy(float), scores["mean"].to_numpy(float))
            _points(axes, scores, cost, front)
            members = [scores.iloc[i] for i in front]
            names = [f"{row_name(row, several)} ({row['mean']:.2f})" for row in members]
            words.append(f"{TARGET_NAMES[target]} against {name}: {', '.join(names)}.")
        line[0].set_ylabel(f"Test CCC, {target}")
    for axes, (cost, name) in zip(panels[1], costs.items(), strict=True):
        count_axis(axes.xaxis, table[cost], name)
    _key(figure, panels[0][0], table)
    label = label_of(evaluation, ["sewa"])
    figure.suptitle(f"SEWA, {data_label(label)}; bars: 95 % intervals; grey line: Pareto front", fontsize=9)
    caption = (
        "Test CCC on SEWA against parameters as trained, multiply-adds per frame and seconds of training, those of the "
        "stages that a network was started from included. Ringed networks on the grey line are the front: none is both "
        f"cheaper and better. {interval_words(table)}. {sample(evaluation, table)}"
    )
    return Picture(figure, PARETO, caption, "The fronts, from cheap to dear. " + " ".join(words), label)


def pareto_front(costs: NDArray[np.float64], scores: NDArray[np.float64]) -> list[int]:
    """Find what no other is both cheaper than and better than, sorted by cost.

    Parameters
    ----------
    costs, scores : ndarray, (n,)
        Less and more is better; rows with a NaN are on no front.

    Returns
    -------
    list of int
        Indices; of rows with the same cost the best alone, of those with the same score the cheapest alone.
    """
    front: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i])):
        if np.isfinite(costs[i]) and np.isfinite(scores[i]) and (not front or scores[i] > scores[front[-1]]):
            front.append(i)
    return front


def _with_costs(evaluation: Path, columns: list[str]) -> pd.DataFrame:
    """CCC of the networks on SEWA, variants left out, with mean costs over seeds and folds."""
    costs = load(evaluation, "costs")
    for column in {"training_cpu_s", "gpu_s"} & set(columns):
        costs[column] = _in_all(costs, column)
    table = with_parameters(pooled_ccc(evaluation), costs, columns)
    return table[(table["dataset"] == "sewa") & (table["variant"] == "")]


def _in_all(costs: pd.DataFrame, column: str) -> list[float]:
    """Add to the seconds of each run those of the runs it was started from."""
    own = dict(zip(costs["run"], costs[column].fillna(0), strict=True))
    parents = dict(zip(costs["run"], costs["parent"], strict=True))
    sums = []
    for run in costs["run"]:
        total, ancestor = 0.0, run
        while ancestor in own:
            total, ancestor = total + own[ancestor], parents[ancestor]
        sums.append(total)
    return sums


def _points(axes: Axes, scores: pd.DataFrame, cost: str, front: list[int]) -> None:
    axes.step(scores.loc[front, cost], scores.loc[front, "mean"], where="post", color="grey", linewidth=1.2, zorder=1)
    axes.vlines(scores[cost], scores["low"], scores["high"], color="0.75", linewidth=0.8, zorder=1)
    for i, row in scores.iterrows():
        axes.plot(row[cost], row["mean"], **_look(row, scores), zorder=3)
        if i in front:
            axes.plot(row[cost], row["mean"], "o", color="black", markersize=10, fillstyle="none", zorder=2)


def _look(row: Any, table: pd.DataFrame) -> dict[str, Any]:
    """Look of a network: full; hollow with LASSO; half full at another rank than the first."""
    style = look(row["method"]) | {"linestyle": "", "markersize": 5}
    ranks = sorted(set(table["rank"]) - {""}, key=lambda rank: (rank != "same", rank))
    other = row["rank"] not in ("", *ranks[:1])
    return style | {"fillstyle": "none" if row["lasso"] else ("left" if other else "full")}


def _key(figure: Any, axes: Axes, table: pd.DataFrame) -> None:
    """Draw a legend of methods, and of what the filling of markers means."""
    for method in sorted(set(table["method"]), key=place):
        axes.plot([], [], label=method, **(look(method) | {"linestyle": "", "markersize": 5}))
    style: dict[str, Any] = {"color": "black", "linestyle": "", "marker": "o", "markersize": 5}
    if (table["lasso"] > 0).any():
        axes.plot([], [], label="hollow: with LASSO", fillstyle="none", **style)
    if table.loc[table["rank"] != "", "rank"].nunique() > 1:
        axes.plot([], [], label="half: another rank", fillstyle="left", **style)
    legend(figure, [axes])


def _ranking(table: pd.DataFrame, several: bool) -> str:
    """Say what is best and how wide scores and sizes range."""
    words = [f"{table['method'].nunique()} methods with {short(table['parameters'].min())} to "]
    words[0] += f"{short(table['parameters'].max())} parameters."
    for target in TARGETS:
        mine = table[table["target"] == target]
        best = mine.sort_values("mean").iloc[-1]
        words.append(
            f"{TARGET_NAMES[target]}: CCC from {spread(mine['mean'])}, best {row_name(best, several)} "
            f"({best['low']:.2f} to {best['high']:.2f})."
        )
    return " ".join(words)
