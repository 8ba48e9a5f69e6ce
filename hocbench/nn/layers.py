"""The convolutions of a network: found, described, and set to an implementation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from hocbench.errors import NetworkError
from hocbench.files.write import write_text
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.implementation import COMPUTED, check_implementation
from hocbench.nn.plain import ITSELF

Layers = list[dict[str, Any]]


def convolutions(network: nn.Module) -> list[tuple[str, nn.Conv2d | nn.Conv3d | FactorizedConv]]:
    """Name every convolution that has spatial extent, in the order of the forward pass."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Conv3d | FactorizedConv) and max(module.kernel_size) > 1
    ]


def factorized_layers(network: nn.Module) -> dict[str, FactorizedConv]:
    """Name the factorized layers of a network, in its order."""
    return {name: module for name, module in network.named_modules() if isinstance(module, FactorizedConv)}


def cp_layers(network: nn.Module) -> dict[str, FactorizedConv]:
    """Name the factorized layers of a network; none at all, or one that is not CP, raises a NetworkError."""
    layers = factorized_layers(network)
    for name, layer in layers.items():
        if layer.factorization != "cp":
            raise NetworkError(
                f"LASSO acts on the weights λ of CP-factorized layers; layer {name or ITSELF!r} is "
                f"{layer.factorization}-factorized and has none"
            )
    if not layers:
        raise NetworkError("LASSO acts on the weights of CP-factorized layers, and this network has none")
    return layers


def block_of(name: str) -> str:
    """Return the residual block of a layer: "layer2.0" for "layer2.0.conv1" and "layer2.0.shortcut.1"."""
    inside, shortcut, _ = name.partition(".shortcut.")
    return inside if shortcut else name.rpartition(".")[0] or name


def component_size(layer: FactorizedConv) -> int:
    """Count the parameters of one CP component: its λ, a column of each factor, two of an inner BatchNorm."""
    return 1 + sum(layer.sizes.values()) + (0 if layer.inner_norm is None else 2)


def describe_layers(network: nn.Module, parent: Layers | None = None) -> Layers:
    """List the convolutions, factorized 1×1 ones included, with their ranks and zero components.

    Parameters
    ----------
    network : module
        As trained.
    parent : list, optional
        Layers of the network that it started from: components that were removed since then still count as zeros.

    Returns
    -------
    list of dict
        name, block, kind ("dense", "cp", "tucker" or "tt"), in_channels, out_channels, kernel_size, rank (a list for
        Tucker and tensor-train, None if dense) and zeros (components with λ = 0, CP only).
    """
    before = {layer["name"]: layer["rank"] for layer in parent or [] if layer["kind"] == "cp"}
    spatial = dict(convolutions(network))
    layers = []
    for name, module in network.named_modules():
        if name not in spatial and not isinstance(module, FactorizedConv):
            continue
        module = spatial.get(name, module)
        layer: dict[str, Any] = {"name": name, "block": block_of(name), "kind": "dense"}
        layer |= {"in_channels": module.in_channels, "out_channels": module.out_channels}
        layer |= {"kernel_size": [*module.kernel_size], "rank": None, "zeros": 0}
        if isinstance(module, FactorizedConv):
            layer |= {"kind": module.factorization, "rank": module.rank}
            if module.factorization == "cp":
                rank = before.get(name, module.rank)
                layer |= {"rank": rank, "zeros": rank - int(module.weights.count_nonzero())}
            else:
                layer["rank"] = [*module.rank]
        layers.append(layer)
    return layers


def set_implementation(network: nn.Module, name: str) -> None:
    """Set how every factorized layer of a network is computed; see `FactorizedConv`.

    Layers with an inner activation have no dense kernel to rebuild; "reconstructed" makes them "factorized". An unknown
    implementation raises a NetworkError.
    """
    check_implementation(name)
    for layer in factorized_layers(network).values():
        layer.implementation = "factorized" if name == "reconstructed" and layer.inner_norm is not None else name


def layer_choices(network: nn.Module) -> dict[str, dict[str, str]]:
    """Collect the measured implementations of a network: layer, situation, implementation."""
    return {name: dict(layer.choices) for name, layer in factorized_layers(network).items() if layer.choices}


def save_choices(network: nn.Module, file: Path) -> None:
    """Write the measured implementations of a network as JSON."""
    write_text(json.dumps(layer_choices(network), indent=1, sort_keys=True) + "\n", file)


def load_choices(network: nn.Module, file: Path) -> None:
    """Load measured implementations, so that nothing is timed again in the same situations.

    Raises
    ------
    NetworkError
        If the file cannot be read, or names a layer or an implementation that the network does not have; the network
        then stays as it was.
    """
    try:
        choices = json.loads(file.read_text(encoding="utf-8"))
        pairs = [(layer, dict(known)) for layer, known in choices.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise NetworkError(f"{file} holds no measured implementations ({error}); write it with save_choices") from None
    layers = factorized_layers(network)
    for name, known in pairs:
        # A layer of which nothing is known must be one of the network, too.
        for chosen in [*known.values()] or ["factorized"]:
            if (problem := misfit(layers, name, chosen, COMPUTED)) is not None:
                raise NetworkError(f"{file}: {problem}; measure it again")
    for name, known in pairs:
        layers[name].choices.update(known)


def misfit(layers: Mapping[str, FactorizedConv], name: str, chosen: str, offered: Sequence[str]) -> str | None:
    """Return why a network with these layers cannot have an implementation of a layer, None if it can."""
    if name not in layers:
        return f"layer {name!r} is not a factorized layer of this network"
    if chosen not in offered:
        return f"layer {name!r} has implementation {chosen!r}, which is not one of {', '.join(offered)}"
    if chosen == "reconstructed" and layers[name].inner_norm is not None:
        return f"layer {name!r} has an inner activation and cannot be 'reconstructed'"
    return None
