"""Labels and outputs of test clips as ways through the plane of valence and arousal."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hocbench.reporting.figures.parts import WIDTH, Picture, legend, nothing
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import data_label, subplots
from hocbench.runs.finished import TARGETS

TITLE = "Labels and predictions in the circumplex plane"
CORNERS = {"V− A+": (-1, 1), "V+ A+": (1, 1), "V− A−": (-1, -1), "V+ A−": (1, -1)}


def draw(tables: Tables) -> Picture:
    """Draw mean labels and outputs of all test clips, and the ways of a few, a row for each video dataset."""
    table = tables.load_frames("circumplex")
    names = tables.datasets_of(table)
    if not names:
        return nothing("No fine-tuned video network to draw", tables, TITLE)
    method = str(table["method"].iloc[0])
    colour, title = tables.look(method)["color"], tables.method_title(method)
    columns = 1 + max(table[table["trajectory"]].groupby("dataset")["clip"].nunique())
    figure, panels = subplots(
        *(len(names), columns), figsize=(WIDTH, 0.95 + 1.9 * len(names)), squeeze=False, sharex=True, sharey=True
    )
    figure.set_layout_engine("constrained")
    limit = _limit(table)
    words = []
    for row, name in zip(panels, names, strict=True):
        rows = table[table["dataset"] == name]
        dataset, kind = tables.dataset_title(name), data_label(tables.label_of([name]))
        _plane(row[0], f"{dataset}, all clips\n{kind}", limit)
        _means(row[0], rows, colour)
        drawn = rows[rows["trajectory"]]
        clips = list(dict.fromkeys(drawn["clip"]))
        for number, (axes, clip) in enumerate(zip(row[1:], clips, strict=False)):
            _plane(axes, f"{dataset}, clip {number + 1}\n{kind}", limit)
            _way(axes, drawn[drawn["clip"] == clip], colour, title)
        for axes in row[1 + len(clips) :]:
            axes.set_axis_off()
        row[0].set_ylabel("Arousal")
        words.append(f"{dataset}, {_words(rows, clips)}")
    for axes in panels[-1]:
        axes.set_xlabel("Valence")
    legend(figure, panels[0][:2])
    caption = (
        "The plane of valence and arousal with the unit circle. Left: a line per test clip from its mean label to its "
        f"mean prediction. Right: the ways of the {columns - 1} test clips whose labels vary most, label and "
        f"prediction by {title}, from the marked start. {tables.sample(table)}{tables.without_plane()}"
    )
    return Picture(figure, TITLE, caption, " ".join(words), tables.label_of(names))


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


def _means(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    means = rows.groupby("clip")[["truth_valence", "truth_arousal", *TARGETS]].mean()
    axes.plot(means[["truth_valence", "valence"]].T, means[["truth_arousal", "arousal"]].T, color=colour, linewidth=0.7)
    axes.plot(means["truth_valence"], means["truth_arousal"], "o", color="black", markersize=2.5, label="mean label")
    style: dict[str, Any] = {"color": "white", "markeredgecolor": colour, "markersize": 3, "zorder": 3}
    axes.plot(means["valence"], means["arousal"], "s", label="mean prediction", **style)


def _way(axes: Axes, rows: pd.DataFrame, colour: str, title: str) -> None:
    rows = rows.sort_values("frame")
    axes.plot(rows["truth_valence"], rows["truth_arousal"], color="black", linewidth=1.6, label="label")
    axes.plot(rows["valence"], rows["arousal"], color=colour, linewidth=1.1, linestyle="--", label=title)
    first = rows.iloc[0]
    axes.plot(
        first["truth_valence"], first["truth_arousal"], "o", color="black", markersize=5, label="start of the label"
    )
    style: dict[str, Any] = {"color": "white", "markeredgecolor": colour, "markeredgewidth": 1.2, "markersize": 5}
    axes.plot(first["valence"], first["arousal"], "s", label="start of the prediction", **style)


def _words(rows: pd.DataFrame, clips: list[str]) -> str:
    """Say how far predictions are from labels, in all and in the clips drawn."""
    steps = rows[list(TARGETS)].to_numpy() - rows[[f"truth_{target}" for target in TARGETS]].to_numpy()
    distance = pd.Series(np.hypot(steps[:, 0], steps[:, 1]), index=rows.index)
    by_clip = distance.groupby(rows["clip"]).mean()
    radius = [
        np.hypot(rows[v], rows[a]).mean() for v, a in (("truth_valence", "truth_arousal"), ("valence", "arousal"))
    ]
    ways = ", ".join(f"{by_clip[clip]:.2f}" for clip in clips)
    return (
        f"{rows['clip'].nunique()} clips: predictions lie {distance.mean():.2f} from the labels "
        f"on average, {radius[1]:.2f} from the middle where labels lie {radius[0]:.2f}; in the clips drawn the "
        f"distance is {ways}."
    )
