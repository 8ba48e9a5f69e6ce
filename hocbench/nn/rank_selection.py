"""What LASSO left of each layer: its effective rank, and the parameters that go with the components of weight zero."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn.cost import parameter_count
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.lasso import factorized_layers


def block_of(name: str) -> str:
    """Return the residual block of a layer: "layer2.0" for "layer2.0.conv1" and "layer2.0.shortcut.1"."""
    inside, shortcut, _ = name.partition(".shortcut.")
    return inside if shortcut else name.rpartition(".")[0] or name


def component_size(layer: FactorizedConv) -> int:
    """Count the parameters of one CP component: its λ, a column of each factor, two of an inner BatchNorm."""
    return 1 + sum(layer.sizes.values()) + (0 if layer.inner_norm is None else 2)


def rank_table(network: nn.Module, parent: Sequence[Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """List the effective rank and the removed parameters of each CP layer.

    Parameters
    ----------
    network : module
        With zeros in λ, or compacted.
    parent : sequence of mapping, optional
        Layers of the run that a compacted network started from, as of `describe_layers`, with name, kind and rank:
        components that were removed since then still count as zeros.

    Returns
    -------
    list of dict
        In the order of the layers: layer, block, rank (components before removal), effective_rank (those with λ ≠ 0),
        zeros (the rest), component_parameters (see `component_size`), parameters (all of the layer before removal)
        and removed (those of the zeros; `compact` keeps one component of a layer that has zeros only).

    Raises
    ------
    NetworkError
        If there are no factorized layers, Tucker or tensor-train ones, or a layer has more components than before.
    """
    before = {layer["name"]: layer["rank"] for layer in parent or [] if layer["kind"] == "cp"}
    rows = []
    for name, layer in factorized_layers(network).items():
        rank, effective = before.get(name, layer.rank), int(layer.weights.count_nonzero())
        if rank < layer.rank:
            raise NetworkError(
                f"layer {name or '(itself)'!r} has {layer.rank} components and had {rank} in the parent's list; give "
                "the layers of the run that the network started from"
            )
        size = component_size(layer)
        bias = 0 if layer.bias is None else layer.out_channels
        row = {"layer": name, "block": block_of(name), "rank": rank, "effective_rank": effective}
        row |= {"zeros": rank - effective, "component_parameters": size, "parameters": rank * size + bias}
        rows.append(row | {"removed": (rank - effective) * size})
    return rows


def removed_shares(network: nn.Module, parent: Sequence[Mapping[str, Any]] | None = None) -> dict[str, float]:
    """Divide what LASSO removed by each of the denominators that a "share removed" may have.

    Parameters
    ----------
    network, parent
        See `rank_table`.

    Returns
    -------
    dict of str to float
        "all": removed parameters over all of the network before removal; "factorized": over those of its factorized
        layers; "components": zero λ over all λ.

    Raises
    ------
    NetworkError
        See `rank_table`.
    """
    rows = rank_table(network, parent)
    removed, factorized, zeros, ranks = (
        sum(row[column] for row in rows) for column in ("removed", "parameters", "zeros", "rank")
    )
    layers = factorized_layers(network)
    kept = sum(parameter.numel() for layer in layers.values() for parameter in layer.parameters())
    total = parameter_count(network) - kept + factorized
    return {"all": removed / total, "factorized": removed / factorized, "components": zeros / ranks}
