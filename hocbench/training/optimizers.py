"""What moves the weights: AdamW, one cycle of the learning rate, and the penalty of LASSO."""

import math

import torch
from torch import nn

from hocbench.errors import ParameterError
from hocbench.experiment.spec import LassoSpec, StepSpec, TrainingSpec
from hocbench.nn.lasso import Penalty, ProximalStep, SubgradientPenalty


def make_optimizers(
    network: nn.Module, training: TrainingSpec, steps: StepSpec, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, Penalty | None]:
    """Make AdamW without decay on vectors (BatchNorm, biases, λ), one cycle, and the penalty of LASSO.

    Parameters
    ----------
    network : Module
        Parameters with ``requires_grad`` are moved.
    training : TrainingSpec
        Epochs, and the penalty if there is one.
    steps : StepSpec
        What moves the weights.
    steps_per_epoch : int
        They set the length of the cycle.
    """
    penalty = _penalty(network, training.lasso) if training.lasso else None
    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    if penalty is not None and penalty.moves_weights:
        named = [(name, value) for name, value in named if not name.endswith(".weights")]
    groups = [
        {"params": [value for _, value in named if value.ndim > 1], "weight_decay": steps.weight_decay},
        {"params": [value for _, value in named if value.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=steps.learning_rate, fused=True)
    # torch divides by zero when the rise has a single step.
    count = max(training.epochs * steps_per_epoch, math.ceil(2 / steps.warmup_share))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, steps.learning_rate, total_steps=count + 1, pct_start=steps.warmup_share
    )
    return optimizer, schedule, penalty


def _penalty(network: nn.Module, lasso: LassoSpec) -> Penalty:
    if lasso.threshold is not None:
        return SubgradientPenalty(network, lasso.weight, lasso.threshold)
    if lasso.gradient_limit is None or lasso.rate_factor is None:
        raise ParameterError("the proximal LASSO needs training.lasso.gradient_limit and rate_factor; give both")
    return ProximalStep(network, lasso.weight, lasso.gradient_limit, lasso.rate_factor)
