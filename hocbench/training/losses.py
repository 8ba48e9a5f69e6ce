"""The losses: RMSE + (1 - PCC) + (1 - CCC), averaged over the targets of affect; cross-entropy of classes."""

import torch
from torch import Tensor
from torch.nn import functional

from hocbench.config.training import LossWeights
from hocbench.experiment.tasks import Task

EPSILON = 1e-8  # keeps the gradient finite for a batch of constant predictions


def task_loss(task: Task, outputs: Tensor, labels: Tensor, weights: LossWeights | None) -> Tensor:
    """Compute the loss of a batch: `affect_loss` or `class_loss`.

    Parameters
    ----------
    task : Task
        What is predicted.
    outputs, labels : Tensor
        See there.
    weights : LossWeights or None
        Of the terms of affect; a classification has none.
    """
    if task.classes:
        return class_loss(outputs, labels)
    assert weights is not None
    return affect_loss(outputs, labels, weights)


def class_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Compute the cross-entropy of the mean logits of each window, or of each image.

    Parameters
    ----------
    logits : Tensor, (N, T, classes) or (N, classes)
        Outputs for the frames of windows, or for images or whole clips.
    classes : Tensor of int64, (N, T) or (N,)
        Numbers of their classes, the same for all frames of a window.

    Returns
    -------
    Tensor, scalar
        Mean over N.
    """
    if logits.ndim == 3:
        logits, classes = logits.mean(1), classes[:, 0]
    return functional.cross_entropy(logits, classes)


def affect_loss(prediction: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Compute the loss of a batch.

    Parameters
    ----------
    prediction, truth : Tensor, shape (..., targets)
        All leading dimensions count as one sample.
    weights : LossWeights
        Weights of the terms.

    Returns
    -------
    Tensor, scalar
        PCC and CCC are statistics of this batch, with population standard deviations.
    """
    p, y = (values.reshape(-1, truth.shape[-1]) for values in (prediction, truth))
    p_mean, y_mean = p.mean(0), y.mean(0)
    p_var, y_var = (p - p_mean).square().mean(0), (y - y_mean).square().mean(0)
    covariance = ((p - p_mean) * (y - y_mean)).mean(0)
    error = (p - y).square().mean(0) + EPSILON
    # Not `sqrt`, which on a CPU is approximated, and otherwise from one type of CPU to another.
    rmse = error * error.rsqrt()
    pcc = covariance * ((p_var * y_var) + EPSILON).rsqrt()
    ccc = 2 * covariance / (p_var + y_var + (p_mean - y_mean).square() + EPSILON)
    terms = weights.rmse * rmse + weights.pcc * (1 - pcc) + weights.ccc * (1 - ccc)
    return torch.mean(terms)
