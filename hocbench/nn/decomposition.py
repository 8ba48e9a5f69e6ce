"""Factorizing trained dense convolutions."""

import copy
import math
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorizations import Rank
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.resnet import config_of

Network = TypeVar("Network", bound=nn.Module)
_ORDERS: dict[type[nn.Module], int] = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


@dataclass(frozen=True)
class Fit:
    """How well a factorized kernel fits the dense one.

    Attributes
    ----------
    relative_error : float
        ``‖W - Ŵ‖ / ‖W‖``, Frobenius norms, float64.
    rank : int or tuple of int
        Of the factorized kernel.
    """

    relative_error: float
    rank: Any


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
    order = _ORDERS.get(type(conv), 0)
    if order == 0:
        raise NetworkError(f"layer {name!r} is a {type(conv).__name__}; give a Conv1d, Conv2d or Conv3d")
    source: Any = conv
    if source.groups != 1:
        raise NetworkError(
            f"layer {name!r} has {source.groups} groups; only convolutions with one group are factorized"
        )
    if source.padding_mode not in ("zeros", "replicate") or isinstance(source.padding, str):
        raise NetworkError(
            f"layer {name!r} has padding {source.padding!r}, {source.padding_mode}; give numbers, zeros or replicate"
        )
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
    try:
        with torch.no_grad():
            tensors = layer.scheme.decompose(kernel.double().cpu(), layer.rank, seed, iterations)
    except torch.linalg.LinAlgError:
        raise NetworkError(
            f"layer {name!r} cannot be decomposed at rank {layer.rank}: its least squares are singular; "
            "choose a smaller rank"
        ) from None
    names = list(layer.tensors)
    layer = layer.with_tensors({key: tensor.to(kernel) for key, tensor in zip(names, tensors, strict=True)})
    layer.requires_grad_(source.weight.requires_grad)
    if source.bias is not None:
        layer.bias = nn.Parameter(source.bias.detach().clone(), requires_grad=source.bias.requires_grad)
    return layer.train(source.training), Fit(relative_error(kernel, layer.dense_kernel()), layer.rank)


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
) -> tuple[Network, dict[str, Fit]]:
    """Factorize every dense convolution of a trained network.

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
        Whether 1×1 convolutions are factorized too.

    Returns
    -------
    module, dict of str to Fit
        A factorized copy, and the error of each layer.

    Raises
    ------
    NetworkError
        Naming the layer that cannot be factorized.
    """
    result, fits = copy.deepcopy(network), {}
    config = config_of(network)
    if config is not None and config.kind not in ("dense", "inflated"):
        raise NetworkError(f"factorize wants a dense network, this one is of kind {config.kind!r}")
    options: dict[str, Any] = {"factorization": factorization, "seed": seed, "iterations": iterations}
    done: dict[int, nn.Module] = {}
    # A convolution that is used at several places stays one.
    for name, module in list(result.named_modules(remove_duplicate=False)):
        if id(module) not in done and type(module) in _ORDERS and (pointwise or max(_kernel_size(module)) > 1):
            done[id(module)], fits[name] = decompose_convolution(module, rank, name=name or "(itself)", **options)
        if id(module) in done and not name:
            return done[id(module)], fits  # type: ignore[return-value]
        if id(module) in done:
            result.set_submodule(name, done[id(module)])
    if not fits:
        raise NetworkError("factorize: the network has no dense convolution to factorize")
    if config is not None:
        result.config = config.factorized(factorization, rank, pointwise)  # type: ignore[assignment]
    return result, fits


def _kernel_size(module: Any) -> tuple[int, ...]:
    return module.kernel_size


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
