"""Loading weights all or nothing."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.plain import ITSELF


def check_state(network: nn.Module, state: Mapping[str, Tensor], strict: bool = True) -> None:
    """Check that weights belong to a network before any of them is copied.

    Parameters
    ----------
    network : module
        To be loaded.
    state : mapping of str to Tensor
        As of ``state_dict``.
    strict : bool
        Whether entries may neither lack nor be unknown; shapes and values are checked in any case.

    Raises
    ------
    NetworkError
        Naming the first layer that is missing, unknown, of another shape or not finite.
    """
    entries = network.state_dict()
    for name in entries:
        if strict and name not in state:
            layer, entry = _split(name)
            hint = "; it may be of another order or kind" if "factors" in name else ""
            raise NetworkError(f"weights do not fit: layer {layer!r} has no {entry!r} in the checkpoint{hint}")
    for name, value in state.items():
        layer, entry = _split(name)
        if name not in entries:
            if not strict:
                continue
            raise NetworkError(f"weights do not fit: the network has no {entry!r} in layer {layer!r}")
        if value.shape != entries[name].shape:
            raise NetworkError(
                f"weights do not fit: {entry!r} of layer {layer!r} is {tuple(value.shape)} in the checkpoint and "
                f"{tuple(entries[name].shape)} in the network; build it with the rank and order that were trained"
            )
        if value.is_floating_point() and not value.is_meta and not torch.isfinite(value).all():
            raise NetworkError(f"weights cannot be used: {entry!r} of layer {layer!r} holds NaN or infinity")


def _split(name: str) -> tuple[str, str]:
    """Split the name of an entry into its layer and what it is there."""
    parts = name.split(".")
    cut = len(parts) - (2 if len(parts) > 1 and parts[-2] == "factors" else 1)
    return ".".join(parts[:cut]) or ITSELF, ".".join(parts[cut:])
