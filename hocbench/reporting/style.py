"""One look for all figures: legible in print, for the colour-blind, and in grey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hocbench.experiment.methods import Method
from hocbench.files.write import replaced

# Okabe and Ito's colours, told apart by most colour-blind readers; markers and dashes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")


@contextmanager
def style() -> Iterator[None]:
    """Draw and save with our fonts, lines and colours inside the block, whatever the user's own settings are.

    Afterwards these are as they were.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        sns.set_theme(context="paper", style="whitegrid", palette=list(COLOURS))
        # The font that comes with Matplotlib: others are not on every machine.
        matplotlib.rc("font", **{"sans-serif": ["DejaVu Sans"]})
        matplotlib.rc("font", size=9)
        matplotlib.rc("axes", titlesize=9, labelsize=9)
        matplotlib.rc("legend", fontsize=8)
        matplotlib.rc("pdf", fonttype=42)
        yield


def new_figure(**options: Any) -> Figure:
    """Make a figure that no window, notebook or backend of the user's knows of; options as of ``Figure``."""
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def subplots(
    rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], layout: str | None = None, **options: Any
) -> tuple[Figure, Any]:
    """Make such a figure with axes; options as of ``Figure.subplots``."""
    figure = new_figure(figsize=figsize, layout=layout)
    return figure, figure.subplots(rows, columns, **options)


def look(method: Method) -> dict[str, Any]:
    """Colour, marker and dash of a method, the same in all panels and figures, as arguments of a drawing call."""
    colour, marker, dash = method.look
    return {"color": COLOURS[colour], "marker": marker, "linestyle": dash}


def data_label(label: str) -> str:
    """Say what kind of data a figure shows."""
    return "SYNTHETIC data" if label == "synthetic" else "real data"


def save(figure: Figure, stem: Path) -> None:
    """Write PDF and PNG without dates, so that the same numbers give the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        with replaced(stem.with_suffix(f".{kind}")) as temporary:
            figure.savefig(temporary, format=kind, metadata=metadata, dpi=200, bbox_inches="tight")
