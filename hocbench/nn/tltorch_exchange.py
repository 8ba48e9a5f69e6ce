"""Weights exchanged with tensorly-torch, and its layer as a baseline."""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hocbench.errors import NetworkError

if TYPE_CHECKING:
    from hocbench.nn.factorized import FactorizedConv

IMPLEMENTATIONS = ("factorized", "mobilenet", "reconstructed")


def to_tltorch(layer: "FactorizedConv", implementation: str = "factorized") -> Any:
    """Build tensorly-torch's layer with the same weights; see `FactorizedConv.to_tltorch`."""
    import tltorch

    geometry = layer.geometry
    if layer.inner_norm is not None or "replicate" in geometry.padding_mode:
        raise NetworkError("to_tltorch: tensorly-torch has neither an inner activation nor replicate padding")
    tensors = {name: tensor.detach().clone() for name, tensor in layer.tensors.items()}
    factors = [nn.Parameter(tensors[name]) for name in layer.factor_names]
    rank: Any = layer.rank
    if layer.factorization == "cp":
        tensor = tltorch.CPTensor(nn.Parameter(tensors["weights"]), factors)
    elif layer.factorization == "tucker":
        tensor = tltorch.TuckerTensor(nn.Parameter(tensors["core"]), factors)
    else:
        sizes = layer.sizes
        shape = (*list(sizes.values())[1:], sizes["output"])
        tensor = tltorch.TTTensor([*factors[1:], factors[0]], shape=shape, rank=(1, *rank, 1))
    return tltorch.FactorizedConv.from_factorization(
        tensor,
        implementation=implementation,
        stride=list(geometry.stride),
        padding=list(geometry.padding),
        dilation=list(geometry.dilation),
        bias=None if layer.bias is None else nn.Parameter(layer.bias.detach().clone()),
    )


def from_tltorch(conv: Any) -> "FactorizedConv":
    """Take over tensorly-torch's layer; see `FactorizedConv.from_tltorch`."""
    import tltorch

    from hocbench.nn.factorized import FactorizedConv

    kinds = {tltorch.CPTensor: "cp", tltorch.TuckerTensor: "tucker", tltorch.TTTensor: "tt"}
    name = kinds.get(type(getattr(conv, "weight", None)))
    if name is None or conv.n_layers != 1:
        raise NetworkError(
            "from_tltorch wants one CP, Tucker or tensor-train FactorizedConv of tensorly-torch, "
            f"got {type(conv).__name__}"
        )
    tensor = conv.weight
    factors = [factor.detach() for factor in tensor.factors]
    if name == "tt":
        factors = [factors[-1], *factors[:-1]]
    rank: Any = tuple(int(r) for r in tensor.rank)[1:-1] if name == "tt" else tensor.rank
    if name == "tucker":
        rank = tuple(tensor.core.shape)
    layer = FactorizedConv(
        conv.in_channels,
        conv.out_channels,
        tuple(int(k) for k in conv.kernel_size),
        factorization=name,
        rank=rank,
        stride=_whole(conv.stride),
        padding=_whole(conv.padding),
        dilation=_whole(conv.dilation),
        bias=conv.bias is not None,
    ).to(device=factors[0].device, dtype=factors[0].dtype)
    own = {"cp": "weights", "tucker": "core"}.get(name)
    first = {} if own is None else {own: getattr(tensor, own).detach()}
    layer = layer.with_tensors(first | dict(zip(layer.factor_names, factors, strict=True)))
    if layer.bias is not None:
        layer.bias.data.copy_(conv.bias.detach())
    return layer


def _whole(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


class TltorchConv(nn.Module):
    """tensorly-torch's convolution, the baseline of a network of kind "tltorch".

    Parameters
    ----------
    conv : tltorch.FactorizedConv
        With initialised weights.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, C, ...)``; the library fails on empty batches and on channels-last input without copying."""
        return self.conv(x)
