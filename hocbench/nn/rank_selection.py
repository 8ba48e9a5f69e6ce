"""Where a layer is, and what goes with one of its components."""

from hocbench.nn.factorized import FactorizedConv


def block_of(name: str) -> str:
    """Return the residual block of a layer: "layer2.0" for "layer2.0.conv1" and "layer2.0.shortcut.1"."""
    inside, shortcut, _ = name.partition(".shortcut.")
    return inside if shortcut else name.rpartition(".")[0] or name


def component_size(layer: FactorizedConv) -> int:
    """Count the parameters of one CP component: its λ, a column of each factor, two of an inner BatchNorm."""
    return 1 + sum(layer.sizes.values()) + (0 if layer.inner_norm is None else 2)
