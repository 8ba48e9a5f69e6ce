"""The figures: sparsity per residual block, learning curves, score against parameters, timelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from hocbench.errors import EvaluationError
from hocbench.evaluation import TARGETS, read_table
from hocbench.reporting.style import COLOURS, DASHES, MARKERS, TARGET_NAMES, data_label, save, use_style

DATASET_NAMES = {"affectnet": "AffectNet", "sewa": "SEWA", "afew_va": "AFEW-VA"}


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
    figure, axes = plt.subplots(figsize=(7, 2.6))
    blocks = list(dict.fromkeys(table["block"]))
    weights = sorted(table["lasso"].unique())
    width = 0.8 / max(1, len(weights))
    for k, lasso in enumerate(weights):
        rows = table[table["lasso"] == lasso]
        places = [i + (k - (len(weights) - 1) / 2) * width for i in range(len(blocks))]
        means = [100 * rows.loc[rows["block"] == block, "zero_share"].mean() for block in blocks]
        hatch = ("", "//", "..", "xx")[k % 4]
        axes.bar(
            places, means, 0.92 * width, color=COLOURS[k], hatch=hatch, edgecolor="white", label=f"LASSO {lasso:g}"
        )
        for place, block in zip(places, blocks, strict=True):
            seeds = 100 * rows.loc[rows["block"] == block, "zero_share"]
            axes.plot([place] * len(seeds), seeds, "o", color="black", markersize=2.5)
    axes.set_xticks(range(len(blocks)), blocks)
    axes.set_xlabel("Residual block")
    axes.set_ylabel("Zero components, %")
    axes.grid(axis="x", visible=False)
    label = str(table["label"].iloc[0]) if len(table) else "synthetic"
    axes.set_title(f"Components removed by LASSO, {data_label(label)}; dots are seeds")
    if weights:
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def learning_curves(evaluation: Path) -> Figure:
    """Draw validation CCC (mean of both targets) by epoch, a panel per dataset; mean over seeds and folds."""
    table = read_table(evaluation / "history.csv")
    table["ccc"] = (table["validation_ccc_valence"] + table["validation_ccc_arousal"]) / 2
    epochs = table.groupby("run")["epoch"].transform("max")
    table = table[(epochs > 0) & (table["lasso"] == 0)]
    names = [name for name in DATASET_NAMES if name in set(table["dataset"])]
    figure, panels = plt.subplots(1, len(names), figsize=(3.2 * len(names), 2.8), sharey=True, squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        rows = table[table["dataset"] == name]
        for k, method in enumerate(sorted(rows["method"].unique())):
            curve = rows[rows["method"] == method].groupby("epoch")["ccc"].mean()
            axes.plot(
                curve.index,
                curve,
                DASHES[k % 4],
                marker=MARKERS[k % 7],
                markersize=4,
                color=COLOURS[k % 7],
                label=method,
            )
        level = rows["static_level"].mean()
        if pd.notna(level):
            axes.axhline(level, color="grey", linewidth=1)
            axes.annotate(
                "static level", (1, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7
            )
        axes.set_title(f"{DATASET_NAMES[name]}, {data_label(str(rows['label'].iloc[0]))}")
        axes.set_xlabel("Epoch")
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.22), fontsize=7)
    panels[0][0].set_ylabel("Validation CCC\n(mean of both targets)")
    return figure


def score_parameters(evaluation: Path) -> Figure:
    """Draw test CCC with interval against the number of parameters, SEWA."""
    intervals = read_table(evaluation / "intervals.csv")
    costs = read_table(evaluation / "costs.csv")
    keys = ["dataset", "method", "rank", "lasso"]
    size = costs.groupby(keys)["parameters"].mean().reset_index()
    table = intervals.merge(size, on=keys)
    chosen = (table["dataset"] == "sewa") & (table["metric"] == "ccc") & (table["pooling"] == "pooled")
    table = table[chosen]
    figure, panels = plt.subplots(1, 2, figsize=(7, 2.8), sharex=True)
    for axes, target in zip(panels, TARGETS, strict=True):
        rows = table[table["target"] == target].sort_values(["method", "rank", "lasso"])
        for k, (method, group) in enumerate(rows.groupby("method", sort=True)):
            error = [(group["mean"] - group["low"]).clip(lower=0), (group["high"] - group["mean"]).clip(lower=0)]
            axes.errorbar(
                group["parameters"],
                group["mean"],
                error,
                fmt=MARKERS[k % 7],
                color=COLOURS[k % 7],
                fillstyle="full" if k < 7 else "none",
                markersize=5,
                linewidth=1,
                label=method,
            )
        axes.set_xscale("log")
        axes.set_xlabel("Parameters")
        axes.set_ylabel(f"Test CCC, {target}")
    label = str(table["label"].iloc[0]) if len(table) else "synthetic"
    figure.suptitle(f"SEWA, {data_label(label)}; bars: 95 % interval over subjects", fontsize=9)
    panels[1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=7)
    figure.tight_layout()
    return figure


def timelines(evaluation: Path) -> Figure:
    """Draw true and predicted valence and arousal over the frames of a few test clips."""
    table = pd.read_parquet(evaluation / "timelines.parquet")
    clips = list(dict.fromkeys(table["clip"]))
    figure, panels = plt.subplots(
        2, max(1, len(clips)), figsize=(2.5 * max(1, len(clips)), 3.8), sharex="col", sharey=True, squeeze=False
    )
    methods = sorted(table["method"].unique())
    for i, target in enumerate(TARGETS):
        for j, clip in enumerate(clips):
            axes = panels[i][j]
            rows = table[(table["clip"] == clip) & (table["target"] == target)]
            truth: Any = rows.drop_duplicates("frame").sort_values("frame")
            axes.plot(truth["frame"], truth["truth"], color="black", linewidth=2, label="truth")
            for k, method in enumerate(methods):
                line = rows[rows["method"] == method].sort_values("frame")
                axes.plot(line["frame"], line["prediction"], DASHES[(k + 1) % 4], color=COLOURS[k], label=method)
            axes.set_ylim(-1.05, 1.05)
            if i == 0:
                axes.set_title(f"Test clip {j + 1}")
            else:
                axes.set_xlabel("Frame")
        panels[i][0].set_ylabel(TARGET_NAMES[target])
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.0), fontsize=7)
    intervals = read_table(evaluation / "intervals.csv")
    figure.suptitle(
        f"Test clips with the largest range of labels, {data_label(str(intervals['label'].iloc[0]))}", fontsize=9
    )
    figure.tight_layout()
    return figure


FIGURES: dict[str, Callable[[Path], Figure]] = {
    "sparsity": sparsity,
    "learning_curves": learning_curves,
    "score_parameters": score_parameters,
    "timelines": timelines,
}
