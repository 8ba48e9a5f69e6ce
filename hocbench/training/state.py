"""The whole state of a training as tensors and plain values, and back."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class State:
    """What a checkpoint holds.

    Attributes
    ----------
    tensors : dict of str to Tensor
        On the CPU, by names such as ``network/stem.weights``.
    values : dict
        Plain values for JSON.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors after the part that they belong to, as copies on the CPU."""
    return {f"{prefix}/{name}": value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Pick the tensors of one part, by their own names."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}/")}


def capture_optimizer(optimizer: Any) -> State:
    """Take an optimiser's moments and counters as tensors, its groups as plain values."""
    whole = optimizer.state_dict()
    moments = {f"{index}/{key}": value for index, entry in whole["state"].items() for key, value in entry.items()}
    return State(with_prefix("optimizer", moments), {"groups": whole["param_groups"]})


def restore_optimizer(optimizer: Any, state: State) -> None:
    """Put back what `capture_optimizer` took."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in without_prefix("optimizer", state.tensors).items():
        index, key = name.split("/")
        moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": state.values["groups"]})


def capture_generators() -> State:
    """Take the global generators of Python, NumPy, torch and CUDA.

    Training draws from generators of its own; a network of the user's may not.
    """
    tensors = {"torch": torch.get_rng_state()}
    tensors |= {f"cuda{number}": value for number, value in enumerate(torch.cuda.get_rng_state_all())}
    kind, keys, *rest = np.random.get_state()
    version, words, gauss = random.getstate()
    values = {"numpy": [kind, [int(key) for key in keys], *rest], "python": [version, list(words), gauss]}
    return State(with_prefix("generator", tensors), values)


def restore_generators(state: State) -> None:
    """Put back what `capture_generators` took."""
    tensors = without_prefix("generator", state.tensors)
    torch.set_rng_state(tensors["torch"])
    cuda = [tensors[f"cuda{number}"] for number in range(torch.cuda.device_count()) if f"cuda{number}" in tensors]
    for number, value in enumerate(cuda):
        torch.cuda.set_rng_state(value, number)
    kind, keys, *rest = state.values["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    version, words, gauss = state.values["python"]
    random.setstate((version, tuple(words), gauss))


def state_of(network: nn.Module) -> dict[str, Tensor]:
    """Copy parameters and buffers."""
    return {name: value.clone() for name, value in network.state_dict().items()}
