"""Predictions of a network, one per frame, and their scores."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import distributed, nn

from hocbench.datasets.columns import NO_CROP
from hocbench.metrics.affect import ccc, rmse
from hocbench.training.data import Samples, evaluation_batches
from hocbench.training.devices import add_up

TARGETS = ("valence", "arousal")


@torch.no_grad()
def predict(
    network: nn.Module,
    samples: Samples,
    order: int,
    length: int,
    device: torch.device,
    step: int = 1,
    pulse: Callable[[], None] | None = None,
) -> np.ndarray:
    """Predict every frame of a part once; of several processes, each predicts a share and gets all.

    Parameters
    ----------
    network : Module
        For images or clips.
    samples : Samples
        The part.
    order : int
        2 for images, 3 for clips.
    length, step : int
        Frames of a window, and from one of them to the next.
    device : torch.device
        Where the network is.
    pulse : callable, optional
        Called after each batch; what it raises ends the prediction. Not called where there are several processes,
        which would wait for each other.

    Returns
    -------
    ndarray, shape (len(samples.rows), 2), float32
        Frames seen in two overlapping windows get the mean of both predictions.
    """
    network.eval()
    count = len(samples.store.frames)
    total, seen = np.zeros((count, 2), np.float64), np.zeros(count, np.int64)
    several = distributed.is_initialized()
    share = (distributed.get_rank(), distributed.get_world_size()) if several else (0, 1)
    for batch, rows in evaluation_batches(samples, order, length, step, share):
        output = network(batch.to(device)).reshape(-1, 2).double().cpu().numpy()
        np.add.at(total, rows.ravel(), output)
        np.add.at(seen, rows.ravel(), 1)
        if pulse is not None and not several:
            pulse()
    if several:
        total = add_up(torch.from_numpy(total).to(device)).cpu().numpy()
        seen = add_up(torch.from_numpy(seen).to(device)).cpu().numpy()
    return (total[samples.rows] / seen[samples.rows, None]).astype(np.float32)


def score(prediction: np.ndarray, samples: Samples) -> dict[str, float]:
    """Compute CCC and RMSE of valence and arousal over all frames of a part."""
    truth = samples.store.frames[list(TARGETS)].to_numpy(dtype=np.float64)[samples.rows]
    scores = {}
    for column, target in enumerate(TARGETS):
        p = prediction[:, column].astype(np.float64)
        scores[f"validation_ccc_{target}"] = ccc(truth[:, column], p)
        scores[f"validation_rmse_{target}"] = rmse(truth[:, column], p)
    return scores


def mean_ccc(scores: dict[str, float]) -> float:
    """Average the CCC of valence and arousal: what epochs are chosen by."""
    return (scores["validation_ccc_valence"] + scores["validation_ccc_arousal"]) / 2


def mean_label(samples: Samples) -> np.ndarray:
    """Average the labels of a part: the best answer to a frame that cannot be looked at, ``(2,)`` float32."""
    labels = samples.store.frames[list(TARGETS)].to_numpy(dtype=np.float64)[samples.rows]
    return labels.mean(axis=0).astype(np.float32)


def prediction_table(parts: dict[str, tuple[Samples, np.ndarray]], answer: np.ndarray) -> pd.DataFrame:
    """Put predictions beside the truth; one row per frame, sorted by part, clip and frame.

    Parameters
    ----------
    parts : dict
        Part → its samples and the predictions of `predict`.
    answer : ndarray, (2,)
        Prediction for frames without a crop, whose status becomes "no_crop": leaving them out would make the scores
        of whoever fails to find faces better.
    """
    tables = []
    for part, (samples, prediction) in parts.items():
        frames = samples.store.frames.iloc[np.concatenate([samples.rows, samples.lost])]
        outputs = np.concatenate([prediction, np.tile(answer, (len(samples.lost), 1))])
        table = frames[["subject", "clip", "frame"]].assign(part=part)
        for column, target in enumerate(TARGETS):
            table[f"truth_{target}"] = frames[target].to_numpy(dtype=np.float32)
            table[target] = outputs[:, column]
        status = frames["status"].to_numpy(dtype=object, copy=True)
        status[len(samples.rows) :] = NO_CROP
        tables.append(table.assign(status=status))
    columns = ["subject", "clip", "frame", "part", "truth_valence", "truth_arousal", "valence", "arousal", "status"]
    return pd.concat(tables)[columns].sort_values(["part", "clip", "frame"], ignore_index=True)
