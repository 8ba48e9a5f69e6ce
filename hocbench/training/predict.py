"""Predictions of a network, one per frame, and their scores."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from hocbench.metrics import ccc, rmse
from hocbench.training.data import Samples, evaluation_batches

TARGETS = ("valence", "arousal")


@torch.no_grad()
def predict(network: nn.Module, samples: Samples, order: int, length: int, device: torch.device) -> np.ndarray:
    """Predict every frame of a part once.

    Returns
    -------
    ndarray, shape (len(samples.rows), 2), float32
        Frames seen in two overlapping windows get the mean of both predictions.
    """
    network.eval()
    count = len(samples.store.frames)
    total, seen = np.zeros((count, 2), np.float64), np.zeros(count, np.int64)
    for batch, rows in evaluation_batches(samples, order, length):
        output = network(batch.to(device)).reshape(-1, 2).double().cpu().numpy()
        np.add.at(total, rows.ravel(), output)
        np.add.at(seen, rows.ravel(), 1)
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


def prediction_table(parts: dict[str, tuple[Samples, np.ndarray]]) -> pd.DataFrame:
    """Put predictions beside the truth; one row per frame, sorted by part, clip and frame."""
    tables = []
    for part, (samples, prediction) in parts.items():
        frames = samples.store.frames.iloc[samples.rows]
        table = frames[["subject", "clip", "frame"]].assign(part=part)
        for column, target in enumerate(TARGETS):
            table[f"truth_{target}"] = frames[target].to_numpy(dtype=np.float32)
            table[target] = prediction[:, column]
        tables.append(table.assign(status=frames["status"]))
    columns = ["subject", "clip", "frame", "part", "truth_valence", "truth_arousal", "valence", "arousal", "status"]
    return pd.concat(tables)[columns].sort_values(["part", "clip", "frame"], ignore_index=True)
