"""Scores along a sweep: of LASSO weights, of ranks, of the number of training clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hocbench.reporting.figures.parts import (
    CLIPS,
    JOINT,
    WIDTH,
    Picture,
    count_axis,
    datasets_of,
    default_rank,
    interval_words,
    label_of,
    legend,
    load,
    nothing,
    panel_title,
    pooled_ccc,
    rank_order,
    row_name,
    sample,
    short,
    with_parameters,
)
from hocbench.reporting.names import DATASET_NAMES
from hocbench.reporting.style import COLOURS, TARGET_NAMES, data_label, look, place, subplots
from hocbench.runs.finished import TARGETS

STATIC, LASSO = "CP 2-D, static", "CP 2-D, LASSO"
SERIES = ["dataset", "method", "rank", "lasso", "how"]
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


def lasso_path(evaluation: Path) -> Picture:
    """Draw test CCC and the parameters left at each LASSO weight, a column per dataset."""
    table = _sizes(evaluation)
    table = table[table["rank"] == default_rank(evaluation)]
    on_images = (table["dataset"] == "affectnet") & table["method"].isin([STATIC, LASSO])
    table = table[on_images | ((table["dataset"] != "affectnet") & (table["method"] == JOINT))]
    return _sweep(evaluation, table, LASSO_AXIS, "No sweep of LASSO weights")


def rank_sweep(evaluation: Path) -> Picture:
    """Draw test CCC and the parameters at each rank, a column per dataset."""
    table = _sizes(evaluation)
    table = table[(table["lasso"] == 0) & table["method"].isin([STATIC, JOINT]) & (table["rank"] != "")]
    table = table[(table["dataset"] == "affectnet") | (table["method"] == JOINT)]
    ranks = sorted(set(table["rank"]), key=rank_order)
    return _sweep(evaluation, table, RANK_AXIS, f"No sweep of ranks: {', '.join(ranks) or 'none'} only")


def clips(evaluation: Path) -> Picture:
    """Draw test CCC against the number of training clips, a panel per target."""
    title = "Score against the number of training clips"
    table = _by_clips(pooled_ccc(evaluation))
    if table.empty:
        return nothing("No network was trained on fewer clips", evaluation, title)
    levels = sorted(set(table["level"]), key=lambda level: float("inf") if level == "all" else float(level))
    figure, panels = subplots(1, 2, figsize=(WIDTH, 3.0), sharey=True, layout="constrained")
    words = []
    series = sorted(table.groupby(SERIES), key=lambda item: (item[0][0], place(str(item[0][1])), item[0]))
    for axes, target in zip(panels, TARGETS, strict=True):
        for k, (_, rows) in enumerate(series):
            mine = rows[rows["target"] == target]
            name = _series_name(mine.iloc[0], table)
            fill = "none" if mine["how"].iloc[0] else "full"
            style = look(str(mine["method"].iloc[0])) | {"label": name, "fillstyle": fill}
            _line(axes, mine, "level", levels, 0.08 * (k - (len(series) - 1) / 2), style)
            means = mine.set_index("level")["mean"].reindex(pd.Index(levels)).dropna()
            points = ", ".join(f"{value:.2f} at {level}" for level, value in means.items())
            words.append(f"{TARGET_NAMES[target]}, {name}: {points} clips.")
        axes.set_title(TARGET_NAMES[target])
        axes.set_xticks(range(len(levels)), levels)
        axes.set_xlabel("Training clips")
    panels[0].set_ylabel("Test CCC")
    legend(figure, [panels[0]])
    label = label_of(evaluation, set(table["dataset"]))
    names = " and ".join(DATASET_NAMES[name] for name in datasets_of(table))
    figure.suptitle(f"{names}, {data_label(label)}; bars: 95 % intervals", fontsize=9)
    longer = " Hollow markers: fewer clips were seen in more epochs, as named." if table["how"].any() else ""
    caption = (
        f"Test CCC by the number of clips trained on; “all” is the whole training part.{longer} "
        f"{interval_words(table)}. {sample(evaluation, table)}"
    )
    return Picture(figure, title, caption, " ".join(words), label)


def _by_clips(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks that were trained on fewer clips, and of the same on all, with columns `level` and `how`."""
    fewer = table[table["variant"].str.startswith(CLIPS)]
    # A variant may change more than the clips, joined by "+": such rows make a series of their own.
    parts = fewer["variant"].str.split("+", n=1)
    changes = parts.str[1].fillna("").str.split("-").str[0]
    fewer = fewer.assign(level=parts.str[0].str.removeprefix(CLIPS), how=changes)
    whole = table[table["variant"] == ""].merge(fewer[SERIES].drop_duplicates(), on=SERIES[:-1])
    return pd.concat([fewer, whole.assign(level="all")], ignore_index=True)


def _series_name(row: Any, table: pd.DataFrame) -> str:
    name = row_name(dict(row) | {"variant": ""}, table.loc[table["rank"] != "", "rank"].nunique() > 1)
    dataset = f"{DATASET_NAMES[row['dataset']]}: " if table["dataset"].nunique() > 1 else ""
    return dataset + name + (f", more {row['how']}" if row["how"] else "")


def _sizes(evaluation: Path) -> pd.DataFrame:
    """CCC of the default networks with the parameters left; removed components still lie in LASSO runs on images."""
    table = with_parameters(pooled_ccc(evaluation), load(evaluation, "costs"), ["parameters"])
    table = table[table["variant"] == ""]
    removed = load(evaluation, "sparsity").query("variant == ''")
    keys = ["dataset", "rank", "lasso"]
    removed = removed.groupby([*keys, "seed"])["removed"].sum().groupby(keys).mean().reset_index()
    table = table.merge(removed, on=keys, how="left")
    left = table["parameters"] - table["removed"].where(table["method"] == LASSO, 0).fillna(0)
    return table.assign(parameters=left)


def _sweep(evaluation: Path, table: pd.DataFrame, axis: _Axis, absent: str) -> Picture:
    names = [name for name in datasets_of(table) if _levels(table, name, axis)[1:]]
    if not names:
        return nothing(absent, evaluation, axis.title)
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
            _line(upper, rows[rows["target"] == target], axis.column, levels, shift, style)
        sizes = rows.groupby(axis.column)["parameters"].mean().reindex(levels)
        lower.plot(range(len(levels)), sizes, color="black", marker="D", markersize=4)
        words.append(_words(name, rows, axis, levels, sizes))
        upper.set_title(panel_title(rows, len(names)))
        for axes in (upper, lower):
            axes.set_xticks(range(len(levels)), [_text(level) for level in levels])
            axes.set_xlim(-0.4, len(levels) - 0.6)
        lower.set_xlabel(axis.name)
    panels[0][0].set_ylabel("Test CCC")
    count_axis(panels[1][0].yaxis, table["parameters"], "Parameters left" if axis is LASSO_AXIS else "Parameters")
    legend(figure, [panels[0][0]])
    networks = " and ".join(sorted(set(table["method"]), key=place))
    caption = (
        f"Test CCC (above) and parameters{' left' if axis is LASSO_AXIS else ''} (below) by {axis.word}; networks: "
        f"{networks}. {interval_words(table)}. {sample(evaluation, table)}"
    )
    return Picture(figure, axis.title, caption, " ".join(words), label_of(evaluation, names))


def _text(level: Any) -> str:
    return level if isinstance(level, str) else f"{level:g}"


def _levels(table: pd.DataFrame, name: str, axis: _Axis) -> list[Any]:
    return sorted(set(table.loc[table["dataset"] == name, axis.column]), key=axis.order)


def _line(
    axes: Axes, rows: pd.DataFrame, column: str, levels: Sequence[Any], shift: float, style: dict[str, Any]
) -> None:
    """Draw means with intervals at the places of their levels; a line goes past levels that are not there."""
    rows = rows.set_index(column)
    there = [level for level in levels if level in rows.index]
    rows, places = rows.loc[there], np.array([levels.index(level) for level in there]) + shift
    axes.vlines(places, rows["low"], rows["high"], color=style["color"], linewidth=1.2)
    axes.plot(places, rows["mean"], markersize=4.5, **style)


def _words(name: str, rows: pd.DataFrame, axis: _Axis, levels: Sequence[Any], sizes: pd.Series) -> str:
    means = rows.pivot_table(index=axis.column, columns="target", values="mean").reindex(pd.Index(levels))
    points = [
        f"{axis.word} {_text(level)}: valence {means.loc[level, 'valence']:.2f}, "
        f"arousal {means.loc[level, 'arousal']:.2f}, {short(sizes[level])} parameters"
        for level in levels
    ]
    return f"{DATASET_NAMES[name]}: {'; '.join(points)}."
