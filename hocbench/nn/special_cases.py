"""Bottleneck and inverted-residual blocks as factorized convolutions, which the paper calls special cases.

Without their inner activations the three convolutions of such a block are the steps of one factorized convolution,
and the weights can be copied across: a bottleneck is a Tucker convolution with full ranks in space, an inverted
residual (MobileNet-v2) a CP convolution, once each depthwise filter is split into rank-one terms.
"""

import copy
from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.factorized import FactorizedConv
from hocbench.nn.geometry import PADDING_MODES, geometry_of
from hocbench.nn.plain import norm_of_channels

BLOCKS = ("bottleneck", "inverted residual")
_NAMES = {"bottleneck": ("reduce", "conv", "expand"), "inverted residual": ("expand", "depthwise", "project")}


def bottleneck_to_tucker(
    reduce: nn.Conv2d, conv: nn.Conv2d, expand: nn.Conv2d, inner_norm: nn.BatchNorm2d | None = None
) -> FactorizedConv:
    """Copy the convolutions of a bottleneck block into one Tucker convolution.

    Parameters
    ----------
    reduce, conv, expand : Conv2d
        1×1 from C to M channels, k×k from M to M', 1×1 from M' to T. A bias may stand in the last one only.
    inner_norm : BatchNorm2d, optional
        What follows ``reduce``; it is copied as the Ψ of the layer, which puts a ReLU after it.

    Returns
    -------
    FactorizedConv
        Ranks (M', M, k, k): the core is the kernel of ``conv``, the factors of height and width are identities.
        Equal to ``expand(conv(reduce(x)))``, with ``inner_norm`` to ``expand(conv(relu(inner_norm(reduce(x)))))``.

    Raises
    ------
    NetworkError
        Naming the convolution that has groups, a bias, another number of channels or another geometry, or NaN.
    """
    _check("bottleneck", reduce, conv, expand, inner_norm)
    core = conv.weight.detach()
    height, width = core.shape[2:]
    tensors = {
        "core": core,
        "output": expand.weight.detach().flatten(1),
        "input": reduce.weight.detach().flatten(1).t(),
        "height": torch.eye(height).to(core),
        "width": torch.eye(width).to(core),
    }
    layer = FactorizedConv.from_tensors(tensors, "tucker", geometry_of(conv), expand.bias).train(conv.training)
    if inner_norm is not None:
        layer.inner_norm = copy.deepcopy(inner_norm).to(core).requires_grad_()
    return layer


def inverted_residual_to_cp(
    expand: nn.Conv2d, depthwise: nn.Conv2d, project: nn.Conv2d, inner_norm: nn.BatchNorm2d | None = None
) -> FactorizedConv:
    """Copy the convolutions of an inverted residual block into one CP convolution; see `bottleneck_to_tucker`.

    Parameters
    ----------
    expand, depthwise, project : Conv2d
        1×1 from C to R channels, k×k with R groups, 1×1 from R to T. A bias may stand in the last one only.
    inner_norm : BatchNorm2d, optional
        What follows ``expand``; it is copied as the Ψ of the layer, which puts a ReLU after it. The block's ReLU6
        is the same as long as no value exceeds 6.

    Returns
    -------
    FactorizedConv
        Equal to ``project(depthwise(expand(x)))``, with ``inner_norm`` to
        ``project(depthwise(relu(inner_norm(expand(x)))))``. Its rank is the sum of the ranks of the k×k filters, at
        most k·R: each is split by a singular value decomposition, λ are the singular values. Terms below ``k · ε`` of
        a filter's largest one are rounding noise and left out, with ε of the weights' precision.
    """
    _check("inverted residual", expand, depthwise, project, inner_norm)
    filters = depthwise.weight.detach()
    channels, values, heights, widths = _rank_one_terms(filters[:, 0])
    tensors = {
        "weights": values,
        "output": project.weight.detach().flatten(1)[:, channels],
        "input": expand.weight.detach().flatten(1).t()[:, channels],
        "height": heights,
        "width": widths,
    }
    geometry = geometry_of(depthwise)
    layer = FactorizedConv.from_tensors(tensors, "cp", geometry, project.bias).train(depthwise.training)
    if inner_norm is not None:
        layer.inner_norm = norm_of_channels(inner_norm, channels).to(filters).requires_grad_()
    return layer


def _rank_one_terms(filters: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Split filters ``(R, kh, kw)`` into n rank-one terms, one at least.

    Returns the filter that each term belongs to (n,), its singular value (n,), column (kh, n) and row (kw, n).
    """
    columns, values, rows = torch.linalg.svd(filters.double(), full_matrices=False)
    tolerance = max(filters.shape[1:]) * torch.finfo(filters.dtype).eps * values[:, :1]
    terms = values > tolerance
    # A convolution must have a component, even if all filters are zero.
    terms[0, 0] |= not terms.any()
    channels, places = torch.nonzero(terms, as_tuple=True)
    parts = values[channels, places], columns[channels, :, places].t(), rows[channels, places].t()
    value, height, width = (part.to(filters) for part in parts)
    return channels, value, height, width


def _check(block: str, first: Any, middle: Any, last: Any, norm: Any) -> None:
    """Refuse what cannot be copied, naming the convolution."""
    layers = dict(zip(_NAMES[block], (first, middle, last), strict=True))
    problems = chain(_strange_layers(layers), _extra_terms(layers), _other_channels(layers, norm))
    if (problem := next(problems, None)) is not None:
        raise NetworkError(f"{block} block: {problem}")


def _strange_layers(layers: dict[str, Any]) -> Iterator[str]:
    for name, layer in layers.items():
        if type(layer) is not nn.Conv2d:
            yield f"{name!r} is a {type(layer).__name__}; give a Conv2d"
        if not torch.isfinite(layer.weight).all():
            yield f"{name!r} holds NaN or infinity; give finite weights"
    _, place, _ = layers
    for name, layer in layers.items():
        wanted = layer.in_channels if name == "depthwise" else 1
        if layer.groups != wanted:
            yield f"{name!r} has {layer.groups} groups; give a convolution with {wanted}"
        shape = (layer.kernel_size, layer.stride, layer.padding)
        if name != place and shape != ((1, 1), (1, 1), (0, 0)):
            yield (
                f"{name!r} has kernel {shape[0]}, stride {shape[1]}, padding {shape[2]}; give a plain 1×1 convolution "
                f"and put stride and padding into {place!r}"
            )
    middle = layers[place]
    if middle.padding_mode not in PADDING_MODES or isinstance(middle.padding, str):
        modes = " or ".join(PADDING_MODES)
        yield f"{place!r} has padding {middle.padding!r}, {middle.padding_mode}; give numbers, {modes}"


def _extra_terms(layers: dict[str, nn.Conv2d]) -> Iterator[str]:
    before, name, after = layers
    if layers[before].bias is not None:
        yield (
            f"{before!r} has a bias, which next to the padding acts like no bias at the end; build it with bias=False, "
            "as before a BatchNorm"
        )
    if layers[name].bias is not None:
        yield (
            f"{name!r} has a bias, and a factorized convolution adds one at its end only; add {after}.weight · "
            f"{name}.bias to the bias of {after!r} and build {name!r} with bias=False"
        )


def _other_channels(layers: dict[str, nn.Conv2d], norm: Any) -> Iterator[str]:
    before, name, after = layers
    first, middle, last = layers.values()
    if middle.in_channels != first.out_channels:
        yield f"{name!r} takes {middle.in_channels} channels and {before!r} gives {first.out_channels}; make them agree"
    if name == "depthwise" and middle.out_channels != middle.in_channels:
        yield (
            f"{name!r} makes {middle.out_channels} channels of {middle.in_channels}; give one filter for each channel"
        )
    if last.in_channels != middle.out_channels:
        yield f"{after!r} takes {last.in_channels} channels and {name!r} gives {middle.out_channels}; make them agree"
    if norm is not None and norm.num_features != first.out_channels:
        yield (
            f"inner_norm has {norm.num_features} channels and {before!r} gives {first.out_channels}; "
            f"give the BatchNorm after {before!r}"
        )
