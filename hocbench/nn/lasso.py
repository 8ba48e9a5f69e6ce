"""LASSO on the CP weights λ (section 3.3 of the paper), by proximal steps or as published.

λ sits before a BatchNorm, so shrinking all of it costs nothing and would then kill the network. Two measures keep
the penalty meaningful: factor columns get unit norm once, so that λ carries the size of a component, and after each
proximal step the λ of a layer are rescaled to mean square 1. The published penalty, an L1 term in the loss, has only
the first; a subgradient never makes a λ exactly zero, so a threshold does at the end.
"""

import math
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional

from hocbench.errors import NetworkError
from hocbench.nn.layers import cp_layers


@torch.no_grad()
def normalize_factors(network: nn.Module) -> None:
    """Bring factor columns to unit norm, put their size into λ, then λ to mean square 1; done once, in place.

    With an inner activation, only the factors after it give their size to λ. The last step scales each layer's output
    by a constant, which the BatchNorm after it removes again.
    """
    for layer in cp_layers(network).values():
        for name, factor in layer.factors.items():
            if name == "input" and layer.inner_norm is not None:
                continue  # BatchNorm takes the size of what comes before it away
            norm = factor.norm(dim=0)
            factor.div_(norm.clamp_min(torch.finfo(factor.dtype).tiny))
            layer.weights.mul_(norm)
        _rescale(layer.weights)


class Penalty(Protocol):
    """What training asks of a penalty: to act after each backward pass, and once at the end."""

    moves_weights: bool  # whether λ is moved by the penalty's own steps and not by the main optimiser

    def step(self, rate: float) -> None:
        """Act between the backward pass and the step of the main optimiser, whose learning rate is ``rate``."""

    def finish(self) -> None:
        """Act after the last step."""


class ProximalStep:
    """Gradient step with soft threshold on every λ of a network, which the caller takes out of the main optimiser.

    Parameters
    ----------
    penalty : float
        LASSO weight, ≥ 0.
    gradient_limit : float
        Gradients of λ are clamped to this absolute value.
    rate_factor : float
        Learning rate of λ in units of the main one.

    Raises
    ------
    NetworkError
        If the penalty is above the limit. A step of size r moves a λ by at most r · limit and shrinks it by
        r · penalty, so every λ would come nearer to zero in every step, whatever the loss says; rescaling changes
        nothing in that.
    """

    moves_weights = True

    def __init__(self, network: nn.Module, penalty: float, gradient_limit: float, rate_factor: float = 1.0) -> None:
        if penalty > gradient_limit:
            raise NetworkError(
                f"LASSO weight {penalty:g} with gradients of λ clamped to {gradient_limit:g}: each step shrinks every "
                "λ by more than any gradient can move it, so that components vanish whatever the loss says; give at "
                f"most {gradient_limit:g}, or a higher limit"
            )
        self.weights = [layer.weights for layer in cp_layers(network).values()]
        self.penalty = penalty
        self.gradient_limit = gradient_limit
        self.rate_factor = rate_factor

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move λ against its gradient by ``rate · rate_factor``, shrink it by that times the penalty, rescale it."""
        rate *= self.rate_factor
        for weights in self.weights:
            if weights.grad is None:
                continue
            step = weights.grad.clamp(-self.gradient_limit, self.gradient_limit)
            weights.copy_(functional.softshrink(weights - rate * step, rate * self.penalty))
            _rescale(weights)
            weights.grad = None

    def finish(self) -> None:
        """Do nothing: the zeros are there."""


class SubgradientPenalty:
    """The published penalty, γ·Σ|λ| in the loss, by its subgradient γ·sign(λ); λ stay with the main optimiser.

    Parameters
    ----------
    penalty : float
        LASSO weight γ, ≥ 0.
    threshold : float
        At the end, λ of at most this size become zero; in units of the root mean square of their layer, below 1.

    Raises
    ------
    NetworkError
        If the threshold could empty a layer: the largest λ is never smaller than the root mean square. The penalty
        itself has no limit, since the gradient that it is added to is not clamped.
    """

    moves_weights = False

    def __init__(self, network: nn.Module, penalty: float, threshold: float) -> None:
        if not 0 <= threshold < 1:
            raise NetworkError(
                f"threshold {threshold:g} in root mean squares of the λ of a layer: from 1 on it can empty a whole "
                "layer; give less than 1"
            )
        self.weights = [layer.weights for layer in cp_layers(network).values()]
        self.penalty = penalty
        self.threshold = threshold

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Add the subgradient to the gradients of the loss; the rate does not matter."""
        for weights in self.weights:
            if weights.grad is not None:
                weights.grad.add_(weights.sign(), alpha=self.penalty)

    @torch.no_grad()
    def finish(self) -> None:
        """Set the λ below the threshold to zero."""
        for weights in self.weights:
            weights[weights.abs() <= self.threshold * _root_mean_square(weights)] = 0


def _rescale(weights: torch.Tensor) -> None:
    size = _root_mean_square(weights)
    if size > 0:
        weights.div_(size)


def _root_mean_square(weights: torch.Tensor) -> float:
    # The root of Python is exact; that of torch differs from one type of CPU to another.
    return math.sqrt(weights.square().mean().item())
