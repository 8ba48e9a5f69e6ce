"""The frames of one part of a fold, with their labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hocbench.datasets.columns import label_columns, labelled
from hocbench.errors import RunError
from hocbench.experiment.tasks import CLASS, VALENCE_AROUSAL, Task
from hocbench.faces.store import CropStore
from hocbench.seeds import generator


@dataclass(frozen=True)
class Samples:
    """What a stage reads of one part.

    Attributes
    ----------
    store : CropStore
        All crops.
    rows : ndarray of int
        Store rows of the part, sorted by clip and frame.
    clips : list of ndarray
        The same rows, one array per clip.
    lost : ndarray of int
        Rows of the part that have a label but no crop; they are not trained on, but scored.
    numbers : list of ndarray, optional
        Numbers of the frames of each clip in its video; by default the rows, which leave out what is not usable.
    task : Task
        What is predicted.
    """

    store: CropStore
    rows: np.ndarray
    clips: list[np.ndarray]
    lost: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: list[np.ndarray] | None = None
    task: Task = VALENCE_AROUSAL

    def numbered(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield rows and frame numbers of each clip."""
        return zip(self.clips, self.numbers or self.clips, strict=True)

    def labels(self) -> np.ndarray:
        """Return the labels of all rows of the store.

        Returns
        -------
        ndarray
            Affect: float64 of shape (rows, targets), NaN for none. Classification: int64 of shape (rows,), the number
            of the class, -1 for none.
        """
        frames = self.store.frames
        if self.task.classes:
            return pd.Index(self.task.classes).get_indexer(pd.Index(frames[CLASS])).astype(np.int64)
        return frames[list(self.task.targets)].to_numpy(np.float64)


def select(
    store: CropStore,
    splits: pd.DataFrame,
    fold: int,
    part: str,
    clips: Sequence[str] | None = None,
    task: Task = VALENCE_AROUSAL,
) -> Samples:
    """Pick the usable frames of one part of one fold.

    Parameters
    ----------
    store : CropStore
        All crops.
    splits : DataFrame
        From `hocbench.datasets.splits.make_splits`.
    fold : int
        Which fold.
    part : {"train", "validation", "test"}
        Which part.
    clips : sequence of str, optional
        Of the part, only these; see `first_clips`.
    task : Task
        What is predicted.

    Raises
    ------
    RunError
        If there are none, or the store was made for another task.
    """
    chosen = set(splits.loc[(splits["fold"] == fold) & (splits["part"] == part), "clip"])
    if clips is not None:
        chosen &= set(clips)
    frames = store.frames
    _check_labels(store, task)
    inside = frames["clip"].isin(chosen)
    rows = np.flatnonzero((inside & frames["usable"]).to_numpy())
    lost = np.flatnonzero((inside & labelled(frames) & ~frames["usable"]).to_numpy())
    if len(rows) == 0:
        raise RunError(f"fold {fold} has no usable frame in its {part} part; see ledger.csv beside the crops")
    edges = np.flatnonzero(np.diff(pd.factorize(frames["clip"].to_numpy()[rows])[0])) + 1
    numbers = np.split(frames["frame"].to_numpy()[rows], edges)
    return Samples(store, rows, np.split(rows, edges), lost, numbers, task)


def _check_labels(store: CropStore, task: Task) -> None:
    """Refuse crops that were made when the adapter had another task."""
    labels = label_columns(store.frames.columns)
    known = set(store.frames[CLASS]) - {"", *task.classes} if labels == [CLASS] and task.classes else set()
    if labels != list(task.targets) or known:
        raise RunError(
            f"the crops are labelled with {', '.join(sorted(known) or labels)}, and the run predicts {task}; delete "
            "the index and the crops of the dataset and start the workflow again"
        )


def check_classes(parts: Mapping[str, Samples], fold: int) -> None:
    """Refuse parts of a classification from which nothing can be learned, or by which no epoch can be chosen.

    Parameters
    ----------
    parts : mapping of str to Samples
        "train" and "validation" → samples.
    fold : int
        For the message.

    Raises
    ------
    RunError
        If a class has no frame to train on, or all clips to choose on are of one class.
    """
    classes = parts["train"].task.classes
    if not classes:
        return
    present = {part: set(samples.labels()[samples.rows].tolist()) for part, samples in parts.items()}
    absent = [name for place, name in enumerate(classes) if place not in present["train"]]
    if absent:
        raise RunError(
            f"fold {fold} has no usable frame of class {', '.join(absent)} in its train part; change split.seed, train "
            "on more clips, or leave the class out of the task"
        )
    if len(present["validation"]) < 2:
        (only,) = present["validation"]
        raise RunError(
            f"fold {fold} has clips of class {classes[only]} only in its validation part, on which no AUC is defined "
            "to choose an epoch by; change split.seed or the shares of the split"
        )


def first_clips(splits: pd.DataFrame, fold: int, count: int | None, root_seed: int) -> list[str] | None:
    """Choose training clips in an order that depends on the root seed and the fold only: fewer are a part of more.

    Parameters
    ----------
    splits : DataFrame
        From `hocbench.datasets.splits.make_splits`.
    fold : int
        Which fold.
    count : int or None
        How many; None for all.
    root_seed : int
        Root seed of the profile.

    Raises
    ------
    RunError
        If the part has fewer.
    """
    if count is None:
        return None
    clips = np.sort(splits.loc[(splits["fold"] == fold) & (splits["part"] == "train"), "clip"].astype(str).unique())
    if count > len(clips):
        raise RunError(
            f"fold {fold} has {len(clips)} training clips, {count} are asked for; lower clips of the experiment"
        )
    order = generator(root_seed, use="training clips", fold=fold).permutation(len(clips))
    return sorted(clips[order[:count]].tolist())
