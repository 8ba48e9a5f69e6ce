"""Weights exchanged with tensorly-torch."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from hocbench.errors import NetworkError
from hocbench.nn.geometry import DIMENSIONS, Geometry, make_geometry

# How tensorly-torch computes its layers.
IMPLEMENTATIONS = ("factorized", "mobilenet", "reconstructed")


def build_tltorch(
    tensors: Mapping[str, Tensor], factorization: str, geometry: Geometry, bias: Tensor | None, implementation: str
) -> Any:
    """Build tensorly-torch's layer of tensors as of `FactorizedConv.tensors`, which are copied."""
    import tltorch

    copies = {name: nn.Parameter(tensor.detach().clone()) for name, tensor in tensors.items()}
    factors = [parameter for name, parameter in copies.items() if name not in ("weights", "core")]
    if factorization == "cp":
        tensor = tltorch.CPTensor(copies["weights"], factors)
    elif factorization == "tucker":
        tensor = tltorch.TuckerTensor(copies["core"], factors)
    else:
        chain = [*factors[1:], factors[0]]
        bonds = (1, *(factor.shape[2] for factor in chain))
        tensor = tltorch.TTTensor(chain, shape=tuple(factor.shape[1] for factor in chain), rank=bonds)
    return tltorch.FactorizedConv.from_factorization(
        tensor,
        implementation=implementation,
        stride=list(geometry.stride),
        padding=list(geometry.padding),
        dilation=list(geometry.dilation),
        bias=None if bias is None else nn.Parameter(bias.detach().clone()),
    )


def read_tltorch(conv: Any) -> tuple[dict[str, Tensor], str, Geometry, Tensor | None]:
    """Return tensors as of `FactorizedConv.tensors`, factorization, geometry and bias of tensorly-torch's layer.

    What is not a single CP, Tucker or tensor-train convolution raises a NetworkError.
    """
    import tltorch

    kinds = {tltorch.CPTensor: "cp", tltorch.TuckerTensor: "tucker", tltorch.TTTensor: "tt"}
    factorization = kinds.get(type(getattr(conv, "weight", None)))
    if factorization is None or conv.n_layers != 1:
        raise NetworkError(
            "from_tltorch wants one CP, Tucker or tensor-train FactorizedConv of tensorly-torch, "
            f"got {type(conv).__name__}"
        )
    sizes, stride, padding, dilation = (
        tuple(int(value) for value in values) for values in (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    )
    factors = list(conv.weight.factors)
    if factorization == "tt":
        factors = [factors[-1], *factors[:-1]]
    tensors = dict(zip(("output", "input", *DIMENSIONS[-len(sizes) :]), factors, strict=True))
    core = {"cp": "weights", "tucker": "core"}.get(factorization)
    first = {} if core is None else {core: getattr(conv.weight, core)}
    return first | tensors, factorization, make_geometry(sizes, stride, padding, dilation), conv.bias
