"""Validation scores by epoch, and the level that the temporal stage is to recover."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hocbench.experiment.tasks import Task
from hocbench.metrics.records import primary
from hocbench.reporting.figures.tables import Tables

LEVEL = "level of the transducted 2-D network"


def trained_networks(tables: Tables) -> pd.DataFrame:
    """Return the histories of the runs that were trained, without LASSO; ``score`` is the mean primary score."""
    table = tables.load("history")
    scores = pd.Series(np.nan, index=table.index)
    for name in tables.datasets_of(table):
        columns = [f"validation_{score}" for score in _scores(tables.description.datasets[name].task)]
        own = table["dataset"] == name
        scores[own] = sum(table.loc[own, column] for column in columns) / len(columns)
    table = table.assign(score=scores)
    epochs = table.groupby(["dataset", "run"])["epoch"].transform("max")
    return table[(epochs > 0) & (table["lasso"] == 0)]


def _scores(task: Task) -> list[str]:
    """Name the primary scores of an epoch: of each target, or of a classification as a whole."""
    metric = primary(task.kind).id
    return [metric] if task.classes else [f"{metric}_{target}" for target in task.targets]


def score_words(tables: Tables, table: pd.DataFrame) -> str:
    """Say what ``score`` is: "CCC (mean of valence and arousal)", or "CCC (...) or AUC"."""
    words = []
    for name in tables.datasets_of(table):
        task = tables.description.datasets[name].task
        mean = f" (mean of {' and '.join(task.targets)})" if len(task.targets) > 1 else ""
        words.append(primary(task.kind).title + mean)
    return " or ".join(dict.fromkeys(words))


def score_label(tables: Tables, table: pd.DataFrame) -> str:
    """Name an axis of ``score``."""
    most = max(len(tables.description.datasets[name].task.targets) for name in tables.datasets_of(table))
    mean = f"\n(mean of {'both' if most == 2 else 'all'} targets)" if most > 1 else ""
    return f"Validation {tables.metric_words(table)}{mean}"


def draw_level(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw the level of the 2-D network that the networks of some rows started from, if there is one."""
    level = rows["static_level"].mean()
    if pd.notna(level):
        axes.axhline(level, color="grey", linewidth=1, label=LEVEL)


def finish(axes: Axes, title: str, name: str) -> None:
    """Write the title of a panel and the name of its axis of epochs."""
    axes.set_title(title)
    axes.set_xlabel(name)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
