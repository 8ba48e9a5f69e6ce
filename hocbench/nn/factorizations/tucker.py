"""Tucker kernels: a small core, and a factor per mode."""

import math
import string
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from hocbench.nn.contraction import Kernels, unit_columns
from hocbench.nn.factorizations.contract import (
    Factorization,
    Rank,
    Sizes,
    Tensors,
    check_ranks,
    matched_sizes,
    positive_multiple,
)
from hocbench.nn.geometry import Geometry


class Tucker(Factorization):
    """``core`` of shape (R_out, R_in, R_K1 ...), one factor (size, R_mode) per mode.

    Unless ranks are given one by one, height and width keep their full size, as usual for convolutions, and time at
    order 3 has rank 1, as after transduction.
    """

    name = "tucker"
    core_name = "core"

    def resolve_rank(self, rank: Rank, sizes: Sizes) -> tuple[int, ...]:
        """Return one rank per mode.

        An int is the rank of both channel modes (at most their size). A multiple of "same" scales both channel modes
        so that core and factors have that share of the dense parameters.
        """
        multiple = positive_multiple(rank)
        if isinstance(rank, tuple | list):
            return check_ranks(rank, list(sizes), "Tucker")
        matched = matched_sizes(sizes)
        if multiple is None:
            channels = [min(int(rank), sizes["output"]), min(int(rank), sizes["input"])]
        else:
            channels = _matched_channels(multiple, matched)
        return (*channels, *(size if mode in matched else 1 for mode, size in list(sizes.items())[2:]))

    def shapes(self, rank: tuple[int, ...], sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """Return the core and one matrix per mode."""
        factors = {mode: (size, r) for (mode, size), r in zip(sizes.items(), rank, strict=True)}
        return {"core": tuple(rank), **factors}

    def rank_of(self, tensors: Tensors) -> tuple[int, ...]:
        """Return the shape of the core."""
        return tuple(tensors["core"].shape)

    def initial(self, rank: tuple[int, ...], sizes: Sizes) -> dict[str, Tensor]:
        """Draw columns on the unit sphere and a normal core whose variance makes up for all sizes and ranks."""
        variance = 2 * sizes["output"] / math.prod(rank)
        factors = {mode: unit_columns(size, r) for (mode, size), r in zip(sizes.items(), rank, strict=True)}
        return {"core": torch.randn(rank) * math.sqrt(variance), **factors}

    def kernel(self, tensors: Tensors, sizes: Sizes) -> Tensor:
        """Multiply the core by the factor of each mode, the small modes first."""
        kernel = tensors["core"]
        for axis in reversed(range(len(sizes))):
            kernel = torch.tensordot(kernel, tensors[list(sizes)[axis]], ([axis], [1])).movedim(-1, axis)
        return kernel

    def parts(self, tensors: Tensors, geometry: Geometry) -> tuple[Tensor, Kernels, Tensor]:
        """Contract the core with its dimensions; a leading mode of rank 1 is one filter for all channels."""
        core, modes = tensors["core"], list(tensors)[3:]
        if geometry.order == 3 and core.shape[2] == 1:
            plane = _contract(core[:, :, 0], [tensors[mode] for mode in modes[1:]])
            kernels = [plane, tensors[modes[0]].t().unsqueeze(1).expand(core.shape[0], 1, -1)]
        else:
            whole = _contract(core, [tensors[mode] for mode in modes])
            kernels = [whole.unsqueeze(2) if geometry.order == 1 else whole]
        return tensors["input"].t(), [(kernel, geometry) for kernel in kernels], tensors["output"]

    def multiply_adds(
        self, rank: tuple[int, ...], sizes: Sizes, before: Sequence[int], after: Sequence[int]
    ) -> tuple[int, int]:
        """Count the two projections and the convolution by the core, as `parts` has them."""
        kernel = list(sizes.values())[2:]
        chain = sizes["input"] * rank[1] * math.prod(before) + sizes["output"] * rank[0] * math.prod(after)
        if len(kernel) == 3 and rank[2] == 1:
            chain += rank[0] * rank[1] * math.prod(kernel[1:]) * before[0] * math.prod(after[1:])
            chain += rank[0] * kernel[0] * math.prod(after)
        else:
            chain += rank[0] * rank[1] * math.prod(kernel) * math.prod(after)
        rebuild = rank[0] * math.prod(kernel) * sizes["input"] * (rank[1] + sizes["output"])
        return chain, rebuild

    def add_mode(self, tensors: Tensors, sizes: Sizes, name: str, taps: Tensor) -> dict[str, Tensor]:
        """Give the core one more mode of rank 1."""
        core = tensors["core"].unsqueeze(list(sizes).index(name))
        return {"core": core, **{mode: taps.unsqueeze(1) if mode == name else tensors[mode] for mode in sizes}}

    def decompose(self, kernel: Tensor, rank: tuple[int, ...], seed: int, iterations: int) -> list[Tensor]:
        """Higher-order orthogonal iteration."""
        from tensorly import backend_context
        from tensorly.decomposition import tucker

        with backend_context("pytorch", local_threadsafe=True), warnings.catch_warnings():
            # It asks for more vectors than there are, takes what there is and says so.
            warnings.filterwarnings("ignore", message="Trying to compute SVD with n_eigenvecs")
            # tensorly's start goes wrong for ranks above the size of a mode.
            capped = [min(r, size) for r, size in zip(rank, kernel.shape, strict=True)]
            core, factors = tucker(kernel, capped, n_iter_max=iterations, init="svd", random_state=seed)
        return [core, *factors]


def _contract(core: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Multiply the modes after the first two by their factors."""
    letters = string.ascii_lowercase[2 : 2 + len(factors)]
    equation = f"ab{letters},{','.join(up + low for up, low in zip(letters.upper(), letters, strict=True))}"
    return torch.einsum(f"{equation}->ab{letters.upper()}", core, *factors)


def _matched_channels(multiple: float, sizes: Sizes) -> list[int]:
    """Scale both channel modes by one number c: core c²·ΠN, channel factors c·(out² + in²), spatial factors ΣK²."""
    squares = [size**2 for size in sizes.values()]
    dense, spatial = math.prod([*sizes.values()]), sum(squares[2:])
    linear, constant = squares[0] + squares[1], spatial - multiple * dense
    c = (-linear + math.sqrt(max(linear**2 - 4 * dense * constant, 0.0))) / (2 * dense)
    return [max(1, round(min(c, 1.0) * sizes[mode])) for mode in ("output", "input")]
