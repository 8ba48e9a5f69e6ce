"""Labels and outputs of single clips over time."""

from typing import Any

from matplotlib.ticker import MaxNLocator

from hocbench.reporting.figures.parts import WIDTH, Picture, legend, nothing
from hocbench.reporting.figures.tables import Tables
from hocbench.reporting.style import DASHES, data_label, subplots
from hocbench.runs.finished import TARGETS

TITLE = "Timelines of test clips"


def draw(tables: Tables) -> Picture:
    """Draw true and predicted valence and arousal over the frames of a few test clips."""
    table, dataset = tables.load_frames("timelines"), tables.clips_shown
    if table.empty:
        return nothing(f"No test clip{f' of {dataset.title}' if dataset else ''} to draw", tables, TITLE)
    (name,) = tables.datasets_of(table)
    label, title = tables.label_of([name]), tables.dataset_title(name)
    clips = list(dict.fromkeys(table["clip"]))
    figure, panels = subplots(
        2, len(clips), figsize=(WIDTH, 4.0), sharex="col", sharey=True, squeeze=False, layout="constrained"
    )
    methods = sorted(table["method"].unique(), key=tables.place)
    for i, target in enumerate(TARGETS):
        for j, clip in enumerate(clips):
            axes = panels[i][j]
            rows = table[(table["clip"] == clip) & (table["target"] == target)]
            truth: Any = rows.drop_duplicates("frame").sort_values("frame")
            axes.plot(truth["frame"], truth["truth"], color="black", linewidth=2, label="truth")
            for k, method in enumerate(methods):
                line = rows[rows["method"] == method].sort_values("frame")
                style = tables.look(method) | {"marker": "", "linestyle": DASHES[(k + 1) % 4], "linewidth": 1.2}
                axes.plot(line["frame"], line["prediction"], label=tables.method_title(method), **style)
            axes.set_ylim(-1.05, 1.05)
            if i == 0:
                axes.set_title(f"Test clip {j + 1}")
            else:
                axes.set_xlabel("Frame")
                axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        panels[i][0].set_ylabel(target.capitalize())
    legend(figure, [panels[0][0]])
    figure.suptitle(f"{title}, {data_label(label)}; the test clips whose labels vary most", fontsize=9)
    frames = len(table[["clip", "frame"]].drop_duplicates())
    caption = (
        f"Labels and outputs over time, for the {len(clips)} test clips whose labels vary most ({frames} frames in "
        f"all). They are drawn from: {tables.sample(table)}{tables.without_plane()}"
    )
    distances = (table["prediction"] - table["truth"]).abs().groupby([table["method"], table["target"]]).mean()
    means = [
        f"{tables.method_title(method)}, {target} {distances[method, target]:.2f}"
        for method in methods
        for target in sorted(TARGETS)
    ]
    alt = f"{len(clips)} clips, each with the label and {len(methods)} outputs. Mean distances: {'; '.join(means)}."
    return Picture(figure, TITLE, caption, alt, label)
