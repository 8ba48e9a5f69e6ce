"""The units of the labels of a copy, decided by all of its files: what to divide by, and whether they lie around 0."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.faults import refuse_all
from hocbench.errors import DatasetError

SCALES = (1, 10, 100, 1000)
# So many files that hardly use a tenth of the scale are of another one; fewer may be calm clips.
MOST_SMALL, LEAST_SMALL = 0.25, 3
SHOWN = 10
MANY_LABELS = 1000
LIST_QUANTILE = 0.9  # of a long list, whose few wrong rows say nothing of its scale
# Clips that show whether labels lie around 0, if both targets have no negative label, and if only one has none;
# arousal is above 0 more often than not.
CLIPS_FOR_SIGNS, STILLS_FOR_SIGNS = 6, 20
CLIPS_FOR_ONE_SIGN, STILLS_FOR_ONE_SIGN = {"valence": 10, "arousal": 30}, {"valence": 40, "arousal": 200}


@dataclass(frozen=True)
class LabelFile:
    """The labels of one target in one file.

    Attributes
    ----------
    target : str
        Their column, for messages.
    values : ndarray of float
        As they stand in the file, NaN where there is none.
    place : callable
        Path and row of a value by its index, for messages.
    list_of_stills : bool
        Whether each label is of another picture, and not all of one clip.
    """

    target: str
    values: np.ndarray
    place: Callable[[int], str]
    list_of_stills: bool = False

    @property
    def known(self) -> np.ndarray:
        """Labels that are there."""
        return self.values[~np.isnan(self.values)]

    @property
    def magnitude(self) -> float:
        """How far the labels go from 0; of a list, most of them."""
        sizes = np.abs(self.known)
        if not len(sizes):
            return 0.0
        return float(np.quantile(sizes, LIST_QUANTILE) if self.list_of_stills else sizes.max())

    @property
    def whole(self) -> bool:
        """Whether all labels are whole numbers."""
        return not np.any(self.known % 1)

    @property
    def range(self) -> str:
        """First and last label by size, for messages."""
        return f"{self.target} from {self.known.min():g} to {self.known.max():g}"


def label_files(frames: pd.DataFrame, by: str, place: pd.Series, *, list_of_stills: bool = False) -> list[LabelFile]:
    """Group labels, one row per frame, by the file that they stand in; ``place`` says where each row stands."""
    files = []
    for _, rows in frames.groupby(by):
        places = place[rows.index].tolist()
        for target in ("valence", "arousal"):
            files.append(LabelFile(target, rows[target].to_numpy(np.float64), places.__getitem__, list_of_stills))
    return files


def decide_scale(name: str, files: Sequence[LabelFile], released: int = 1, but: str = "") -> tuple[int, dict[str, Any]]:
    """Decide what the labels of a copy have to be divided by to lie in [-1, 1]: one of `SCALES`, and notes.

    Most files of a copy in [-1, 1] lie in it altogether, and hardly a file of one in [-10, 10] or more does.

    Parameters
    ----------
    name, but : str
        The adapter, and what else is allowed, for messages.
    files : sequence of LabelFile
        All of them.
    released : {1, 10}
        The scale of the release; with 10 its labels are whole numbers, so that files without fractions and without a
        label beyond 1 cannot tell.

    Raises
    ------
    DatasetError
        Naming files that are on another scale than the others.
    """
    scale, notes = _decide(files, released)
    outside = [(file, np.abs(file.known).max()) for file in files if len(file.known)]
    refuse_all(name, [_outside(name, file, scale, but) for file, largest in outside if largest > scale])
    if scale > 1:
        notes |= _check_small(name, files, scale)
    labels = np.concatenate([np.abs(file.known) for file in files] or [np.empty(0)])
    if len(labels) >= MANY_LABELS and 0 < labels.max() <= scale / 2:
        notes["label_range"] = f"no label beyond {labels.max():g} of {scale}; check that they were not divided twice"
    return scale, notes


def _decide(files: Sequence[LabelFile], released: int) -> tuple[int, dict[str, Any]]:
    """Choose the smallest scale that holds half of the files that can tell."""
    # Whole numbers up to 1 may be of a release in steps, or of one in [-1, 1].
    telling = [file for file in files if file.magnitude > (1 if released > 1 and file.whole else 0)]
    if not telling:
        notes: dict[str, Any] = {"label_scale": released}
        if any(file.magnitude for file in files):
            notes["label_scale_by_convention"] = f"all labels are -1, 0 or 1, read as steps of 1/{released}"
        return released, notes
    sizes = np.array([file.magnitude for file in telling])
    scale = next((scale for scale in SCALES if np.mean(sizes <= scale) >= 0.5), SCALES[-1])
    return scale, {"label_scale": scale}


def _outside(name: str, file: LabelFile, scale: int, but: str) -> str:
    index = int(np.flatnonzero(np.abs(file.values) > scale)[0])
    return (
        f"{name}: {file.place(index)}: {file.target} {file.values[index]:g} is outside [-{scale}, {scale}], the scale "
        f"of the other files{but}; check the scale of the file"
    )


def _check_small(name: str, files: Sequence[LabelFile], scale: int) -> dict[str, Any]:
    """Refuse, or name in notes, files that were divided while the others were not."""
    large = [file for file in files if file.magnitude > scale / 10]
    counted = [file for file in files if file.magnitude > 0]
    small = [file for file in counted if file.magnitude <= scale / 10 and not file.whole]
    divided = [file for file in small if file.magnitude <= 1]
    steps = bool(large) and np.mean([file.whole for file in large]) > 0.5
    many = len(divided) >= max(LEAST_SMALL, MOST_SMALL * len(counted))
    wrong = [file for file in divided if steps or many or file.list_of_stills]
    refuse_all(
        name,
        [
            f"{name}: {file.place(0)}: {file.range} where other files go to {scale}; they seem to be divided by "
            f"{scale} already. Bring all files to one scale"
            for file in wrong
        ],
    )
    named = {file.place(0): file.range for file in small[:SHOWN]}
    return {"labels_small_for_the_scale": named} if named else {}


def check_signs(name: str, frames: pd.DataFrame) -> None:
    """Refuse labels of which none is negative where that cannot be chance: they were moved to [0, 1].

    It raises a DatasetError if no label of a split, or of all, is negative.
    """
    stills = not frames["clip"].duplicated().any()
    for split in sorted(set(frames["split"])):
        _check_signs(name, frames[frames["split"] == split], f"all of {split}" if split else "the whole copy", stills)


def _check_signs(name: str, frames: pd.DataFrame, where: str, stills: bool) -> None:
    values = {target: frames[target].to_numpy() for target in ("valence", "arousal")}
    clips = frames["clip"].to_numpy()
    known = {target: labels[~np.isnan(labels)] for target, labels in values.items()}
    unsigned = [target for target, labels in known.items() if len(labels) and labels.min() >= 0 and labels.max() > 0]
    both, one = (STILLS_FOR_SIGNS, STILLS_FOR_ONE_SIGN) if stills else (CLIPS_FOR_SIGNS, CLIPS_FOR_ONE_SIGN)
    if not unsigned:
        return
    # Clips of nothing but 0 say nothing.
    telling = np.any([np.nan_to_num(values[target]) > 0 for target in unsigned], axis=0)
    if len(set(clips[telling])) < (both if len(unsigned) == len(known) else one[unsigned[0]]):
        return
    ranges = ", ".join(f"{target} from {known[target].min():g} to {known[target].max():g}" for target in known)
    raise DatasetError(
        f"{name}: no label of {' and '.join(unsigned)} is negative in {where} ({ranges}): they seem to be moved to "
        "[0, 1] or another range above 0, while the release has them around 0; take the annotations as released, or "
        "move them back"
    )
