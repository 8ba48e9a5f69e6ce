"""Labels and outputs of single clips: over time, and as ways through the plane of valence and arousal."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hocbench.evaluation.files import check_table
from hocbench.reporting.figures.parts import (
    WIDTH,
    Picture,
    datasets_of,
    label_of,
    legend,
    nothing,
    sample,
)
from hocbench.reporting.names import DATASET_NAMES
from hocbench.reporting.style import DASHES, TARGET_NAMES, data_label, look, place, subplots
from hocbench.runs.finished import TARGETS

TIMELINES = "Timelines of test clips"
CIRCUMPLEX = "Labels and predictions in the circumplex plane"
CORNERS = {"V− A+": (-1, 1), "V+ A+": (1, 1), "V− A−": (-1, -1), "V+ A−": (1, -1)}


def timelines(evaluation: Path) -> Picture:
    """Draw true and predicted valence and arousal over the frames of a few test clips."""
    table = _read(evaluation, "timelines")
    if table.empty:
        return nothing("No test clip of SEWA to draw", evaluation, TIMELINES)
    label = label_of(evaluation, ["sewa"])
    clips = list(dict.fromkeys(table["clip"]))
    figure, panels = subplots(
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
    legend(figure, [panels[0][0]])
    figure.suptitle(f"SEWA, {data_label(label)}; the test clips whose labels vary most", fontsize=9)
    frames = len(table[["clip", "frame"]].drop_duplicates())
    caption = (
        f"Labels and outputs over time, for the {len(clips)} test clips whose labels vary most ({frames} frames in "
        f"all). They are drawn from: {sample(evaluation, table)}"
    )
    errors = table.assign(error=(table["prediction"] - table["truth"]).abs()).groupby(["method", "target"])["error"]
    means = [f"{method}, {target} {error:.2f}" for method, target, error in errors.mean().reset_index().values]
    alt = f"{len(clips)} clips, each with the label and {len(methods)} outputs. Mean distances: {'; '.join(means)}."
    return Picture(figure, TIMELINES, caption, alt, label)


def circumplex(evaluation: Path) -> Picture:
    """Draw mean labels and outputs of all test clips, and the ways of a few, a row for each video dataset."""
    table = _read(evaluation, "circumplex")
    names = datasets_of(table)
    if not names:
        return nothing("No fine-tuned video network to draw", evaluation, CIRCUMPLEX)
    columns = 1 + max(table[table["trajectory"]].groupby("dataset")["clip"].nunique())
    figure, panels = subplots(
        *(len(names), columns), figsize=(WIDTH, 0.95 + 1.9 * len(names)), squeeze=False, sharex=True, sharey=True
    )
    figure.set_layout_engine("constrained")
    limit = _limit(table)
    words = []
    for row, name in zip(panels, names, strict=True):
        rows = table[table["dataset"] == name]
        kind = data_label(label_of(evaluation, [name]))
        _plane(row[0], f"{DATASET_NAMES[name]}, all clips\n{kind}", limit)
        _means(row[0], rows)
        drawn = rows[rows["trajectory"]]
        clips = list(dict.fromkeys(drawn["clip"]))
        for number, (axes, clip) in enumerate(zip(row[1:], clips, strict=False)):
            _plane(axes, f"{DATASET_NAMES[name]}, clip {number + 1}\n{kind}", limit)
            _way(axes, drawn[drawn["clip"] == clip])
        for axes in row[1 + len(clips) :]:
            axes.set_axis_off()
        row[0].set_ylabel("Arousal")
        words.append(_words(name, rows, clips))
    for axes in panels[-1]:
        axes.set_xlabel("Valence")
    legend(figure, panels[0][:2])
    caption = (
        "The plane of valence and arousal with the unit circle. Left: a line per test clip from its mean label to its "
        f"mean prediction. Right: the ways of the {columns - 1} test clips whose labels vary most, label and "
        f"prediction by {table['method'].iloc[0]}, from the marked start. {sample(evaluation, table)}"
    )
    return Picture(figure, CIRCUMPLEX, caption, " ".join(words), label_of(evaluation, names))


def _read(evaluation: Path, name: str) -> pd.DataFrame:
    path = evaluation / f"{name}.parquet"
    check_table(path)
    return pd.read_parquet(path)


def _limit(table: pd.DataFrame) -> float:
    """Half of the side of a panel: outputs are not bound to the plane that labels lie in, but are drawn all."""
    numbers = [*(f"truth_{target}" for target in TARGETS), *TARGETS]
    means = table.groupby(["dataset", "clip"])[numbers].mean().abs().to_numpy().max()
    return max(1.12, 1.05 * float(max(means, table.loc[table["trajectory"], numbers].abs().to_numpy().max())))


def _plane(axes: Axes, title: str, limit: float) -> None:
    """Prepare a panel: unit circle, axes through the middle, names of the quadrants outside of the circle."""
    angles = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(angles), np.sin(angles), color="0.5", linewidth=0.8)
    axes.axhline(0, color="0.7", linewidth=0.6)
    axes.axvline(0, color="0.7", linewidth=0.6)
    axes.grid(visible=False)
    axes.set_aspect("equal")
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    for name, (x, y) in CORNERS.items():
        sides: Any = {"ha": "right" if x > 0 else "left", "va": "top" if y > 0 else "bottom"}
        axes.text(0.965 * limit * x, 0.965 * limit * y, name, fontsize=6, color="0.3", **sides)
    axes.set_title(title, fontsize=8)


def _means(axes: Axes, rows: pd.DataFrame) -> None:
    means = rows.groupby("clip")[["truth_valence", "truth_arousal", *TARGETS]].mean()
    colour = look(str(rows["method"].iloc[0]))["color"]
    axes.plot(means[["truth_valence", "valence"]].T, means[["truth_arousal", "arousal"]].T, color=colour, linewidth=0.7)
    axes.plot(means["truth_valence"], means["truth_arousal"], "o", color="black", markersize=2.5, label="mean label")
    style: dict[str, Any] = {"color": "white", "markeredgecolor": colour, "markersize": 3, "zorder": 3}
    axes.plot(means["valence"], means["arousal"], "s", label="mean prediction", **style)


def _way(axes: Axes, rows: pd.DataFrame) -> None:
    rows, method = rows.sort_values("frame"), str(rows["method"].iloc[0])
    colour = look(method)["color"]
    axes.plot(rows["truth_valence"], rows["truth_arousal"], color="black", linewidth=1.6, label="label")
    axes.plot(rows["valence"], rows["arousal"], color=colour, linewidth=1.1, linestyle="--", label=method)
    first = rows.iloc[0]
    axes.plot(
        first["truth_valence"], first["truth_arousal"], "o", color="black", markersize=5, label="start of the label"
    )
    style: dict[str, Any] = {"color": "white", "markeredgecolor": colour, "markeredgewidth": 1.2, "markersize": 5}
    axes.plot(first["valence"], first["arousal"], "s", label="start of the prediction", **style)


def _words(name: str, rows: pd.DataFrame, clips: list[str]) -> str:
    """Say how far predictions are from labels, in all and in the clips drawn."""
    steps = rows[list(TARGETS)].to_numpy() - rows[[f"truth_{target}" for target in TARGETS]].to_numpy()
    distance = pd.Series(np.hypot(steps[:, 0], steps[:, 1]), index=rows.index)
    by_clip = distance.groupby(rows["clip"]).mean()
    radius = [
        np.hypot(rows[v], rows[a]).mean() for v, a in (("truth_valence", "truth_arousal"), ("valence", "arousal"))
    ]
    ways = ", ".join(f"{by_clip[clip]:.2f}" for clip in clips)
    return (
        f"{DATASET_NAMES[name]}, {rows['clip'].nunique()} clips: predictions lie {distance.mean():.2f} from the labels "
        f"on average, {radius[1]:.2f} from the middle where labels lie {radius[0]:.2f}; in the clips drawn the "
        f"distance is {ways}."
    )
