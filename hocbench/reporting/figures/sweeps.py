"""Scores along a sweep: of LASSO weights, of ranks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hocbench.reporting.figures.parts import WIDTH, Picture, count_axis, draw_levels, legend, nothing, short
from hocbench.reporting.figures.tables import Tables, rank_order
from hocbench.reporting.style import COLOURS, TARGET_NAMES, subplots
from hocbench.runs.finished import TARGETS

TARGET_LOOKS = {
    "valence": {"color": COLOURS[0], "marker": "o", "linestyle": "-"},
    "arousal": {"color": COLOURS[1], "marker": "s", "linestyle": "--"},
}


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
    """Draw test CCC and the parameters left at each LASSO weight, a column per dataset."""
    table = tables.main(_sizes(tables))
    on_images = tables.of_images(table)
    table = table[on_images & table["method"].isin(["static", "lasso"]) | ~on_images & (table["method"] == "joint")]
    return _sweep(tables, table, LASSO_AXIS, "No sweep of LASSO weights")


def rank_sweep(tables: Tables) -> Picture:
    """Draw test CCC and the parameters at each rank, a column per dataset."""
    table = _sizes(tables)
    plain = (table["lasso"] == 0) & (table["factorization"] == tables.description.factorization)
    on_images = tables.of_images(table)
    table = table[plain & (on_images & (table["method"] == "static") | (table["method"] == "joint"))]
    ranks = sorted(set(table["rank"]), key=rank_order)
    return _sweep(tables, table, RANK_AXIS, f"No sweep of ranks: {', '.join(ranks) or 'none'} only")


def _sizes(tables: Tables) -> pd.DataFrame:
    """CCC of the networks with the parameters left; removed components still lie in LASSO runs on images."""
    table = tables.with_costs(tables.pooled_ccc(), tables.load("costs"), ["parameters"])
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
    words = []
    for column, name in enumerate(names):
        rows, levels = table[table["dataset"] == name], _levels(table, name, axis)
        upper, lower = panels[0][column], panels[1][column]
        for target, shift in zip(TARGETS, (-0.05, 0.05), strict=True):
            style = TARGET_LOOKS[target] | {"label": TARGET_NAMES[target]}
            draw_levels(upper, rows[rows["target"] == target], axis.column, levels, shift, style)
        sizes = rows.groupby(axis.column)["parameters"].mean().reindex(levels)
        lower.plot(range(len(levels)), sizes, color="black", marker="D", markersize=4)
        words.append(f"{tables.dataset_title(name)}: {_words(rows, axis, levels, sizes)}.")
        upper.set_title(tables.panel_title(rows, len(names)))
        for axes in (upper, lower):
            axes.set_xticks(range(len(levels)), [_text(level) for level in levels])
            axes.set_xlim(-0.4, len(levels) - 0.6)
        lower.set_xlabel(axis.name)
    panels[0][0].set_ylabel("Test CCC")
    count_axis(panels[1][0].yaxis, table["parameters"], "Parameters left" if axis is LASSO_AXIS else "Parameters")
    legend(figure, [panels[0][0]])
    networks = " and ".join(tables.method_title(method) for method in sorted(set(table["method"]), key=tables.place))
    caption = (
        f"Test CCC (above) and parameters{' left' if axis is LASSO_AXIS else ''} (below) by {axis.word}; networks: "
        f"{networks}. {tables.interval_words(table)}. {tables.sample(table)}"
    )
    return Picture(figure, axis.title, caption, " ".join(words), tables.label_of(names))


def _text(level: Any) -> str:
    return level if isinstance(level, str) else f"{level:g}"


def _levels(table: pd.DataFrame, name: str, axis: _Axis) -> list[Any]:
    return sorted(set(table.loc[table["dataset"] == name, axis.column]), key=axis.order)


def _words(rows: pd.DataFrame, axis: _Axis, levels: Sequence[Any], sizes: pd.Series) -> str:
    means = rows.pivot_table(index=axis.column, columns="target", values="mean").reindex(pd.Index(levels))
    points = [
        f"{axis.word} {_text(level)}: valence {means.loc[level, 'valence']:.2f}, "
        f"arousal {means.loc[level, 'arousal']:.2f}, {short(sizes[level])} parameters"
        for level in levels
    ]
    return "; ".join(points)
