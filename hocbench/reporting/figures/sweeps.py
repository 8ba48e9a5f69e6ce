"""Scores along a sweep: of LASSO weights, of ranks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hocbench.reporting.figures.parts import WIDTH, Picture, count_axis, draw_levels, legend, nothing, short
from hocbench.reporting.figures.tables import Tables, rank_order
from hocbench.reporting.style import COLOURS, DASHES, MARKERS, subplots


@dataclass(frozen=True)
class _Axis:
    """What is swept.

    Attributes
    ----------
    column : str
        Column of the tables.
    word, name, title : str
        What a level is called, name of the axis, title of the figure.
    order : callable
        Sorts the levels.
    """

    column: str
    word: str
    name: str
    title: str
    order: Callable[[Any], float]


LASSO_AXIS = _Axis("lasso", "LASSO weight", "LASSO weight", "Score and size along the LASSO path", float)
RANK_AXIS = _Axis("rank", "rank", "Rank (multiple of “same”)", "Score and size along the ranks", rank_order)


def lasso_path(tables: Tables) -> Picture:
    """Draw primary test scores and the parameters left at each LASSO weight, a column per dataset."""
    table = tables.main(_sizes(tables))
    on_images = tables.of_images(table)
    table = table[on_images & table["method"].isin(["static", "lasso"]) | ~on_images & (table["method"] == "joint")]
    return _sweep(tables, table, LASSO_AXIS, "No sweep of LASSO weights")


def rank_sweep(tables: Tables) -> Picture:
    """Draw primary test scores and the parameters at each rank, a column per dataset."""
    table = _sizes(tables)
    plain = (table["lasso"] == 0) & (table["factorization"] == tables.description.factorization)
    on_images = tables.of_images(table)
    table = table[plain & (on_images & (table["method"] == "static") | (table["method"] == "joint"))]
    ranks = sorted(set(table["rank"]), key=rank_order)
    return _sweep(tables, table, RANK_AXIS, f"No sweep of ranks: {', '.join(ranks) or 'none'} only")


def _sizes(tables: Tables) -> pd.DataFrame:
    """Return primary scores with the parameters left; removed components still lie in LASSO runs on images."""
    table = tables.with_costs(tables.primary_scores(), tables.load("costs"), ["parameters"])
    table = table[table["ablation"] == ""]
    keys = ["dataset", "rank", "lasso"]
    removed = tables.load("sparsity").groupby([*keys, "seed"])["removed"].sum().groupby(keys).mean().reset_index()
    table = table.merge(removed, on=keys, how="left")
    left = table["parameters"] - table["removed"].where(table["method"] == "lasso", 0).fillna(0)
    return table.assign(parameters=left)


def _sweep(tables: Tables, table: pd.DataFrame, axis: _Axis, absent: str) -> Picture:
    names = [name for name in tables.datasets_of(table) if _levels(table, name, axis)[1:]]
    if not names:
        return nothing(absent, tables, axis.title)
    table = table[table["dataset"].isin(names)]
    figure, panels = subplots(
        *(2, len(names)),
        figsize=(WIDTH, 4.2),
        sharex="col",
        sharey="row",
        squeeze=False,
        height_ratios=(3, 2),
        layout="constrained",
    )
    targets, metric = tables.targets_of(table), tables.metric_words(table)
    words = []
    for column, name in enumerate(names):
        rows, levels = table[table["dataset"] == name], _levels(table, name, axis)
        upper, lower = panels[0][column], panels[1][column]
        for k, target in enumerate(targets):
            look = {"color": COLOURS[k % 7], "marker": MARKERS[k % 7], "linestyle": DASHES[k % 4]}
            own, shift = rows[rows["target"] == target], 0.1 * (k - (len(targets) - 1) / 2)
            if len(own):
                draw_levels(upper, own, axis.column, levels, shift, look | {"label": target.capitalize()})
        sizes = rows.groupby(axis.column)["parameters"].mean().reindex(levels)
        lower.plot(range(len(levels)), sizes, color="black", marker="D", markersize=4)
        words.append(f"{tables.dataset_title(name)}: {_words(rows, targets, axis, levels, sizes)}.")
        upper.set_title(tables.panel_title(rows, len(names)))
        for axes in (upper, lower):
            axes.set_xticks(range(len(levels)), [_text(level) for level in levels])
            axes.set_xlim(-0.4, len(levels) - 0.6)
        lower.set_xlabel(axis.name)
    panels[0][0].set_ylabel(f"Test {metric}")
    count_axis(panels[1][0].yaxis, table["parameters"], "Parameters left" if axis is LASSO_AXIS else "Parameters")
    legend(figure, panels[0])
    networks = " and ".join(tables.method_title(method) for method in sorted(set(table["method"]), key=tables.place))
    caption = (
        f"Test {metric} (above) and parameters{' left' if axis is LASSO_AXIS else ''} (below) by {axis.word}; "
        f"networks: {networks}. {tables.interval_words(table)}. {tables.sample(table)}"
    )
    return Picture(figure, axis.title, caption, " ".join(words), tables.label_of(names))


def _text(level: Any) -> str:
    return level if isinstance(level, str) else f"{level:g}"


def _levels(table: pd.DataFrame, name: str, axis: _Axis) -> list[Any]:
    return sorted(set(table.loc[table["dataset"] == name, axis.column]), key=axis.order)


def _words(rows: pd.DataFrame, targets: Iterable[str], axis: _Axis, levels: Sequence[Any], sizes: pd.Series) -> str:
    means = rows.pivot_table(index=axis.column, columns="target", values="mean").reindex(pd.Index(levels))
    points = []
    for level in levels:
        scores = ", ".join(f"{target} {means.loc[level, target]:.2f}" for target in targets if target in means)
        points.append(f"{axis.word} {_text(level)}: {scores}, {short(sizes[level])} parameters")
    return "; ".join(points)
