"""What a training has reached, and how its steps were computed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.nn import FactorizedConv
from hocbench.nn.layers import factorized_layers


@dataclass
class Outcome:
    """What training has reached beside the network.

    Attributes
    ----------
    history : list of dict
        A row per epoch.
    epoch, step : int
        The epoch that is worked on, 0 for the validation before the first, and the steps done in it.
    losses : list of float
        Of these steps.
    rate : float
        Last learning rate.
    samples : int
        Images or clips learned from, so far.
    part : int
        Images or clips of one part of a batch, in all processes together; 0 before the first step.
    paths : dict of str to list of str
        By factorized layer, the implementations of steps; so called in checkpoints and manifests.
    recovered_epoch : int or None
        First epoch that reached the score of the 2-D network.
    best : float
        Best score on validation.
    wall_s, steps_s, waiting_s : float
        Seconds of training and validation, those of them in steps, and those of these in which a step waited for its
        batch.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    rate: float = 0.0
    samples: int = 0
    part: int = 0
    paths: dict[str, list[str]] = field(default_factory=dict)
    recovered_epoch: int | None = None
    best: float = -math.inf
    wall_s: float = 0.0
    steps_s: float = 0.0
    waiting_s: float = 0.0


@contextmanager
def noted_implementations(network: nn.Module, implementations: dict[str, list[str]]) -> Iterator[None]:
    """Note how each factorized layer is computed in the training steps inside the block.

    Parameters
    ----------
    network : Module
        Watched by hooks, which are gone after the block.
    implementations : dict of str to list of str
        By layer; grows.
    """
    seen = set()

    def note(name: str, layer: FactorizedConv, inputs: tuple[Tensor, ...]) -> None:
        situation = name, inputs[0].shape
        # Validation and the estimation of statistics are no steps.
        if layer.training and torch.is_grad_enabled() and situation not in seen:
            seen.add(situation)
            taken = layer.chosen_implementation(inputs[0])
            implementations[name] = sorted({*implementations.get(name, []), taken})

    layers = factorized_layers(network)
    hooks = [layer.register_forward_pre_hook(partial(note, name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
