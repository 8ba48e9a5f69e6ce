"""Factorizing trained dense convolutions."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorizations import Rank
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import PADDING_MODES
from hocbench.nn.plain import below, carry_hooks, check_skip, copied, peculiarity
from hocbench.nn.resnet import config_of

Network = TypeVar("Network", bound=nn.Module)
_ORDERS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


@dataclass(frozen=True)
class Fit:
    """How well a factorized kernel fits the dense one.

    Attributes
    ----------
    relative_error : float
        ``‖W - Ŵ‖ / ‖W‖``, Frobenius norms, float64; 0 for a layer that was left as it was.
    rank : int, tuple of int or None
        Of the factorized kernel; None for a layer that was left.
    left : str or None
        Why the layer was left as it was, None if it was factorized.
    """

    relative_error: float
    rank: Any
    left: str | None = None


def decompose_convolution(
    conv: nn.Module,
    rank: Rank = "same",
    *,
    factorization: str = "cp",
    seed: int = 0,
    iterations: int = 100,
    name: str = "(itself)",
) -> tuple[FactorizedConv, Fit]:
    """Approximate a dense convolution; see `FactorizedConv.from_dense`."""
    source: Any = conv
    if (reason := _obstacle(source)) is not None:
        raise NetworkError(f"layer {name!r} {reason}")
    kernel = source.weight.detach()
    if not torch.isfinite(kernel).all():
        raise NetworkError(f"layer {name!r} holds NaN or infinity; it cannot be decomposed")
    # On the meta device nothing is drawn from the global generator, and no memory is taken before it is checked.
    with torch.device("meta"):
        layer = FactorizedConv(
            source.in_channels,
            source.out_channels,
            source.kernel_size,
            factorization=factorization,
            rank=rank,
            stride=source.stride,
            padding=source.padding,
            dilation=source.dilation,
            padding_mode=source.padding_mode,
        )
    _check_memory(layer, name)
    tensors = _decomposed(kernel, layer, seed, iterations)
    layer = layer.with_tensors({key: tensor.to(kernel) for key, tensor in tensors.items()})
    layer.requires_grad_(source.weight.requires_grad)
    if source.bias is not None:
        layer.bias = nn.Parameter(source.bias.detach().clone(), requires_grad=source.bias.requires_grad)
    return layer.train(source.training), Fit(relative_error(kernel, layer.dense_kernel()), layer.rank)


def _obstacle(conv: Any) -> str | None:
    """Say why a module cannot be factorized, None if it can."""
    if type(conv) not in _ORDERS:
        strange = peculiarity(conv, ("weight", "bias"))
        return f"is a {type(conv).__name__}; give a Conv1d, Conv2d or Conv3d" + (f" ({strange})" if strange else "")
    if (strange := peculiarity(conv, ("weight", "bias"))) is not None:
        return f"is not the {type(conv).__name__} that torch makes: {strange}"
    if conv.groups != 1:
        return f"has {conv.groups} groups; only convolutions with one group are factorized"
    if conv.padding_mode not in PADDING_MODES or isinstance(conv.padding, str):
        return f"has padding {conv.padding!r}, {conv.padding_mode}; give numbers, zeros or replicate"
    return None


@torch.no_grad()
def _decomposed(kernel: Tensor, layer: FactorizedConv, seed: int, iterations: int) -> dict[str, Tensor]:
    if not kernel.any():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return layer.scheme.zeros(layer.rank, layer.sizes)
    tensors = layer.scheme.decompose(kernel.double().cpu(), layer.rank, seed, iterations)
    return dict(zip(layer.tensors, tensors, strict=True))


def relative_error(kernel: Tensor, approximation: Tensor) -> float:
    """Return ``‖W - Ŵ‖ / ‖W‖``; 0 for two empty or zero kernels."""
    exact, close = kernel.detach().double(), approximation.detach().double()
    norm = exact.norm().item()
    distance = (exact - close).norm().item()
    return distance / norm if norm else (0.0 if distance == 0 else math.inf)


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
    """Factorize every dense convolution of a trained network.

    What is no plain convolution with one group, in type, parameters or padding, is left as it is, with the reason in
    its `Fit`, and so is what shares its kernel with such a layer. Hooks and tied parameters stay.

    Parameters
    ----------
    network : module
        It stays untouched.
    rank, factorization
        See `FactorizedConv`.
    seed : int
        Start of the iterations; with it the result is the same every time.
    iterations : int
        At most so many sweeps per layer.
    pointwise : bool
        Whether 1×1 convolutions are factorized too; if not they are left, and not listed.
    skip : iterable of str
        Names of layers, or of modules with all that is in them, to leave as they are.

    Returns
    -------
    module, dict of str to Fit
        A factorized copy, and the error of each layer, or why it was left.

    Raises
    ------
    NetworkError
        If there is no dense convolution, or naming the layer that holds NaN or takes more memory than is free.
    """
    config = config_of(network)
    if config is not None and config.kind not in ("dense", "inflated"):
        raise NetworkError(f"factorize wants a dense network, this one is of kind {config.kind!r}")
    result: Any = copied(network)
    found = dict(result.named_modules(remove_duplicate=False))
    reasons = _reasons(found, pointwise, check_skip(skip, found, "factorize"))
    fits: dict[str, Fit] = {}
    done: dict[int, nn.Module] = {}
    # Layers with the same kernel have the same factors.
    shared: dict[int, FactorizedConv] = {}
    options: dict[str, Any] = {"factorization": factorization, "seed": seed, "iterations": iterations}
    for name, reason in reasons.items():
        module: Any = found[name]
        if reason is not None and id(module) not in done:
            fits[name], done[id(module)] = Fit(0.0, None, reason), module
        elif id(module) not in done:
            layer, fits[name] = decompose_convolution(module, rank, name=name or "(itself)", **options)
            layer.bias = module.bias
            if (twin := shared.setdefault(id(module.weight), layer)) is not layer:
                layer.hold(twin.tensors)
            carry_hooks(module, layer)
            done[id(module)] = layer
        if not name:
            result = done[id(module)]
        else:
            result.set_submodule(name, done[id(module)])
    if not fits:
        raise NetworkError("factorize: the network has no dense convolution to factorize")
    if config is not None:
        left = [name for name, fit in fits.items() if fit.left is not None]
        result.config = config.factorized(factorization, rank, pointwise, left)
    return result, fits


def _reasons(found: dict[str, nn.Module], pointwise: bool, skipped: frozenset[str]) -> dict[str, str | None]:
    """Say of each convolution why it must be left, None if it need not."""
    convolutions: dict[str, Any] = {
        name: module
        for name, module in found.items()
        if isinstance(module, nn.modules.conv._ConvNd) and (pointwise or max(module.kernel_size) > 1)
    }
    reasons = {
        name: "is skipped, as asked for" if below(name, skipped) else _obstacle(conv)
        for name, conv in convolutions.items()
    }
    free = {id(convolutions[name]) for name, reason in reasons.items() if reason is None}
    free -= {id(convolutions[name]) for name, reason in reasons.items() if reason is not None}
    # Whoever else has the kernel would be left without it.
    holders = {
        id(parameter): name
        for name, module in found.items()
        if id(module) not in free
        for parameter in module._parameters.values()
        if parameter is not None
    }
    for name, conv in convolutions.items():
        if reasons[name] is None and id(conv) not in free:
            reasons[name] = "is skipped under another of its names"
        elif reasons[name] is None and id(conv.weight) in holders:
            reasons[name] = f"shares its kernel with {holders[id(conv.weight)] or '(itself)'!r}, which is left as it is"
    return reasons


def _check_memory(layer: FactorizedConv, name: str) -> None:
    """Refuse what would not fit: the Khatri-Rao product of all modes but the smallest, and the unfolded kernel."""
    sizes = list(layer.sizes.values())
    kernel = math.prod(sizes)
    widest = 1
    if layer.factorization == "cp":
        widest = kernel // min(sizes) * layer.rank + layer.rank**2
    needed, free = 8 * (3 * kernel + widest), psutil.virtual_memory().available
    if needed > free:
        raise NetworkError(
            f"layer {name!r}: a {layer.factorization} decomposition of rank {layer.rank} needs about "
            f"{needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; choose a smaller rank"
        )
