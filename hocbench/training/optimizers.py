"""What moves the weights: AdamW, one cycle of the learning rate, and the penalty of LASSO."""

import math
from typing import Any

import torch

from hocbench.nn.lasso import Penalty, ProximalStep, SubgradientPenalty
from hocbench.nn.resnet import ResNet


def make_optimizers(
    network: ResNet, options: dict[str, Any], lasso: float, steps_per_epoch: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler, Penalty | None]:
    """Make AdamW without decay on vectors (BatchNorm, biases, λ), one cycle, and the penalty of LASSO.

    Parameters
    ----------
    network : ResNet
        Parameters with ``requires_grad`` are moved.
    options : dict
        The ``training`` part of a run's slice.
    lasso : float
        LASSO weight; 0 is no penalty.
    steps_per_epoch : int
        They set the length of the cycle.
    """
    penalty = _penalty(network, options, lasso) if lasso else None
    named = [(name, value) for name, value in network.named_parameters() if value.requires_grad]
    if penalty is not None and penalty.moves_weights:
        named = [(name, value) for name, value in named if not name.endswith(".weights")]
    groups = [
        {"params": [value for _, value in named if value.ndim > 1], "weight_decay": options["weight_decay"]},
        {"params": [value for _, value in named if value.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=options["learning_rate"], fused=True)
    # torch divides by zero when the rise has a single step.
    steps = max(options["epochs"] * steps_per_epoch, math.ceil(2 / options["warmup_share"]))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options["learning_rate"], total_steps=steps + 1, pct_start=options["warmup_share"]
    )
    return optimizer, schedule, penalty


def _penalty(network: ResNet, options: dict[str, Any], lasso: float) -> Penalty:
    if options["method"] == "subgradient":
        return SubgradientPenalty(network, lasso, options["threshold"])
    return ProximalStep(network, lasso, options["gradient_limit"], options["rate_factor"])
