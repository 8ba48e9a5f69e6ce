"""Removal of components whose CP weight is zero."""

from dataclasses import replace

import torch

from hocbench.nn.lasso import factorized_layers
from hocbench.nn.resnet import ResNet


def compact(network: ResNet) -> ResNet:
    """Return a smaller network with the same outputs.

    Parameters
    ----------
    network : ResNet
        Factorized; it stays untouched.

    Returns
    -------
    ResNet
        Without the components whose λ is exactly zero. A layer in which all are zero keeps its first one.
    """
    state = dict(network.state_dict())
    ranks = {}
    for name, layer in factorized_layers(network).items():
        kept = torch.nonzero(layer.weights).flatten()
        if len(kept) == 0:
            kept = torch.zeros(1, dtype=torch.long, device=layer.weights.device)
        ranks[name] = len(kept)
        state[f"{name}.weights"] = layer.weights[kept]
        for mode, factor in layer.factors.items():
            state[f"{name}.factors.{mode}"] = factor[:, kept]
    example = next(network.parameters())
    smaller = ResNet(replace(network.config, ranks=ranks)).to(device=example.device, dtype=example.dtype)
    smaller.load_state_dict(state)
    return smaller.train(network.training)
