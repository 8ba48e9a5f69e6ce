"""Test scores against what networks cost, as a front."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hocbench.experiment.description import RowKey
from hocbench.reporting.figures.parts import WIDTH, Picture, count_axis, legend, nothing
from hocbench.reporting.figures.scores_on import no_score, scores_on
from hocbench.reporting.figures.tables import Tables, several_ranks
from hocbench.reporting.style import data_label, subplots

TITLE = "Score against parameters, operations and training time"


def draw(tables: Tables) -> Picture:
    """Draw primary test scores on clips against parameters, multiply-adds and training time, with the front."""
    costs, dataset = tables.load("costs"), tables.clips_shown
    seconds = "gpu_s" if (costs["gpu_s"].fillna(0) > 0).any() else "training_cpu_s"
    whole = costs.assign(**{seconds: _in_all(costs, seconds)})
    table = scores_on(tables, dataset, whole, ["parameters", "multiply_adds", seconds])
    if dataset is None or table.empty:
        return nothing(no_score(dataset), tables, TITLE)
    unit = "GPU" if seconds == "gpu_s" else "CPU"
    names = {"parameters": "Parameters", "multiply_adds": "Multiply-adds per frame", seconds: f"Training, {unit} s"}
    targets, metric = tables.targets_of(table), tables.metric_words(table)
    figure, panels = subplots(
        *(len(targets), 3),
        figsize=(WIDTH, 1.2 + 2 * len(targets)),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    several, words = several_ranks(table), []
    for line, target in zip(panels, targets, strict=True):
        scores = table[table["target"] == target].reset_index(drop=True)
        looks = [_look(tables, row) for _, row in scores.iterrows()]
        for axes, (cost, name) in zip(line, names.items(), strict=True):
            front = pareto_front(scores[cost].to_numpy(float), scores["mean"].to_numpy(float))
            _points(axes, scores, cost, front, looks)
            members = [scores.iloc[i] for i in front]
            points = [f"{tables.name(row, several)} ({row['mean']:.2f})" for row in members]
            words.append(f"{target.capitalize()} against {name}: {', '.join(points)}.")
        line[0].set_ylabel(f"Test {metric}, {target}")
    for axes, (cost, name) in zip(panels[-1], names.items(), strict=True):
        count_axis(axes.xaxis, table[cost], name)
    _key(figure, panels[0][0], table, tables)
    label = tables.label_of([dataset.name])
    figure.suptitle(f"{dataset.title}, {data_label(label)}; bars: 95 % intervals; grey line: Pareto front", fontsize=9)
    caption = (
        f"Test {metric} on {dataset.title} against parameters as trained, multiply-adds per frame and seconds of "
        "training, those of the stages that a network was started from included. Ringed networks on the grey line are "
        f"the front: none is both cheaper and better. {tables.interval_words(table)}. {tables.sample(table)}"
    )
    return Picture(figure, TITLE, caption, "The fronts, from cheap to dear. " + " ".join(words), label)


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


def _points(axes: Axes, scores: pd.DataFrame, cost: str, front: list[int], looks: list[dict[str, Any]]) -> None:
    axes.step(scores.loc[front, cost], scores.loc[front, "mean"], where="post", color="grey", linewidth=1.2, zorder=1)
    axes.vlines(scores[cost], scores["low"], scores["high"], color="0.75", linewidth=0.8, zorder=1)
    for place, (x, y, look) in enumerate(zip(scores[cost], scores["mean"], looks, strict=True)):
        axes.plot(x, y, **look, zorder=3)
        if place in front:
            axes.plot(x, y, "o", color="black", markersize=10, fillstyle="none", zorder=2)


def _look(tables: Tables, row: Any) -> dict[str, Any]:
    """Look of a network: full; hollow with LASSO; half full where its rank or factorization is not the main one."""
    filling = "none" if row["lasso"] else ("full" if tables.description.is_main(RowKey.read(row)) else "left")
    return tables.look(row["method"]) | {"linestyle": "", "markersize": 5, "fillstyle": filling}


def _key(figure: Any, axes: Axes, table: pd.DataFrame, tables: Tables) -> None:
    """Draw a legend of methods, and of what the filling of markers means."""
    for method in sorted(set(table["method"]), key=tables.place):
        style = tables.look(method) | {"linestyle": "", "markersize": 5}
        axes.plot([], [], label=tables.method_title(method), **style)
    style = {"color": "black", "linestyle": "", "marker": "o", "markersize": 5}
    if (table["lasso"] > 0).any():
        axes.plot([], [], label="hollow: with LASSO", fillstyle="none", **style)
    varied = [name for name in ("rank", "factorization") if table.loc[table["rank"] != "", name].nunique() > 1]
    if varied:
        axes.plot([], [], label=f"half: another {' or '.join(varied)}", fillstyle="left", **style)
    legend(figure, [axes])
