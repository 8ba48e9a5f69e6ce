"""Paired differences of the primary metrics, a row per comparison, grouped by dataset and reference."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from hocbench.evaluation.differences import PAIR_COLUMNS
from hocbench.reporting.figures.parts import Picture, legend, nothing, spread
from hocbench.reporting.figures.row_panels import row_panels, split_by_network
from hocbench.reporting.figures.tables import Tables, several_ranks
from hocbench.reporting.style import COLOURS

LEVEL = 0.05  # of significance
LONGEST = 60  # rows that fit a page


def draw(tables: Tables) -> Picture:
    """Draw all paired differences of the primary metrics with intervals, grouped by dataset and reference."""
    whole = table = tables.primary(tables.load("differences"))
    if _pairs(table) > LONGEST:
        table = tables.main(table)
    names = tables.datasets_of(table)
    targets, metric = tables.targets_of(table), tables.metric_words(table)
    title = f"Paired differences of {metric or 'scores'}"
    if not names:
        return nothing("No pair of methods to compare", tables, title)
    groups, several = _groups(tables, table), several_ranks(table)
    figure, panels = row_panels(
        [(heading, [tables.name(rows.iloc[0], several) for rows in own]) for heading, own in groups], len(targets)
    )
    y = 0
    for _, networks in groups:
        for number, rows in enumerate(networks):
            look = tables.family(rows["method"].iloc[0])
            for axes, target in zip(panels, targets, strict=True):
                for _, row in rows[rows["target"] == target].iterrows():
                    _difference(axes, row, y + 1 + number, look)
        y += 1 + len(networks)
    for axes, (target, name) in zip(panels, targets.items(), strict=True):
        axes.axvline(0, color="black", linewidth=1, zorder=1)
        axes.set_xlabel(f"Difference of {name}, {target}", fontsize=8)
    for name, fill in (("Holm-adjusted p < 0.05", "black"), ("not significant", "white")):
        panels[0].plot([], [], "o", color=fill, markeredgecolor="black", markersize=4.5, label=name)
    legend(figure, [panels[0]])
    significant = table["p_holm"] < LEVEL
    caption = (
        f"Paired differences of test {metric}, method minus reference, on the same frames and seeds; right of zero the "
        f"method is better. Filled: p < {LEVEL:g} after Holm's correction within dataset and metric. "
        f"{_left_out(whole, table)}{tables.interval_words(table)}. {tables.sample(table)}"
    )
    return Picture(figure, title, caption, _words(tables, table, significant), tables.label_of(names))


def _groups(tables: Tables, table: pd.DataFrame) -> list[tuple[str, list[pd.DataFrame]]]:
    """Split the differences by dataset and reference, with a heading for each."""
    groups = []
    for name in tables.datasets_of(table):
        own = table[table["dataset"] == name]
        # A reference is of the factorization of its row, or of the main one.
        factorizations = own["factorization"].replace("", tables.description.factorization)
        references = [*zip(own["reference"], factorizations, own["reference_ablation"], strict=True)]
        titles = [
            tables.description.methods[method].named(factorization) + (f", {ablation}" if ablation else "")
            for method, factorization, ablation in references
        ]
        places = {title: tables.place(method) for title, (method, *_) in zip(titles, references, strict=True)}
        for title in sorted(places, key=lambda title: (places[title], title)):
            rows = own[[other == title for other in titles]]
            groups.append((f"{tables.heading(rows)}; against {title}", split_by_network(tables, rows)))
    return groups


def _difference(axes: Axes, row: Any, y: int, look: tuple[int, str]) -> None:
    colour, marker = COLOURS[look[0]], look[1]
    axes.hlines(y, row["low"], row["high"], color=colour, linewidth=1.1, zorder=2)
    fill = colour if row["p_holm"] < LEVEL else "white"
    axes.plot(row["difference"], y, marker, color=fill, markeredgecolor=colour, markersize=4.5, zorder=3)


def _left_out(whole: pd.DataFrame, shown: pd.DataFrame) -> str:
    left_out = _pairs(whole) - _pairs(shown)
    if not left_out:
        return ""
    return f"{left_out} of {_pairs(whole)} pairs, of other ranks and ablations, are in differences.csv only. "


def _pairs(table: pd.DataFrame) -> int:
    return len(table.drop_duplicates(PAIR_COLUMNS))


def _words(tables: Tables, table: pd.DataFrame, significant: "pd.Series[bool]") -> str:
    words = []
    for name in tables.datasets_of(table):
        for target in tables.description.datasets[name].task.targets:
            own = table[(table["dataset"] == name) & (table["target"] == target)]
            better = int((significant & (own["difference"] > 0)).sum())
            worse = int((significant & (own["difference"] < 0)).sum())
            words.append(
                f"{tables.dataset_title(name)}, {target}: {len(own)} differences from "
                f"{spread(own['difference'], '+.2f')}, {better} significantly above zero, {worse} below."
            )
    return " ".join(words)
