"""What all figures share: a picture with its words, tables to draw from, names of rows, legends, axes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from hocbench.evaluation.files import read_table
from hocbench.reporting.names import DATASET_NAMES
from hocbench.reporting.style import data_label, new_figure
from hocbench.runs.finished import default_rank as default_of

WIDTH = 7.0  # inches, that of a printed page between its margins
HATCHES, FILLS = ("", "//", "..", "xx"), ("full", "none", "left", "bottom")
# By the first words of a method: colour (number in `COLOURS`) and marker of its dots beside its name.
FAMILIES = {"CP 2-D": (0, "o"), "CP 3-D": (2, "^"), "dense": (1, "s")}
JOINT = "CP 3-D, temporal then joint"
CLIPS = "clips-"  # beginning of the variants that were trained on fewer clips
TEMPORAL = "CP 3-D, temporal factors trained"


@dataclass(frozen=True)
class Picture:
    """A figure and the words that go with it.

    Attributes
    ----------
    figure : Figure
        Drawn.
    title : str
        What it is, in a few words.
    caption : str
        What is drawn, of how many frames, subjects and seeds, from which kind of data.
    alt : str
        What is to be seen, for those who do not see it.
    label : str
        "synthetic", "real", or "synthetic and real".
    """

    figure: Figure
    title: str
    caption: str
    alt: str
    label: str


def load(evaluation: Path, name: str) -> pd.DataFrame:
    """Read a table of an evaluation; tables from before there were variants have none.

    Parameters
    ----------
    evaluation : Path
        Folder written by `hocbench.evaluation.evaluate`.
    name : str
        Name of the table without ".csv".

    Returns
    -------
    DataFrame
        With a column `variant`.
    """
    table = read_table(evaluation / f"{name}.csv")
    return table if "variant" in table else table.assign(variant="")


def nothing(text: str, evaluation: Path, title: str) -> Picture:
    """Say in place of a figure that there is nothing to draw."""
    label = label_of(evaluation)
    figure = new_figure(figsize=(WIDTH, 0.8))
    words = f"{text}, {data_label(label)}"
    figure.suptitle(words, y=0.5, va="center", fontsize=9)
    return Picture(figure, title, f"Nothing to draw: {words}.", f"No figure, only the words: {words}.", label)


def label_of(evaluation: Path, datasets: Iterable[str] = ()) -> str:
    """Say what kind of data some datasets hold, by default all."""
    costs = read_table(evaluation / "costs.csv")
    own = costs[costs["dataset"].isin(list(datasets))]
    labels = set((own if len(own) else costs)["label"])
    return " and ".join(label for label in ("synthetic", "real") if label in labels)


def datasets_of(table: pd.DataFrame) -> list[str]:
    """Datasets of a table in the order in which they are shown."""
    return [name for name in DATASET_NAMES if name in set(table["dataset"])]


def panel_title(rows: pd.DataFrame, panels: int) -> str:
    """Name the dataset of a panel and say what kind of data it holds; on two lines where panels are narrow."""
    name, kind = DATASET_NAMES[rows["dataset"].iloc[0]], data_label(str(rows["label"].iloc[0]))
    return f"{name},\n{kind}" if panels > 3 or (panels == 3 and " " in name) else f"{name}, {kind}"


def default_rank(evaluation: Path) -> str:
    """Return the rank at which figures compare methods; that of the claims, over all datasets."""
    table = load(evaluation, "intervals")[["dataset", "method", "rank", "lasso", "variant"]].drop_duplicates()
    return default_of(table["rank"])


def rank_order(rank: str) -> float:
    """Sort ranks by their size; "same" is a multiple of one."""
    return 1.0 if rank == "same" else float(rank)


def plain(evaluation: Path, name: str) -> pd.DataFrame:
    """Read the rows of the default networks: no variant, and the default rank or none."""
    table = load(evaluation, name)
    return table[(table["variant"] == "") & table["rank"].isin(["", default_rank(evaluation)])]


def pooled_ccc(evaluation: Path) -> pd.DataFrame:
    """CCC over all test frames with its interval, a row per network and target."""
    table = load(evaluation, "intervals")
    return table[(table["metric"] == "ccc") & (table["pooling"] == "pooled")]


def sample(evaluation: Path, rows: pd.DataFrame, part: str | None = "test") -> str:
    """Say from how many frames, subjects and seeds a figure is drawn, and whether they are synthetic.

    Parameters
    ----------
    evaluation : Path
        Folder of the tables.
    rows : DataFrame
        What is drawn: columns dataset, and seed or n_seeds.
    part : {"test", "validation"}, optional
        Part of the data; None where only what was trained is drawn, not what was predicted.

    Returns
    -------
    str
        For example "SEWA, SYNTHETIC data: 1280 test frames of 40 subjects, 2 seeds."
    """
    counts, intervals = load(evaluation, "counts"), load(evaluation, "intervals")
    words = []
    for dataset in datasets_of(rows):
        own = counts[counts["dataset"] == dataset]
        text = f"{DATASET_NAMES[dataset]}, {data_label(str(own['label'].iloc[0]))}: "
        if part:
            groups = own[own["part"] == part].groupby(["method", "rank", "lasso", "variant", "seed"])
            text += f"{groups['scored'].sum().max()} {part} {'images' if dataset == 'affectnet' else 'frames'}"
            clusters = intervals.loc[intervals["dataset"] == dataset, "n_clusters"].max()
            text += f" of {clusters} subjects, " if part == "test" and dataset != "affectnet" else ", "
        folds = own["fold"].nunique()
        words.append(text + _seeds(rows, dataset) + (f", {folds} folds" if folds > 1 else ""))
    return "; ".join(words) + "."


def _seeds(rows: pd.DataFrame, dataset: str) -> str:
    own = rows[rows["dataset"] == dataset]
    if "n_seeds" in own:
        low, high = int(own["n_seeds"].min()), int(own["n_seeds"].max())
    else:
        low = high = own["seed"].nunique()
    return f"{low if low == high else f'{low} to {high}'} seed{'' if high == 1 else 's'}"


def interval_words(rows: pd.DataFrame) -> str:
    """Say what the 95 % intervals of a table are over: "subjects", "subjects and seeds", or "subjects, images"."""
    kinds = sorted(set(rows["interval"])) if "interval" in rows else ["subjects"]
    images = " (AffectNet: images)" if "affectnet" in set(rows["dataset"]) else ""
    return f"95 % intervals are over {' or '.join(kind for kind in kinds if kind) or 'subjects'}{images}"


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % t interval of a mean, NaN with fewer than two values.

    Parameters
    ----------
    values : sequence of float
        One number per seed.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def row_name(row: Any, several_ranks: bool) -> str:
    """Name a network by its method and what tells it from others: LASSO weight, rank, variant.

    Parameters
    ----------
    row : row of a table
        With method, rank, lasso and variant.
    several_ranks : bool
        Whether the rank has to be said.
    """
    lasso = f", LASSO {row['lasso']:g}" if row["lasso"] else ""
    method = row["method"].removesuffix(", LASSO") if lasso else row["method"]
    rank = f", rank {row['rank']}" if several_ranks and row["rank"] else ""
    return method + lasso + rank + (f", {row['variant']}" if row["variant"] else "")


def family(method: str) -> tuple[int, str]:
    """Colour (number in `COLOURS`) and marker of the family of a method; black diamonds for unknown ones."""
    return next((look for words, look in FAMILIES.items() if method.startswith(words)), (6, "D"))


def legend(figure: Figure, panels: Iterable[Axes], key: Callable[[str], Any] | None = None) -> None:
    """Put one legend for all panels below them, in the order of a key or of drawing."""
    found: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = sorted(found, key=key) if key else list(found)
    handles = [found[label] for label in labels]
    columns = _columns(labels)
    lines = -(-len(labels) // columns)
    figure.set_size_inches(WIDTH, figure.get_figheight() + 0.15 * max(0, lines - 3))  # a long one makes the page longer
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=columns, fontsize=7)


def _columns(labels: Sequence[str]) -> int:
    """Find how many columns of a legend fit beside each other."""
    for count in range(len(labels), 1, -1):
        parts = np.array_split(list(labels), count)
        if sum(0.5 + 0.05 * max(len(label) for label in part) for part in parts) < WIDTH:  # inches
            return count
    return 1


def count_axis(axis: Any, values: Iterable[float], name: str) -> None:
    """Label a logarithmic axis of counts with plain numbers that do not run into each other.

    Parameters
    ----------
    axis : matplotlib Axis
        ``axes.xaxis`` or ``axes.yaxis``.
    values : iterable of float
        What is drawn, positive.
    name : str
        Name of the axis.
    """
    values = list(values)
    low, high = min(values) / 1.6, max(values) * 1.6
    for bases in ((1,), (1, 3), (1, 2, 5)):
        steps = [base * 10.0**power for power in range(-2, 13) for base in bases]
        ticks = [step for step in steps if 1.2 * low <= step <= high / 1.2]
        if len(ticks) > 1:
            break
    set_scale, set_limits = (
        (axis.axes.set_xscale, axis.axes.set_xlim)
        if axis.axis_name == "x"
        else (axis.axes.set_yscale, axis.axes.set_ylim)
    )
    set_scale("log")
    set_limits(low, high)
    axis.set_ticks(ticks, [short(tick) for tick in ticks], fontsize=8)
    axis.set_ticks([], minor=True)
    axis.set_label_text(name)


def short(count: float) -> str:
    """Write a count in thousands, millions or billions."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"


def with_parameters(intervals: pd.DataFrame, costs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Add mean costs of each network; one that smooths the outputs of another costs as much as that.

    Parameters
    ----------
    intervals, costs : DataFrame
        The tables of these names, with `variant`.
    columns : sequence of str
        Columns of costs.
    """
    keys = ["dataset", "network", "rank", "lasso", "variant"]
    costs = costs.assign(network=costs["method"].str.removesuffix(" (reference)"))
    names = intervals["method"].str.removesuffix(" (reference)").str.removesuffix(" + moving average")
    sizes = costs.groupby(keys)[list(columns)].mean().reset_index()
    return intervals.assign(network=names).merge(sizes, on=keys, how="left")


def spread(numbers: Iterable[float], form: str = ".2f") -> str:
    """Write the range of some numbers."""
    values = [value for value in numbers if np.isfinite(value)]
    if not values:
        return "no number"
    low, high = (format(value, form).replace("-", "−") for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
