"""One look for all figures: legible in print, for the colour-blind, and in grey."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by most colour-blind readers; markers and dashes tell them apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
TARGET_NAMES = {"valence": "Valence", "arousal": "Arousal"}


def use_style() -> None:
    """Set fonts, lines and colours for the figures drawn after it."""
    sns.set_theme(context="paper", style="whitegrid", palette=list(COLOURS))
    plt.rcParams.update(
        {"font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9, "legend.fontsize": 8, "pdf.fonttype": 42}
    )


def data_label(label: str) -> str:
    """Say what kind of data a figure shows."""
    return "SYNTHETIC data" if label == "synthetic" else "real data"


def save(figure: Figure, stem: Path) -> None:
    """Write PDF and PNG without dates, so that the same numbers give the same bytes."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        temporary = stem.with_name(f".{stem.name}.part.{kind}")
        figure.savefig(temporary, metadata=metadata, dpi=200, bbox_inches="tight")
        temporary.replace(stem.with_suffix(f".{kind}"))
    plt.close(figure)
