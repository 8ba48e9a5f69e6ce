"""Scores against the number of training clips."""

import pandas as pd

from hocbench.reporting.figures.parts import FEWER, WIDTH, Picture, draw_levels, legend, nothing
from hocbench.reporting.figures.tables import Tables, several_ranks
from hocbench.reporting.style import data_label, subplots

TITLE = "Score against the number of training clips"
SERIES = ["dataset", "method", "factorization", "rank", "lasso", "how"]


def draw(tables: Tables) -> Picture:
    """Draw primary test scores against the number of training clips, a panel per target."""
    table = _by_clips(tables.primary_scores())
    if table.empty:
        return nothing("No network was trained on fewer clips", tables, TITLE)
    levels = sorted(set(table["level"]), key=lambda level: float("inf") if level == "all" else float(level))
    targets, metric = tables.targets_of(table), tables.metric_words(table)
    size = (WIDTH, 3.0)
    figure, grid = subplots(1, len(targets), figsize=size, sharey=True, squeeze=False, layout="constrained")
    panels = grid[0]
    words = []
    several, names = several_ranks(table), tables.datasets_of(table)
    table = table.assign(number=table["dataset"].map(names.index), place=table["method"].map(tables.place))
    series = [rows for _, rows in table.groupby(["number", "place", *SERIES])]
    for axes, target in zip(panels, targets, strict=True):
        for k, rows in enumerate(series):
            mine = rows[rows["target"] == target]
            if mine.empty:
                continue
            first = mine.iloc[0]
            name = f"{tables.dataset_title(first['dataset'])}: " if len(names) > 1 else ""
            name += tables.name(first, several, ablated=False) + (f", more {first['how']}" if first["how"] else "")
            style = tables.look(first["method"]) | {"label": name, "fillstyle": "none" if first["how"] else "full"}
            draw_levels(axes, mine, "level", levels, 0.08 * (k - (len(series) - 1) / 2), style)
            means = mine.set_index("level")["mean"].reindex(pd.Index(levels)).dropna()
            points = ", ".join(f"{value:.2f} at {level}" for level, value in means.items())
            words.append(f"{target.capitalize()}, {name}: {points} clips.")
        axes.set_title(target.capitalize())
        axes.set_xticks(range(len(levels)), levels)
        axes.set_xlabel("Training clips")
    panels[0].set_ylabel(f"Test {metric}")
    legend(figure, panels)
    label, titles = tables.label_of(names), " and ".join(map(tables.dataset_title, names))
    figure.suptitle(f"{titles}, {data_label(label)}; bars: 95 % intervals", fontsize=9)
    longer = " Hollow markers: fewer clips were seen in more epochs, as named." if table["how"].any() else ""
    caption = (
        f"Test {metric} by the number of clips trained on; “all” is the whole training part.{longer} "
        f"{tables.interval_words(table)}. {tables.sample(table)}"
    )
    return Picture(figure, TITLE, caption, " ".join(words), label)


def _by_clips(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of networks that were trained on fewer clips, and of the same on all, with columns `level` and `how`."""
    fewer = table[table["ablation"].str.startswith(FEWER)]
    # An ablation may change more than the clips, joined by "+": such rows make a series of their own.
    parts = fewer["ablation"].str.split("+", n=1)
    changes = parts.str[1].fillna("").str.split("-").str[0]
    fewer = fewer.assign(level=parts.str[0].str.removeprefix(FEWER), how=changes)
    whole = table[table["ablation"] == ""].merge(fewer[SERIES].drop_duplicates(), on=SERIES[:-1])
    return pd.concat([fewer, whole.assign(level="all")], ignore_index=True)
