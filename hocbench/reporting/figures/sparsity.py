"""Components removed by LASSO, per residual block."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hocbench.reporting.figures.parts import HATCHES, WIDTH, Picture, legend, nothing, t_interval
from hocbench.reporting.figures.tables import Tables, several_ranks
from hocbench.reporting.style import COLOURS, data_label, subplots

TITLE = "Components removed by LASSO per residual block"


def draw(tables: Tables) -> Picture:
    """Draw the share of zero λ per residual block and LASSO weight, with t intervals over seeds; dots are seeds."""
    table = tables.load("sparsity")
    table = table[table["lasso"] > 0]
    if table.empty:
        return nothing("No run with LASSO", tables, TITLE)
    figure, axes = subplots(figsize=(WIDTH, 2.9), layout="constrained")
    blocks = sorted(table["block"].unique(), key=lambda block: (block != "stem", block))
    series = list(table.sort_values(["rank", "lasso"]).groupby(["rank", "lasso"]))
    several = several_ranks(table)
    width, top = 0.8 / len(series), 100 * table["zero_share"].max()
    for k, ((rank, lasso), rows) in enumerate(series):
        places = [i + (k - (len(series) - 1) / 2) * width for i in range(len(blocks))]
        shares = [100 * rows.loc[rows["block"] == block, "zero_share"] for block in blocks]
        axes.bar(
            places,
            [share.mean() for share in shares],
            0.92 * width,
            color=COLOURS[k % 7],
            hatch=HATCHES[k % 4],
            edgecolor="white",
            label=f"LASSO {lasso:g}" + (f", rank {rank}" if several else ""),
        )
        # A share cannot leave 0 to 100 %, though the t distribution of two seeds would have it so.
        limits = np.clip([t_interval(list(share)) for share in shares], 0, 100)
        top = np.nanmax([top, *limits[:, 1]])
        axes.vlines(places, limits[:, 0], limits[:, 1], color="black", linewidth=1, zorder=3)
        dots: dict[str, Any] = {
            "color": "white",
            "markeredgecolor": "black",
            "markersize": 3,
            "clip_on": False,
            "zorder": 4,
        }
        for middle, share in zip(places, shares, strict=True):
            axes.plot([middle] * len(share), share, "o", **dots)
    axes.set_xticks(range(len(blocks)), blocks)
    axes.set_xlabel("Residual block")
    axes.set_ylabel("Zero components, %")
    axes.set_ylim(0, max(5.0, 1.05 * top))
    axes.grid(axis="x", visible=False)
    label = str(table["label"].iloc[0])
    seeds = table["seed"].nunique()
    bars = "; lines: 95 % t intervals" if seeds > 1 else ""
    axes.set_title(f"Components removed by LASSO, {data_label(label)}; dots: seeds{bars}")
    legend(figure, [axes])
    caption = (
        "Share of CP components whose weight λ is exactly zero after LASSO on the network for images, by residual "
        f"block. Bars are means over seeds, dots are seeds; {_interval(seeds)}. {tables.sample(table)}"
    )
    alt = f"Bars for {len(blocks)} blocks from {blocks[0]} to {blocks[-1]}. " + _words(series, several)
    return Picture(figure, TITLE, caption, alt, label)


def _interval(seeds: int) -> str:
    if seeds < 2:
        return "with one seed there is no interval"
    return f"lines are 95 % t intervals over {seeds} seeds, cut off at 0 and 100 %"


def _words(series: Sequence[tuple[Any, pd.DataFrame]], several: bool) -> str:
    """Say for each LASSO weight how much is zero, in all and in the extreme blocks."""
    texts = []
    for (rank, lasso), rows in series:
        shares = 100 * rows.groupby("block")["zero_share"].mean()
        whole = 100 * rows["zeros"].sum() / rows["components"].sum()
        texts.append(
            f"LASSO {lasso:g}{f', rank {rank}' if several else ''}: {whole:.0f} % of all components are zero, least in "
            f"{shares.idxmin()} ({shares.min():.0f} %), most in {shares.idxmax()} ({shares.max():.0f} %)."
        )
    return " ".join(texts)
