"""Predictions of a network, one per frame, and their scores."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import distributed, nn

from hocbench.datasets.columns import NO_CROP
from hocbench.metrics.affect import ccc, rmse
from hocbench.metrics.classification import auc, balanced_accuracy, probabilities
from hocbench.training.data import evaluation_batches
from hocbench.training.devices import add_up
from hocbench.training.samples import Samples


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
    ndarray, shape (len(samples.rows), outputs), float32
        Frames seen in two overlapping windows get the mean of both predictions.
    """
    network.eval()
    count, outputs = len(samples.store.frames), samples.task.outputs
    total, seen = np.zeros((count, outputs), np.float64), np.zeros(count, np.int64)
    several = distributed.is_initialized()
    share = (distributed.get_rank(), distributed.get_world_size()) if several else (0, 1)
    for batch, rows in evaluation_batches(samples, order, length, step, share):
        output = network(batch.to(device)).reshape(-1, outputs).double().cpu().numpy()
        np.add.at(total, rows.ravel(), output)
        np.add.at(seen, rows.ravel(), 1)
        if pulse is not None and not several:
            pulse()
    if several:
        total = add_up(torch.from_numpy(total).to(device)).cpu().numpy()
        seen = add_up(torch.from_numpy(seen).to(device)).cpu().numpy()
    return (total[samples.rows] / seen[samples.rows, None]).astype(np.float32)


def scored_units(prediction: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and outputs of what is scored: frames, or clips by the mean logits of their frames.

    Parameters
    ----------
    prediction : ndarray, (frames, outputs)
        From `predict`.
    samples : Samples
        The part that was predicted.

    Returns
    -------
    ndarray, ndarray
        Labels, as of `Samples.labels`, and outputs, of equal length.
    """
    labels = samples.labels()
    if samples.task.unit == "frame":
        return labels[samples.rows], prediction
    lengths = [len(rows) for rows in samples.clips]
    sums = np.add.reduceat(prediction.astype(np.float64), np.cumsum([0, *lengths[:-1]]), axis=0)
    return labels[[rows[0] for rows in samples.clips]], sums / np.array(lengths)[:, None]


def score(prediction: np.ndarray, samples: Samples) -> dict[str, float]:
    """Compute the scores of a part that epochs have: CCC and RMSE of each target, or AUC and balanced accuracy."""
    truth, outputs = scored_units(prediction, samples)
    if samples.task.classes:
        chances = probabilities(outputs)
        return {
            "validation_auc": auc(truth, chances),
            "validation_balanced_accuracy": balanced_accuracy(truth, chances),
        }
    scores = {}
    for column, target in enumerate(samples.task.targets):
        p = outputs[:, column].astype(np.float64)
        scores[f"validation_ccc_{target}"] = ccc(truth[:, column], p)
        scores[f"validation_rmse_{target}"] = rmse(truth[:, column], p)
    return scores


def main_score(scores: dict[str, float]) -> float:
    """Return what epochs are chosen by: the mean CCC of all targets, or the AUC."""
    chosen = [value for name, value in scores.items() if name.startswith(("validation_ccc_", "validation_auc"))]
    return sum(chosen) / len(chosen)


def spell(scores: dict[str, float]) -> str:
    """Spell out, for people, the scores that are better if larger."""
    if "validation_auc" in scores:
        return "AUC {validation_auc:.3f}, balanced accuracy {validation_balanced_accuracy:.3f}".format(**scores)
    targets = {name.partition("_ccc_")[2]: value for name, value in scores.items() if "_ccc_" in name}
    return "CCC " + " ".join(f"{target} {value:.3f}" for target, value in targets.items())


def best_answer(samples: Samples) -> np.ndarray:
    """Return the best outputs for a frame that cannot be looked at, ``(outputs,)`` float32.

    They are the mean label of a part, or the logarithm of the share of each class in its frames.
    """
    labels = samples.labels()[samples.rows]
    if samples.task.classes:
        shares = np.bincount(labels, minlength=samples.task.outputs) / len(labels)
        return np.log(shares).astype(np.float32)
    return labels.mean(axis=0).astype(np.float32)


def prediction_table(parts: dict[str, tuple[Samples, np.ndarray]], answer: np.ndarray) -> pd.DataFrame:
    """Put predictions beside the truth; one row per frame, sorted by part, clip and frame.

    Parameters
    ----------
    parts : dict
        Part → its samples and the predictions of `predict`.
    answer : ndarray, (outputs,)
        Prediction for frames without a crop, whose status becomes "no_crop": leaving them out would make the scores
        of whoever fails to find faces better.
    """
    tables = []
    for part, (samples, prediction) in parts.items():
        task, rows = samples.task, np.concatenate([samples.rows, samples.lost])
        frames, labels = samples.store.frames.iloc[rows], samples.labels()[rows]
        outputs = np.concatenate([prediction, np.tile(answer, (len(samples.lost), 1))])
        truth = labels[:, None] if task.classes else labels.astype(np.float32)
        status = frames["status"].to_numpy(dtype=object, copy=True)
        status[len(samples.rows) :] = NO_CROP
        columns = {"part": part} | dict(zip(task.truth_columns, truth.T, strict=True))
        columns |= dict(zip(task.output_columns, outputs.T, strict=True)) | {"status": status}
        tables.append(frames[["subject", "clip", "frame"]].assign(**columns))
    return pd.concat(tables).sort_values(["part", "clip", "frame"], ignore_index=True)
