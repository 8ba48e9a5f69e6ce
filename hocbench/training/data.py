"""Batches of crops: single images, or windows of a clip."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hocbench.errors import RunError
from hocbench.faces import CropStore
from hocbench.seeds import generator

EVALUATION_IMAGES = 256  # images, or frames of clips, per batch when nothing is learned


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
    """

    store: CropStore
    rows: np.ndarray
    clips: list[np.ndarray]


def select(store: CropStore, splits: pd.DataFrame, fold: int, part: str) -> Samples:
    """Pick the usable frames of one part of one fold.

    Raises
    ------
    RunError
        If there are none.
    """
    chosen = set(splits.loc[(splits["fold"] == fold) & (splits["part"] == part), "clip"])
    frames = store.frames
    rows = np.flatnonzero((frames["clip"].isin(chosen) & frames["usable"]).to_numpy())
    if len(rows) == 0:
        raise RunError(f"fold {fold} has no usable frame in its {part} part; see ledger.csv beside the crops")
    edges = np.flatnonzero(np.diff(pd.factorize(frames["clip"].to_numpy()[rows])[0])) + 1
    return Samples(store, rows, np.split(rows, edges))


def training_windows(samples: Samples, length: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Cut each clip into windows of ``length`` frames from a random start; a short clip repeats its last frame."""
    windows = []
    for clip in samples.clips:
        count = max(1, len(clip) // length)
        start = int(rng.integers(0, max(1, len(clip) - count * length + 1)))
        for k in range(count):
            places = np.minimum(np.arange(start + k * length, start + (k + 1) * length), len(clip) - 1)
            windows.append(clip[places])
    return windows


def overlapping_windows(clip: np.ndarray, length: int) -> list[np.ndarray]:
    """Cover a clip by windows that begin half a window after each other.

    A network knows nothing beyond the ends of a window, so a frame at one's edge is seen in the middle of another.
    The last window ends with the clip; a short clip repeats its last frame.
    """
    last = max(0, len(clip) - length)
    starts = sorted({*range(0, last + 1, max(1, length // 2)), last})
    return [clip[np.minimum(np.arange(start, start + length), len(clip) - 1)] for start in starts]


class _Crops(Dataset[tuple[Tensor, Tensor]]):
    """Gathers whole batches, so that there is no work per sample in Python."""

    def __init__(self, samples: Samples, items: np.ndarray, flips: np.ndarray | None) -> None:
        self.samples, self.items, self.flips = samples, items, flips
        labels = samples.store.frames[["valence", "arousal"]].to_numpy(dtype=np.float32)
        self.labels = torch.from_numpy(labels.copy())

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, places: list[int]) -> list[tuple[Tensor, Tensor]]:
        rows = self.items[places]
        pixels = self.samples.store.crops[rows]
        if self.flips is not None:
            turned = self.flips[places]
            pixels[turned] = pixels[turned][..., ::-1, :]
        x = torch.from_numpy(pixels).movedim(-1, 1).float().sub_(127.5).div_(63.75)
        return [(x, self.labels[torch.from_numpy(rows)])]


def _only(batch: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return batch[0]


def training_batches(
    samples: Samples, order: int, batch_size: int, length: int, mirror: bool, root_seed: int, seed: int, epoch: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return the shuffled batches of one epoch.

    Parameters
    ----------
    samples : Samples
        Training part.
    order : int
        2: images ``(N, 3, H, W)`` and labels ``(N, 2)``; 3: clips ``(N, 3, T, H, W)`` and ``(N, T, 2)``.
    batch_size, length : int
        N and T.
    mirror : bool
        Mirror half of the samples, a clip as a whole.
    root_seed, seed, epoch : int
        Axes of the random numbers.
    """
    rng = generator(root_seed, use="batches", seed=seed, epoch=epoch)
    items = samples.rows if order == 2 else np.stack(training_windows(samples, length, rng))
    items = items[rng.permutation(len(items))]
    flips = rng.random(len(items)) < 0.5 if mirror else None
    # A last batch of one or two samples has no meaningful correlation.
    drop = len(items) > batch_size
    return DataLoader(_Crops(samples, items, flips), batch_size, drop_last=drop, collate_fn=_only)


def evaluation_batches(samples: Samples, order: int, length: int) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yield inputs and the store rows of their frames; every frame comes at least once."""
    if order == 2:
        items = samples.rows
    else:
        items = np.stack([window for clip in samples.clips for window in overlapping_windows(clip, length)])
    data = _Crops(samples, items, None)
    size = EVALUATION_IMAGES if order == 2 else max(1, EVALUATION_IMAGES // length)
    for start in range(0, len(items), size):
        places = list(range(start, min(start + size, len(items))))
        yield data.__getitems__(places)[0][0], items[places]
