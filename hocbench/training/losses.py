"""The loss of continuous affect estimation: RMSE + (1 - PCC) + (1 - CCC), averaged over valence and arousal."""

import torch
from torch import Tensor

from hocbench.config.training import LossWeights

EPSILON = 1e-8  # keeps the gradient finite for a batch of constant predictions


def affect_loss(prediction: Tensor, truth: Tensor, weights: LossWeights) -> Tensor:
    """Compute the loss of a batch.

    Parameters
    ----------
    prediction, truth : Tensor, shape (..., 2)
        Valence and arousal in [-1, 1]; all leading dimensions count as one sample.
    weights : LossWeights
        Weights of the terms.

    Returns
    -------
    Tensor, scalar
        PCC and CCC are statistics of this batch, with population standard deviations.
    """
    p, y = prediction.reshape(-1, 2), truth.reshape(-1, 2)
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
