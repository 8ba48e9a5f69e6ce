"""The figure and the page about the trustworthiness of intervals and tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hocbench.evaluation.files import write_csv
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.metrics.records import METRICS
from hocbench.reporting.facts import counted
from hocbench.reporting.markdown import markdown_table
from hocbench.reporting.style import COLOURS, MARKERS, save, style, subplots
from studies.coverage.study import LEVEL, REPLICATES, coverage_table

WIDTH = 7.0
QUANTITIES = {
    "score": "Score: intervals that\nhold the true value",
    "difference": "Paired difference: intervals\nthat hold zero",
    "test": "Tests that reject\na true null hypothesis",
}
PROMISED = {"score": (0.93, 0.97), "difference": (0.93, 0.97), "test": (0.0, LEVEL)}


def write_coverage(out: Path, draws: int, seed: int, processes: int) -> pd.DataFrame:
    """Write ``coverage.csv``, ``coverage.md`` and the figure of a table from `coverage_table`, and return the table."""
    table = coverage_table(draws, seed, processes)
    with staged(out, "coverage") as folder, style():
        write_csv(table, folder / "coverage.csv")
        write_text(coverage_page(table), folder / "coverage.md")
        save(coverage_figure(table), folder / "coverage")
    return table


def coverage_figure(table: pd.DataFrame) -> Figure:
    """Draw the shares by number of clusters: rows are one seed and several, columns the quantities."""
    seeds = sorted(table["seeds"].unique())
    figure, panels = subplots(
        len(seeds), len(QUANTITIES), figsize=(WIDTH, 2.4 * len(seeds)), squeeze=False, sharex=True, layout="constrained"
    )
    for axes_row, count in zip(panels, seeds, strict=True):
        for axes, (quantity, title) in zip(axes_row, QUANTITIES.items(), strict=True):
            shares = table[(table["seeds"] == count) & (table["quantity"] == quantity)]
            if shares.empty:
                axes.set_visible(False)
                continue
            low, high = PROMISED[quantity]
            axes.axhspan(low, high, color="0.9", zorder=0)
            for k, (method, rows) in enumerate(shares.groupby("method", sort=False)):
                by_size = rows.groupby("clusters")["share"]
                line: dict[str, Any] = {"color": COLOURS[k], "marker": MARKERS[k], "markersize": 4, "linewidth": 1.2}
                axes.plot(by_size.mean().index, by_size.mean(), label=str(method), **line)
                axes.fill_between(by_size.mean().index, by_size.min(), by_size.max(), color=COLOURS[k], alpha=0.15)
            axes.set_xscale("log")
            sizes = sorted(table["clusters"].unique())
            axes.set_xticks(sizes, [str(size) for size in sizes])
            axes.set_xticks([], minor=True)
            axes.set_ylim((0.8, 1.0) if quantity != "test" else (0.0, 0.15))
            axes.tick_params(labelbottom=True)
            axes.legend(fontsize=6, loc="lower right" if quantity != "test" else "upper right")
            if axes_row is panels[0]:
                axes.set_title(title)
            axes.set_xlabel("Clusters")
        axes_row[0].set_ylabel(f"{counted(int(count), 'seed')},\nshare of test sets")
    return figure


def coverage_page(table: pd.DataFrame) -> str:
    """Write the shares in Markdown, a row per size, seeds, quantity and method."""
    draws = int(table["draws"].max())
    caption = (
        f"Simulated test sets, {draws:,} of each size, whose true scores are known: subjects with levels and biases of "
        "their own, one clip of 20 to 60 frames each, labels and errors autocorrelated (0.9 from a frame to the next). "
        f"{REPLICATES:,} replicates. Several seeds differ in gain and bias, and the truth is the "
        "mean over all possible seeds; percentile and BCa intervals do not know of that. The error of a share of 0.95 "
        f"is {np.sqrt(0.95 * 0.05 / draws):.3f}. Promised from 40 clusters on: 0.93 to 0.97 for studentised intervals, "
        f"which all tables have, and at most {LEVEL} for tests."
    )
    lines = []
    for (seeds, clusters, quantity, method), rows in table.groupby(
        ["seeds", "clusters", "quantity", "method"], sort=False
    ):
        shares = rows.set_index("metric")["share"]
        cells = [f"{shares[metric.id]:.3f}" for metric in METRICS["affect"]]
        lines.append([str(seeds), str(clusters), str(quantity), str(method), *cells])
    header = ["seeds", "clusters", "quantity", "method", *(metric.title for metric in METRICS["affect"])]
    return "\n\n".join(["# Do intervals and tests keep what they say?", caption, markdown_table(header, lines)]) + "\n"
