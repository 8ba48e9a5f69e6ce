"""Tensor-train kernels: a chain of three-way tensors from the input channels over the dimensions to the output."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hocbench.nn.contraction import Kernels
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


class TensorTrain(Factorization):
    """One tensor (r_before, size, r_after) per mode, in the order input, dimensions, output, as in tensorly-torch."""

    name = "tt"
    core_name = None

    def resolve_rank(self, rank: Rank, sizes: Sizes) -> tuple[int, ...]:
        """Return the ranks between neighbours in the chain.

        An int is used for all. A multiple of "same" scales the largest ranks that such a kernel can have by one
        number, so that the chain has that share of the dense parameters. (tensorly makes ranks proportional to the
        sizes of neighbouring modes, which for kernels gives bonds wider than the channels before them.)
        """
        multiple = positive_multiple(rank)
        order = len(sizes) - 2
        if isinstance(rank, tuple | list):
            return check_ranks(rank, [f"bond {i + 1}" for i in range(order + 1)], "tensor-train")
        matched = matched_sizes(sizes)
        chain = [matched[mode] for mode in _chain(matched)]
        one = [int(rank)] * (len(chain) - 1) if multiple is None else []
        ranks = _attainable(one, chain) if multiple is None else _matched(multiple, chain)
        missing = [i for i, mode in enumerate(list(sizes)[2:]) if mode not in matched]
        for position in missing:
            # Time passes the bond on, as after transduction.
            ranks.insert(position, ranks[position])
        return tuple(ranks)

    def shapes(self, rank: tuple[int, ...], sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """Return one three-way tensor per mode, listed as output, input, dimensions."""
        bonds = (1, *rank, 1)
        chain = {mode: (bonds[i], sizes[mode], bonds[i + 1]) for i, mode in enumerate(_chain(sizes))}
        return {mode: chain[mode] for mode in sizes}

    def rank_of(self, tensors: Tensors) -> tuple[int, ...]:
        """Return the bonds."""
        return tuple(tensors[mode].shape[2] for mode in _chain(tensors)[:-1])

    def initial(self, rank: tuple[int, ...], sizes: Sizes) -> dict[str, Tensor]:
        """Draw normal entries that keep the variance of what passes, and double it at the end."""
        drawn = {}
        for mode, (before, size, after) in self.shapes(rank, sizes).items():
            variance = 2 / before if mode == "output" else 1 / (before * size)
            drawn[mode] = torch.randn(before, size, after) * math.sqrt(variance)
        return drawn

    def kernel(self, tensors: Tensors, sizes: Sizes) -> Tensor:
        """Multiply along the chain."""
        kernel = tensors["input"]
        for mode in _chain(sizes)[1:]:
            kernel = torch.tensordot(kernel, tensors[mode], ([-1], [0]))
        return kernel.squeeze(0).squeeze(-1).movedim(-1, 0)

    def parts(self, tensors: Tensors, geometry: Geometry) -> tuple[Tensor, Kernels, Tensor]:
        """Make a kernel per dimension, which extends along that alone."""
        kernels: Kernels = []
        for d, mode in enumerate(list(tensors)[2:]):
            # (before, k, after) → (after, before, k)
            kernel = tensors[mode].permute(2, 0, 1)
            if geometry.order < 3 or d > 0:
                kernel = kernel.unsqueeze(-1 if geometry.order - d == 2 else -2)
            kernels.append((kernel, geometry.only(d)))
        return tensors["input"].squeeze(0).t(), kernels, tensors["output"].squeeze(-1).t()

    def multiply_adds(
        self, rank: tuple[int, ...], sizes: Sizes, before: Sequence[int], after: Sequence[int]
    ) -> tuple[int, int]:
        """Count the chain as `parts` has it."""
        bonds = (1, *rank, 1)
        chain = sizes["input"] * bonds[1] * math.prod(before)
        rebuild, built = 0, sizes["input"]
        for d, mode in enumerate(list(sizes)[2:]):
            positions = math.prod(after[: d + 1]) * math.prod(before[d + 1 :])
            chain += bonds[d + 1] * sizes[mode] * bonds[d + 2] * positions
            rebuild += built * bonds[d + 1] * sizes[mode] * bonds[d + 2]
            built *= sizes[mode]
        chain += sizes["output"] * bonds[-2] * math.prod(after)
        return chain, rebuild + built * bonds[-2] * sizes["output"]

    def add_mode(self, tensors: Tensors, sizes: Sizes, name: str, taps: Tensor) -> dict[str, Tensor]:
        """Pass the bond on through the new mode, times the taps."""
        chain = _chain(sizes)
        bond = tensors[chain[chain.index(name) - 1]].shape[2]
        link = taps[None, :, None] * torch.eye(bond, dtype=taps.dtype, device=taps.device).unsqueeze(1)
        return {mode: link if mode == name else tensors[mode] for mode in sizes}

    def decompose(self, kernel: Tensor, rank: tuple[int, ...], seed: int, iterations: int) -> list[Tensor]:
        """Cut off singular values along the chain; needs neither seed nor iterations."""
        from tensorly import backend_context
        from tensorly.decomposition import tensor_train

        with backend_context("pytorch", local_threadsafe=True):
            cores = list(tensor_train(kernel.movedim(0, -1), rank=[1, *rank, 1]))
        # tensorly cuts bonds to what the kernel can fill; the layer keeps those that were asked for.
        bonds = (1, *rank, 1)
        cores = [
            functional.pad(core, (0, bonds[i + 1] - core.shape[2], 0, 0, 0, bonds[i] - core.shape[0]))
            for i, core in enumerate(cores)
        ]
        return [cores[-1], *cores[:-1]]


def _chain(sizes: Sizes | Tensors) -> list[str]:
    """Order modes as in the chain: input, dimensions, output."""
    out, first, *dimensions = sizes
    return [first, *dimensions, out]


def _attainable(ranks: list[int], chain: Sequence[int]) -> list[int]:
    """Cut each rank to the smaller of the products of sizes on its two sides."""
    return [min(r, math.prod(chain[: i + 1]), math.prod(chain[i + 1 :])) for i, r in enumerate(ranks)]


def _matched(multiple: float, chain: Sequence[int]) -> list[int]:
    """Scale the attainable ranks by one number: ends grow with it, the rest with its square."""
    most = _attainable([math.prod(chain)] * (len(chain) - 1), chain)
    ends = chain[0] * most[0] + most[-1] * chain[-1]
    rest = sum(most[i] * chain[i + 1] * most[i + 1] for i in range(len(most) - 1))
    wanted = multiple * math.prod(chain)
    scale = (-ends + math.sqrt(ends**2 + 4 * rest * wanted)) / (2 * rest)
    return [max(1, round(min(scale, 1.0) * bond)) for bond in most]
