"""Labels of AffectNet, of either release: which rows have none, and their scale."""

from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.layouts import UNCERTAIN
from hocbench.datasets.scales import LabelFile, decide_scale

NAMELESS = ("9", "10")  # expressions: uncertain, no face
TARGETS = ["valence", "arousal"]


def scale_labels(frames: pd.DataFrame) -> dict[str, Any]:
    """Scale labels to [-1, 1] and remove those that annotators were uncertain of, in place; returns notes.

    Labels are given as they stand in the files; the columns ``expression`` and ``place``, where a row stands, are
    removed.

    Raises
    ------
    DatasetError
        If a label is outside the scale of the others, or a list is on another scale.
    """
    # Whoever moved or scaled the labels did the same to the mark, so the expression tells as well.
    nameless = frames.pop("expression").astype(str).isin(NAMELESS)
    place = frames.pop("place").to_numpy()
    marked = nameless | (frames[TARGETS] == UNCERTAIN).any(axis=1)
    scale, notes = _decide(frames, marked, place)
    if scale > 1:
        # There -2 is a label; the mark is scaled, or stands beside its expression.
        marked = nameless | (frames[TARGETS] == UNCERTAIN * scale).any(axis=1)
        scale, notes = _decide(frames, marked, place)
    unusable = marked & (frames["status"] != "frame_missing")
    frames.loc[unusable, "status"] = "uncertain_label"
    frames[TARGETS] = (frames[TARGETS] / scale).mask(marked)
    return notes


def _decide(frames: pd.DataFrame, marked: pd.Series, place: np.ndarray) -> tuple[int, dict[str, Any]]:
    files = []
    for split in sorted(set(frames["split"])):
        rows = np.flatnonzero((frames["split"] == split) & ~marked)
        for target in TARGETS:
            values = frames[target].to_numpy(dtype=np.float64)[rows]
            files.append(LabelFile(target, values, place[rows].__getitem__, list_of_stills=True))
    return decide_scale("affectnet", files, but=f", and not {UNCERTAIN:g} (uncertain)")
