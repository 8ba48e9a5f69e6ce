"""Parameters and test scores of networks, a row each."""

import pandas as pd

from hocbench.reporting.figures.parts import WIDTH, Picture, count_axis, nothing, short, spread
from hocbench.reporting.figures.scores_on import NETWORK, no_score, scores_on
from hocbench.reporting.figures.tables import Tables, several_ranks
from hocbench.reporting.style import COLOURS, data_label, subplots

TITLE = "Score and parameters"


def draw(tables: Tables) -> Picture:
    """Draw parameters and primary scores with intervals of each method on clips, a row each, the smallest on top."""
    dataset = tables.clips_shown
    table = scores_on(tables, dataset, tables.load("costs"), ["parameters"])
    if dataset is None or table.empty:
        return nothing(no_score(dataset), tables, TITLE)
    table = table.sort_values("parameters", kind="stable")
    rows = [rows for _, rows in table.groupby(NETWORK, sort=False)]
    targets, metric = tables.targets_of(table), tables.metric_words(table)
    size, widths = (WIDTH, 1.3 + 0.19 * len(rows)), (2, *[3] * len(targets))
    figure, panels = subplots(1, len(widths), figsize=size, sharey=True, width_ratios=widths, layout="constrained")
    for y, mine in enumerate(rows):
        number, marker = tables.family(mine["method"].iloc[0])
        colour = COLOURS[number]
        panels[0].plot(mine["parameters"].iloc[0], y, marker, color=colour, markersize=5)
        for axes, target in zip(panels[1:], targets, strict=True):
            score = mine[mine["target"] == target].iloc[0]
            axes.plot([score["low"], score["high"]], [y, y], "|-", color=colour, linewidth=1.2, markersize=5)
            axes.plot(score["mean"], y, marker, color=colour, markersize=5)
    several = several_ranks(table)
    panels[0].set_yticks(range(len(rows)), [tables.name(mine.iloc[0], several) for mine in rows], fontsize=8)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    count_axis(panels[0].xaxis, table["parameters"], "Parameters")
    for axes, target in zip(panels[1:], targets, strict=True):
        axes.set_xlabel(f"Test {metric}, {target}")
    label = tables.label_of([dataset.name])
    figure.suptitle(f"{dataset.title}, {data_label(label)}; bars: 95 % intervals", fontsize=9)
    caption = (
        f"Parameters as trained, and test {metric} of each method on {dataset.title}. "
        f"{tables.interval_words(table)}. {tables.sample(table)}"
    )
    return Picture(figure, TITLE, caption, _ranking(tables, table, several), label)


def _ranking(tables: Tables, table: pd.DataFrame, several: bool) -> str:
    """Say what is best and how wide scores and sizes range."""
    words = [f"{table['method'].nunique()} methods with {short(table['parameters'].min())} to "]
    words[0] += f"{short(table['parameters'].max())} parameters."
    for target, metric in tables.targets_of(table).items():
        mine = table[table["target"] == target]
        best = mine.sort_values("mean").iloc[-1]
        words.append(
            f"{target.capitalize()}: {metric} from {spread(mine['mean'])}, best {tables.name(best, several)} "
            f"({best['low']:.2f} to {best['high']:.2f})."
        )
    return " ".join(words)
