"""What an exported network is checked on: random input, and crops of real or rendered faces."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hocbench.errors import ExportError
from hocbench.experiment.tasks import Task
from hocbench.faces.store import CropStore
from hocbench.files.checksums import file_hash
from hocbench.training.data import evaluation_batches, overlapping_windows
from hocbench.training.samples import Samples, select

CHECKED_FRAMES = 32

Shape = tuple[int, ...]
log = logging.getLogger(__name__)


def random_input(shape: Shape, seed: int) -> list[Tensor]:
    """Draw a batch of a shape ``(N, 3, (T,) H, W)``, and one with a sample, and a frame, more."""
    larger = (shape[0] + 1, 3, *(length + 1 for length in shape[2:-2]), *shape[-2:])
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator) for size in (shape, larger)]


def crops_input(named: Path | None, usual: Path, shape: Shape, task: Task) -> tuple[list[Tensor], dict[str, Any]]:
    """Choose images, or windows of clips, from all over a crop store.

    Parameters
    ----------
    named, usual : Path or None, Path
        The store that the user names, and where it is otherwise looked for.
    shape : tuple of int
        Of one batch.

    Returns
    -------
    list of Tensor, dict
        Batches of about `CHECKED_FRAMES` frames, and what to say about them; no batches, and the reason, if there is no
        store in the usual place or it has crops of another size.

    Raises
    ------
    ExportError
        If the named store has crops of another size.
    FaceError
        If it is not a complete store.
    """
    folder = named or usual
    if named is None and not (folder / "crops.json").is_file():
        return [], _unchecked(f"there is no crop store at {folder}; name one by --crops")
    store = CropStore(folder)
    if store.size != shape[-1]:
        reason = f"crops in {folder} have {store.size} pixels per side, the export has {shape[-1]}"
        if named is not None:
            raise ExportError(f"{reason}; change --size or --crops")
        return [], _unchecked(reason)
    length = shape[2] if len(shape) == 5 else 1
    everything = pd.DataFrame({"clip": store.frames["clip"].unique(), "fold": 0, "part": "all"})
    clips = select(store, everything, 0, "all", task=task).numbered()
    windows = [window for rows, frames in clips for window in overlapping_windows(rows, length, frames=frames)]
    places = np.unique(np.linspace(0, len(windows) - 1, max(1, CHECKED_FRAMES // length)).astype(int))
    chosen = [windows[place] for place in places]
    # As cut: a short one repeats its last frame.
    samples = Samples(store, np.concatenate(chosen), chosen, numbers=[np.arange(length)] * len(chosen), task=task)
    batch, rows = next(evaluation_batches(samples, len(shape) - 2, length))
    note = {"checked": True, "label": store.label, "frames": rows.size, "crops.json": file_hash(folder / "crops.json")}
    return list(batch.split(shape[0])), note


def _unchecked(reason: str) -> dict[str, Any]:
    log.warning("not checked on crops: %s", reason)
    return {"checked": False, "reason": reason}
