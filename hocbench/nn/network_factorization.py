"""Factorization of a trained network's dense convolutions."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import nn

from hocbench.errors import NetworkError
from hocbench.nn.decomposition import Fit
from hocbench.nn.factorizations import Rank
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.plain import ITSELF, Network, below, check_skip, copied, obstacle, replace_modules
from hocbench.nn.resnet import config_of


def factorize(
    network: Network,
    rank: Rank = "same",
    *,
    factorization: str = "cp",
    seed: int = 0,
    iterations: int = 100,
    pointwise: bool = False,
    skip: Iterable[str] = (),
) -> tuple[Network, dict[str, Fit]]:
    """Factorize every dense convolution of a copy of a trained network.

    What is no plain convolution with one group, in type, parameters or padding, is left as it is, with the reason in
    its `Fit`, and so is what shares its kernel with such a layer. Hooks and tied parameters stay.

    Parameters
    ----------
    rank, factorization, seed, iterations
        See `FactorizedConv.from_dense`.
    pointwise : bool
        Whether 1×1 convolutions are factorized too; if not they are left, and not listed.
    skip : iterable of str
        Names of layers, or of modules with all that is in them, to leave as they are.

    Returns
    -------
    module, dict of str to Fit
        The copy, and the error of each layer, or why it was left.

    Raises
    ------
    NetworkError
        If there is no dense convolution, or naming the layer that holds NaN or takes more memory than is free.
    """
    config = config_of(network)
    if config is not None and config.kind not in ("dense", "inflated"):
        raise NetworkError(f"factorize wants a dense network, this one is of kind {config.kind!r}")
    result = copied(network)
    modules = dict(result.named_modules(remove_duplicate=False))
    reasons = _reasons(modules, pointwise, check_skip(skip, modules, "factorize"))
    options: dict[str, Any] = {"factorization": factorization, "seed": seed, "iterations": iterations}
    result, fits = _replace(result, reasons, partial(FactorizedConv.from_dense, rank=rank, **options))
    if not fits:
        raise NetworkError("factorize: the network has no dense convolution to factorize")
    if config is not None:
        left = [name for name, fit in fits.items() if fit.left is not None]
        result.config = config.factorized(factorization, rank, pointwise, left)
    return result, fits


def _reasons(modules: dict[str, nn.Module], pointwise: bool, skipped: frozenset[str]) -> dict[str, str | None]:
    """Return why a convolution must be left as it is, by its name, None if it need not."""
    convolutions: dict[str, Any] = {
        name: module
        for name, module in modules.items()
        if isinstance(module, nn.modules.conv._ConvNd) and (pointwise or max(module.kernel_size) > 1)
    }
    reasons = {
        name: "is skipped, as asked for" if below(name, skipped) else obstacle(conv)
        for name, conv in convolutions.items()
    }
    free = {id(convolutions[name]) for name, reason in reasons.items() if reason is None}
    free -= {id(convolutions[name]) for name, reason in reasons.items() if reason is not None}
    # Whoever else has the kernel would be left without it.
    holders = {
        id(parameter): name
        for name, module in modules.items()
        if id(module) not in free
        for parameter in module._parameters.values()
        if parameter is not None
    }
    for name, conv in convolutions.items():
        if reasons[name] is None and id(conv) not in free:
            reasons[name] = "is skipped under another of its names"
        elif reasons[name] is None and id(conv.weight) in holders:
            reasons[name] = f"shares its kernel with {holders[id(conv.weight)] or ITSELF!r}, which is left as it is"
    return reasons


def _replace(
    network: nn.Module, reasons: dict[str, str | None], decompose: Callable[..., tuple[FactorizedConv, Fit]]
) -> tuple[Any, dict[str, Fit]]:
    """Replace the convolutions that need not be left."""
    fits: dict[str, Fit] = {}
    # Layers with the same kernel have the same factors.
    shared: dict[int, FactorizedConv] = {}

    def make(name: str, module: Any) -> nn.Module | None:
        if name not in reasons:
            return None
        if (reason := reasons[name]) is not None:
            fits[name] = Fit(0.0, None, reason)
            return None
        layer, fits[name] = decompose(module, name=name or ITSELF)
        layer.bias = module.bias
        if (twin := shared.setdefault(id(module.weight), layer)) is not layer:
            layer.hold(twin.tensors)
        return layer

    return replace_modules(network, make), fits
