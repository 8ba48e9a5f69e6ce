"""A row per network or comparison, grouped by dataset: paired differences, errors by quadrant."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from hocbench.reporting.figures.parts import (
    WIDTH,
    Picture,
    datasets_of,
    default_rank,
    family,
    interval_words,
    label_of,
    legend,
    load,
    nothing,
    plain,
    row_name,
    sample,
    spread,
)
from hocbench.reporting.names import DATASET_NAMES
from hocbench.reporting.style import COLOURS, MARKERS, TARGET_NAMES, data_label, place, subplots
from hocbench.runs.finished import TARGETS

FOREST, QUADRANTS = "Paired differences of CCC", "Error by quadrant of the labels"
LEVEL = 0.05  # of significance
LONGEST = 60  # rows that fit a page
ORDER = ("V+ A+", "V- A+", "V- A-", "V+ A-")


def forest(evaluation: Path) -> Picture:
    """Draw all paired differences of CCC with intervals, grouped by dataset and reference."""
    table = load(evaluation, "differences")
    table = table[table["metric"] == "ccc"]
    if "reference_variant" not in table:
        table = table.assign(reference_variant="")
    whole = table
    if len(table) > LONGEST * len(TARGETS):
        table = table[(table["variant"] == "") & table["rank"].isin(["", default_rank(evaluation)])]
    names = datasets_of(table)
    if not names:
        return nothing("No pair of methods to compare", evaluation, FOREST)
    groups, several = [], table.loc[table["rank"] != "", "rank"].nunique() > 1
    for name in names:
        own = table[table["dataset"] == name]
        references = sorted(
            set(zip(own["reference"], own["reference_variant"], strict=True)), key=lambda k: place(k[0])
        )
        for reference, variant in references:
            rows = own[(own["reference"] == reference) & (own["reference_variant"] == variant)]
            heading = f"{DATASET_NAMES[name]}, {data_label(str(rows['label'].iloc[0]))}; against {reference}"
            groups.append((heading + (f", {variant}" if variant else ""), _networks(rows)))
    figure, panels = _rows([(heading, [row_name(rows.iloc[0], several) for rows in own]) for heading, own in groups])
    y = 0
    for _, networks in groups:
        for number, rows in enumerate(networks):
            for axes, target in zip(panels, TARGETS, strict=True):
                _difference(axes, rows[rows["target"] == target].iloc[0], y + 1 + number)
        y += 1 + len(networks)
    for axes, target in zip(panels, TARGETS, strict=True):
        axes.axvline(0, color="black", linewidth=1, zorder=1)
        axes.set_xlabel(f"Difference of CCC, {target}", fontsize=8)
    for name, fill in (("Holm-adjusted p < 0.05", "black"), ("not significant", "white")):
        panels[0].plot([], [], "o", color=fill, markeredgecolor="black", markersize=4.5, label=name)
    legend(figure, [panels[0]])
    significant = table["p_holm"] < LEVEL
    caption = (
        "Paired differences of test CCC, method minus reference, on the same frames and seeds; right of zero the "
        f"method is better. Filled: p < {LEVEL:g} after Holm's correction within dataset and metric. "
        f"{_left_out(whole, table)}{interval_words(table)}. {sample(evaluation, table)}"
    )
    return Picture(figure, FOREST, caption, _forest_words(table, names, significant), label_of(evaluation, names))


def quadrants(evaluation: Path) -> Picture:
    """Draw the RMSE in each quadrant of the labels, a row per method, grouped by dataset."""
    table = plain(evaluation, "quadrants")
    names = datasets_of(table)
    if not names:
        return nothing("No scored frame", evaluation, QUADRANTS)
    groups = []
    for name in names:
        rows = table[table["dataset"] == name]
        frames = rows.groupby("quadrant")["n_frames"].max()
        counts = ", ".join(f"{_sign(quadrant)} {frames.get(quadrant, 0)}" for quadrant in ORDER)
        what = "images" if name == "affectnet" else "frames"
        heading = f"{DATASET_NAMES[name]}, {data_label(str(rows['label'].iloc[0]))}; {what}: {counts}"
        groups.append((heading, _networks(rows)))
    figure, panels = _rows([(heading, [row_name(rows.iloc[0], False) for rows in own]) for heading, own in groups])
    y = 0
    for _, networks in groups:
        for number, rows in enumerate(networks):
            for axes, target in zip(panels, TARGETS, strict=True):
                _errors(axes, rows, f"rmse_{target}", y + 1 + number)
        y += 1 + len(networks)
    for axes, target in zip(panels, TARGETS, strict=True):
        axes.set_xlabel(f"RMSE, {target}", fontsize=8)
        axes.set_xlim(left=0)
    for k, quadrant in enumerate(ORDER):
        panels[0].plot([], [], MARKERS[k], color=COLOURS[k], markersize=4, label=_sign(quadrant))
    legend(figure, [panels[0]])
    caption = (
        "Root mean squared error on the test part by quadrant of the labels (V valence, A arousal, + or − their sign), "
        "frames pooled; markers are means over seeds, lines reach from the smallest to the largest seed. "
        + sample(evaluation, table)
    )
    return Picture(figure, QUADRANTS, caption, _quadrant_words(table, names), label_of(evaluation, names))


def _networks(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """Split rows by network, in the order of methods."""
    found = [own for _, own in rows.groupby(["method", "rank", "lasso", "variant"])]
    return sorted(found, key=lambda own: (place(own["method"].iloc[0]), own["lasso"].iloc[0]))


def _rows(groups: Sequence[tuple[str, list[str]]]) -> tuple[Any, Any]:
    """Lay out two panels, one per target, with names of rows under headings."""
    count = sum(1 + len(names) for _, names in groups)
    figure, panels = subplots(1, 2, figsize=(WIDTH, 1.0 + 0.165 * count), sharey=True, layout="constrained")
    ticks: list[int] = []
    labels: list[str] = []
    y = 0
    for heading, names in groups:
        for axes in panels:
            axes.axhspan(y - 0.5, y + 0.5, color="0.93", linewidth=0, zorder=0)
        _heading(panels[0], heading, y)
        ticks += range(y + 1, y + 1 + len(names))
        labels += names
        y += 1 + len(names)
    panels[0].set_yticks(ticks, labels, fontsize=6.5)
    panels[0].set_ylim(y - 0.5, -0.6)
    for axes in panels:
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(axis="y", visible=False)
    return figure, panels


def _heading(axes: Axes, text: str, y: int) -> None:
    """Write a heading from the left edge of the page on; it takes no room from the panels."""
    where = blended_transform_factory(axes.figure.transFigure, axes.transData)
    box = {"facecolor": "0.93", "edgecolor": "none", "pad": 1.0}
    written = axes.text(0.01, y, text, fontsize=6.3, fontweight="bold", va="center", transform=where, bbox=box)
    written.set_in_layout(False)
    written.set_zorder(5)


def _difference(axes: Axes, row: Any, y: int) -> None:
    number, marker = family(row["method"])
    colour = COLOURS[number]
    axes.hlines(y, row["low"], row["high"], color=colour, linewidth=1.1, zorder=2)
    fill = colour if row["p_holm"] < LEVEL else "white"
    axes.plot(row["difference"], y, marker, color=fill, markeredgecolor=colour, markersize=4.5, zorder=3)


def _errors(axes: Axes, rows: pd.DataFrame, column: str, y: int) -> None:
    for k, quadrant in enumerate(ORDER):
        values = rows.loc[rows["quadrant"] == quadrant, column]
        if len(values):
            axes.hlines(y, values.min(), values.max(), color=COLOURS[k], linewidth=1, zorder=2)
            axes.plot(values.mean(), y, MARKERS[k], color=COLOURS[k], markersize=4, zorder=3)


def _left_out(whole: pd.DataFrame, shown: pd.DataFrame) -> str:
    left_out = (len(whole) - len(shown)) // len(TARGETS)
    if not left_out:
        return ""
    return (
        f"{left_out} of {len(whole) // len(TARGETS)} pairs, of other ranks and variants, are in differences.csv only. "
    )


def _sign(quadrant: str) -> str:
    return quadrant.replace("-", "−")


def _forest_words(table: pd.DataFrame, names: Sequence[str], significant: "pd.Series[bool]") -> str:
    words = []
    for name in names:
        for target in TARGETS:
            own = table[(table["dataset"] == name) & (table["target"] == target)]
            better = int((significant & (own["difference"] > 0)).sum())
            worse = int((significant & (own["difference"] < 0)).sum())
            words.append(
                f"{DATASET_NAMES[name]}, {TARGET_NAMES[target].lower()}: {len(own)} differences from "
                f"{spread(own['difference'], '+.2f')}, {better} significantly above zero, {worse} below."
            )
    return " ".join(words)


def _quadrant_words(table: pd.DataFrame, names: Sequence[str]) -> str:
    words = []
    for name in names:
        means = table[table["dataset"] == name].groupby("quadrant")[["rmse_valence", "rmse_arousal"]].mean()
        found = {quadrant: tuple(means.loc[quadrant]) for quadrant in ORDER if quadrant in means.index}
        points = [
            f"{_sign(quadrant)} valence {valence:.2f}, arousal {arousal:.2f}"
            for quadrant, (valence, arousal) in found.items()
        ]
        words.append(f"{DATASET_NAMES[name]}, mean RMSE of all methods: {'; '.join(points)}.")
    return " ".join(words)
