"""The figures: sparsity per residual block, learning curves, score against parameters, timelines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hocbench.errors import EvaluationError
from hocbench.evaluation import TARGETS, read_table
from hocbench.evaluation.files import check_table
from hocbench.reporting.style import COLOURS, DASHES, TARGET_NAMES, data_label, look, place, save, use_style

DATASET_NAMES = {"affectnet": "AffectNet", "sewa": "SEWA", "afew_va": "AFEW-VA"}
WIDTH = 7.0  # inches, that of a printed page between its margins
HATCHES, FILLS = ("", "//", "..", "xx"), ("full", "none", "left", "bottom")
# By the first words of a method: colour and marker of its dots beside its name.
FAMILIES = {"CP 2-D": (COLOURS[0], "o"), "CP 3-D": (COLOURS[2], "^"), "dense": (COLOURS[1], "s")}


def draw_figure(name: str, evaluation: Path, stem: Path) -> None:
    """Draw one figure.

    Parameters
    ----------
    name : str
        One of `FIGURES`.
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    stem : Path
        Where ``.pdf`` and ``.png`` go.

    Raises
    ------
    EvaluationError
        If there is no such figure or its table is missing.
    """
    if name not in FIGURES:
        raise EvaluationError(f"no figure {name!r}; choose from {', '.join(FIGURES)}")
    use_style()
    save(FIGURES[name](evaluation), stem)


def sparsity(evaluation: Path) -> Figure:
    """Draw the share of zero λ per residual block and LASSO weight; dots are seeds."""
    table = read_table(evaluation / "sparsity.csv")
    table = table[table["lasso"] > 0]
    if table.empty:
        return _nothing(f"No run with LASSO, {data_label(_label(evaluation, 'affectnet'))}")
    figure, axes = plt.subplots(figsize=(WIDTH, 2.9), layout="constrained")
    blocks = sorted(table["block"].unique(), key=lambda block: (block != "stem", block))
    series = list(table.sort_values(["rank", "lasso"]).groupby(["rank", "lasso"]))
    several = table["rank"].nunique() > 1
    width = 0.8 / len(series)
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
        for middle, share in zip(places, shares, strict=True):
            axes.plot([middle] * len(share), share, "o", color="black", markersize=2.5, clip_on=False, zorder=3)
    axes.set_xticks(range(len(blocks)), blocks)
    axes.set_xlabel("Residual block")
    axes.set_ylabel("Zero components, %")
    axes.set_ylim(0, max(5.0, 105 * table["zero_share"].max()))
    axes.grid(axis="x", visible=False)
    axes.set_title(f"Components removed by LASSO, {data_label(str(table['label'].iloc[0]))}; dots are seeds")
    _legend(figure, [axes])
    return figure


def learning_curves(evaluation: Path) -> Figure:
    """Draw validation CCC (mean of both targets) by epoch, a panel per dataset; mean over seeds and folds."""
    table = read_table(evaluation / "history.csv")
    table["ccc"] = (table["validation_ccc_valence"] + table["validation_ccc_arousal"]) / 2
    epochs = table.groupby(["dataset", "run"])["epoch"].transform("max")
    table = table[(epochs > 0) & (table["lasso"] == 0)]
    names = [name for name in DATASET_NAMES if name in set(table["dataset"])]
    if not names:
        return _nothing(f"No network was trained, {data_label(_label(evaluation, 'affectnet'))}")
    figure, panels = plt.subplots(1, len(names), figsize=(WIDTH, 3.3), sharey=True, squeeze=False, layout="constrained")
    ranks = sorted(set(table["rank"]) - {""})
    for axes, name in zip(panels[0], names, strict=True):
        rows = table[table["dataset"] == name]
        for method, rank in sorted(set(zip(rows["method"], rows["rank"], strict=True)), key=lambda key: place(key[0])):
            curve = rows[(rows["method"] == method) & (rows["rank"] == rank)].groupby("epoch")["ccc"].mean()
            label = f"{method}, rank {rank}" if rank and len(ranks) > 1 else method
            fill = FILLS[ranks.index(rank) % len(FILLS)] if rank else FILLS[0]
            axes.plot(curve.index, curve, markersize=4, fillstyle=fill, label=label, **look(method))
        level = rows["static_level"].mean()
        if pd.notna(level):
            axes.axhline(level, color="grey", linewidth=1, label="level of the transducted 2-D network")
        axes.set_title(f"{DATASET_NAMES[name]}, {data_label(str(rows['label'].iloc[0]))}")
        axes.set_xlabel("Epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0][0].set_ylabel("Validation CCC\n(mean of both targets)")
    _legend(figure, panels[0])
    return figure


def score_parameters(evaluation: Path) -> Figure:
    """Draw parameters and test CCC with interval of each method on SEWA, a row each, the smallest network on top."""
    table = _with_parameters(read_table(evaluation / "intervals.csv"), read_table(evaluation / "costs.csv"))
    chosen = (table["dataset"] == "sewa") & (table["metric"] == "ccc") & (table["pooling"] == "pooled")
    table = table[chosen]
    if table.empty:
        return _nothing(f"No score on SEWA, {data_label(_label(evaluation, 'sewa'))}")
    table = table.assign(place=[place(method)[0] for method in table["method"]])
    table = table.sort_values(["parameters", "place", "method", "rank", "lasso"], kind="stable")
    rows = list(dict.fromkeys(zip(table["method"], table["rank"], table["lasso"], strict=True)))
    figure, panels = plt.subplots(
        1, 3, figsize=(WIDTH, 1.3 + 0.19 * len(rows)), sharey=True, width_ratios=(2, 3, 3), layout="constrained"
    )
    for y, (method, rank, lasso) in enumerate(rows):
        mine = table[(table["method"] == method) & (table["rank"] == rank) & (table["lasso"] == lasso)]
        colour, marker = next((v for k, v in FAMILIES.items() if method.startswith(k)), ("black", "D"))
        panels[0].plot(mine["parameters"].iloc[0], y, marker, color=colour, markersize=5)
        for axes, target in zip(panels[1:], TARGETS, strict=True):
            score = mine[mine["target"] == target].iloc[0]
            axes.plot([score["low"], score["high"]], [y, y], "|-", color=colour, linewidth=1.2, markersize=5)
            axes.plot(score["mean"], y, marker, color=colour, markersize=5)
    several = table.loc[table["rank"] != "", "rank"].nunique() > 1
    panels[0].set_yticks(range(len(rows)), [_row_name(*row, several) for row in rows], fontsize=8)
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    _count_axis(panels[0], table["parameters"])
    for axes, target in zip(panels[1:], TARGETS, strict=True):
        axes.set_xlabel(f"Test CCC, {target}")
    label = data_label(str(table["label"].iloc[0]))
    figure.suptitle(f"SEWA, {label}; bars: 95 % interval over subjects", fontsize=9)
    return figure


def timelines(evaluation: Path) -> Figure:
    """Draw true and predicted valence and arousal over the frames of a few test clips."""
    path = evaluation / "timelines.parquet"
    check_table(path)
    table = pd.read_parquet(path)
    kind = data_label(_label(evaluation, "sewa"))
    if table.empty:
        return _nothing(f"No test clip of SEWA to draw, {kind}")
    clips = list(dict.fromkeys(table["clip"]))
    figure, panels = plt.subplots(
        2, len(clips), figsize=(WIDTH, 4.0), sharex="col", sharey=True, squeeze=False, layout="constrained"
    )
    methods = sorted(table["method"].unique(), key=place)
    for i, target in enumerate(TARGETS):
        for j, clip in enumerate(clips):
            axes = panels[i][j]
            rows = table[(table["clip"] == clip) & (table["target"] == target)]
            truth: Any = rows.drop_duplicates("frame").sort_values("frame")
            axes.plot(truth["frame"], truth["truth"], color="black", linewidth=2, label="truth")
            for k, method in enumerate(methods):
                line = rows[rows["method"] == method].sort_values("frame")
                style = look(method) | {"marker": "", "linestyle": DASHES[(k + 1) % 4], "linewidth": 1.2}
                axes.plot(line["frame"], line["prediction"], label=method, **style)
            axes.set_ylim(-1.05, 1.05)
            if i == 0:
                axes.set_title(f"Test clip {j + 1}")
            else:
                axes.set_xlabel("Frame")
                axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panels[i][0].set_ylabel(TARGET_NAMES[target])
    _legend(figure, [panels[0][0]])
    figure.suptitle(f"SEWA, {kind}; the test clips whose labels vary most", fontsize=9)
    return figure


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Put one legend for all panels below them."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = sorted(found, key=place) if len(panels) > 1 else list(found)
    handles = [found[label] for label in labels]
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=_columns(labels), fontsize=7)


def _columns(labels: Sequence[str]) -> int:
    """Find how many columns of a legend fit beside each other."""
    for count in range(len(labels), 1, -1):
        parts = np.array_split(list(labels), count)
        if sum(0.5 + 0.05 * max(len(label) for label in part) for part in parts) < WIDTH:  # inches
            return count
    return 1


def _nothing(text: str) -> Figure:
    """Say in place of a figure that there is nothing to draw."""
    figure = plt.figure(figsize=(WIDTH, 0.8))
    figure.suptitle(text, y=0.5, va="center", fontsize=9)
    return figure


def _label(evaluation: Path, dataset: str) -> str:
    """Label of a dataset, or of any where this one has no run."""
    costs = read_table(evaluation / "costs.csv")
    own = costs[costs["dataset"] == dataset]
    return str((own if len(own) else costs)["label"].iloc[0])


def _with_parameters(intervals: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Add the parameters of each method; one that smooths the outputs of another has as many as that."""
    keys = ["dataset", "network", "rank", "lasso"]
    costs = costs.assign(network=costs["method"].str.removesuffix(" (reference)"))
    names = intervals["method"].str.removesuffix(" (reference)").str.removesuffix(" + moving average")
    sizes = costs.groupby(keys)["parameters"].mean().reset_index()
    return intervals.assign(network=names).merge(sizes, on=keys, how="left")


def _row_name(method: str, rank: str, lasso: float, several: bool) -> str:
    """Name of a row, with what tells it from others of the same method."""
    return method + (f", LASSO {lasso:g}" if lasso else "") + (f", rank {rank}" if several and rank else "")


def _count_axis(axes: Axes, counts: pd.Series) -> None:
    """Label a logarithmic axis of parameters with plain numbers that do not run into each other."""
    low, high = counts.min() / 1.6, counts.max() * 1.6
    for bases in ((1,), (1, 3), (1, 2, 5)):
        steps = [base * 10**power for power in range(2, 10) for base in bases]
        ticks = [step for step in steps if 1.2 * low <= step <= high / 1.2]
        if len(ticks) > 1:
            break
    names = [f"{tick / 1e6:g} M" if tick >= 1e6 else f"{tick / 1e3:g} k" for tick in ticks]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, names, fontsize=8)
    axes.set_xticks([], minor=True)
    axes.set_xlabel("Parameters")


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "sparsity": sparsity,
    "learning_curves": learning_curves,
    "score_parameters": score_parameters,
    "timelines": timelines,
}
