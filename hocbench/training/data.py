"""Batches of crops: single images, or windows of a clip."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hocbench.errors import RunError
from hocbench.experiment.spec import RunSpec, TrainingSpec
from hocbench.seeds import derive_seed, generator
from hocbench.training.augment import Augmentation, draw
from hocbench.training.samples import Samples
from hocbench.training.stopping import ignore_signals
from hocbench.windows import batches, covering_windows, cut_runs, stretches, trained_windows, training_items

EVALUATION_IMAGES = 256  # images, or frames of clips, per batch when nothing is learned


def training_windows(samples: Samples, length: int, rng: np.random.Generator, step: int = 1) -> list[np.ndarray]:
    """Cut each clip into windows of ``length`` frames from a random start; see `hocbench.windows`.

    With a step, a window takes every ``step``-th frame of the video, and each clip is cut anew from each of its first
    frames. No window joins frames from both sides of a gap.
    """
    return [
        rows[places] for rows, frames in samples.numbered() for places in trained_windows(frames, length, rng, step)
    ]


def overlapping_windows(
    clip: np.ndarray, length: int, step: int = 1, frames: np.ndarray | None = None
) -> list[np.ndarray]:
    """Cover a clip by windows that begin half a window after each other; see `hocbench.windows`.

    Parameters
    ----------
    clip : ndarray of int
        Store rows.
    length, step : int
        Frames of a window, and from one of them to the next.
    frames : ndarray of int, optional
        Their numbers in the video; by default the rows.
    """
    return [clip[places] for places in covering_windows(clip if frames is None else frames, length, step)]


class _Crops(Dataset[tuple[Tensor, Tensor]]):
    """Gathers whole batches, so that there is no work per sample in Python."""

    def __init__(self, samples: Samples, items: np.ndarray, changes: Augmentation | None) -> None:
        self.samples, self.items, self.changes = samples, items, changes
        labels = samples.labels()
        self.labels = torch.from_numpy(labels if samples.task.classes else np.ascontiguousarray(labels, np.float32))

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, places: list[int]) -> list[tuple[Tensor, Tensor]]:
        rows = self.items[places]
        pixels = self.samples.store.read(rows)
        if self.changes is not None:
            pixels = self.changes.apply(pixels, places)
        x = torch.from_numpy(pixels).movedim(-1, 1).float().sub_(127.5).div_(63.75)
        return [(x, self.labels[torch.from_numpy(rows)])]


def _only(batch: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return batch[0]


def window_shape(training: TrainingSpec) -> tuple[int, int]:
    """Return the frames of a window and the step from one to the next; an image is one frame."""
    return (training.clip_length or 1, training.frame_step or 1)


def training_batches(
    samples: Samples,
    spec: RunSpec,
    epoch: int,
    *,
    learn: bool = True,
    workers: int = 0,
    first_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return the shuffled batches of one epoch, cut into the parts that one process passes over one by one.

    Parameters
    ----------
    samples : Samples
        Training part.
    spec : RunSpec
        Of order 2: images ``(N, 3, H, W)`` and labels ``(N, targets)``, or numbers of classes ``(N,)``; 3: clips
        ``(N, 3, T, H, W)`` and ``(N, T, targets)`` or ``(N, T)``. N is the batch size of all processes and parts
        together, T the length of a window.
    epoch : int
        Of the random numbers: order, windows and augmentation.
    learn : bool
        Off for batches that nothing is learned from: whole ones, whose pixels are not changed.
    workers : int
        Processes that read and change them; 0 is this one.
    first_step : int
        Batches at the start of the epoch that are left out, because they were passed before.
    share : (int, int)
        Rank of this process and number of processes, which get equal shares of each part.

    Raises
    ------
    RunError
        If there are fewer samples than shares.
    """
    training, axes = spec.training, spec.batch_axes
    rng = generator(spec.root_seed, use="batches", epoch=epoch, **axes)
    if spec.order == 2:
        items = samples.rows
    else:
        length, step = window_shape(training)
        items = np.stack(training_windows(samples, length, rng, step))
    items = items[rng.permutation(len(items))]
    steps = training.steps if learn else None
    changes = draw(len(items), steps, rng) if steps else None
    data = _Crops(samples, items, changes)
    parts = steps.accumulation if steps else 1
    places = _places(min(batch_size(training), len(items)), len(items), parts, first_step, share)
    # Left to itself, a loader draws the seed of its workers from torch's global generator, once per start.
    own = torch.Generator().manual_seed(derive_seed(spec.root_seed, use="loader", epoch=epoch, **axes))
    return DataLoader(
        data,
        batch_sampler=places,
        collate_fn=_only,
        num_workers=workers,
        worker_init_fn=ignore_signals,
        generator=own,
    )


def batch_size(training: TrainingSpec) -> int:
    """Return the samples of a batch of a run that draws batches."""
    assert training.batch_size is not None
    return training.batch_size


def _places(size: int, count: int, parts: int, first_step: int, share: tuple[int, int]) -> list[list[int]]:
    """List the places of the samples of each part of each batch that one process passes over."""
    # A last batch of one or two samples has no meaningful correlation, so that all are of one size.
    rank, processes = share
    each = size // (parts * processes)
    if each == 0:
        raise RunError(
            f"{count} training samples are too few for {processes} processes and {parts} parts of a batch; "
            "lower processes or training.accumulation"
        )
    starts = (
        step * size + (part * processes + rank) * each
        for step in range(first_step, count // size)
        for part in range(parts)
    )
    return [list(range(start, start + each)) for start in starts]


def steps_per_epoch(samples: Samples, training: TrainingSpec) -> int:
    """Count the batches of an epoch, which are the same number in each."""
    if training.clip_length is None:
        return batches(len(samples.rows), batch_size(training))
    length, step = window_shape(training)
    _check_step(samples, step)
    clips = Counter(stretches(frames) for _, frames in samples.numbered())
    return batches(training_items(clips, length, step), batch_size(training))


def _check_step(samples: Samples, step: int) -> None:
    """Refuse a step at which every window would show one frame only, though there are clips of several."""
    apart = [np.diff(frames) for _, frames in samples.numbered() if len(frames) > 1]
    if apart and all(
        len(run) == 1 for _, frames in samples.numbered() for runs in cut_runs(frames, step) for run in runs
    ):
        usual = int(np.median(np.concatenate(apart)))
        raise RunError(
            f"no two usable frames of a training clip are {step} apart, as training.frame_step asks for, so that no "
            f"window would show any motion; most follow each other after {usual}: set training.frame_step to {usual}"
        )


def evaluation_batches(
    samples: Samples, order: int, length: int, step: int = 1, share: tuple[int, int] = (0, 1)
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yield inputs and the store rows of their frames; every frame comes at least once.

    Of several processes, ``share`` (rank, number), each gets other batches.
    """
    if order == 2:
        items = samples.rows
    else:
        clips = samples.numbered()
        items = np.stack(
            [window for rows, frames in clips for window in overlapping_windows(rows, length, step, frames)]
        )
    data = _Crops(samples, items, None)
    size = EVALUATION_IMAGES if order == 2 else max(1, EVALUATION_IMAGES // length)
    rank, processes = share
    for start in range(rank * size, len(items), processes * size):
        places = list(range(start, min(start + size, len(items))))
        yield data.__getitems__(places)[0][0], items[places]
