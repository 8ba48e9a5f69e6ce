"""Validation scores by epoch, and the level that the temporal stage is to recover."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hocbench.reporting.figures.tables import Tables

LEVEL = "level of the transducted 2-D network"


def trained_networks(tables: Tables) -> pd.DataFrame:
    """Histories of the runs that were trained, without LASSO; ``ccc`` is the mean of both targets."""
    table = tables.load("history")
    table = table.assign(ccc=(table["validation_ccc_valence"] + table["validation_ccc_arousal"]) / 2)
    epochs = table.groupby(["dataset", "run"])["epoch"].transform("max")
    return table[(epochs > 0) & (table["lasso"] == 0)]


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
