"""Canonical polyadic kernels: a sum of R rank-one terms (section 3 of the paper)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hocbench.errors import NetworkError
from hocbench.nn.contraction import Kernels, cp_kernel, unit_columns
from hocbench.nn.factorizations.contract import (
    Factorization,
    Rank,
    Sizes,
    Tensors,
    matched_sizes,
    positive_multiple,
)
from hocbench.nn.factorizations.low_rank import low_rank_terms, padded, squeeze
from hocbench.nn.geometry import Geometry

# Vector units work on so many float32 at once, however few channels there are.
LANES = 8
# A multiply-add of a depthwise convolution takes as long as 8 of a dense one: it waits for memory (measured on a
# CPU, forward and backward, over the layers of ResNet-18; larger images take longer).
DEPTHWISE_EFFORT = 8


class CP(Factorization):
    """``[[λ; U_out, U_in, U_K1 ... U_KN]]``: ``weights`` λ of shape (R,), one factor (size, R) per mode."""

    name = "cp"
    core_name = "weights"

    def resolve_rank(self, rank: Rank, sizes: Sizes) -> int:
        """Return R; "same" is round(Πsizes / Σsizes), λ not counted."""
        multiple = positive_multiple(rank)
        if isinstance(rank, tuple | list):
            raise NetworkError(f"rank {tuple(rank)} of a CP convolution: give one number, a multiple or 'same'")
        if multiple is None:
            return int(rank)
        matched = matched_sizes(sizes)
        return max(1, round(multiple * math.prod([*matched.values()]) / sum(matched.values())))

    def shapes(self, rank: int, sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """Return λ and one matrix per mode."""
        return {"weights": (rank,), **{name: (size, rank) for name, size in sizes.items()}}

    def rank_of(self, tensors: Tensors) -> int:
        """Return R."""
        return tensors["weights"].numel()

    def initial(self, rank: int, sizes: Sizes) -> dict[str, Tensor]:
        """Draw columns on the unit sphere; λ² = 2·out / R then gives the variance."""
        weights = torch.full((rank,), math.sqrt(2 * sizes["output"] / rank))
        return {"weights": weights, **{name: unit_columns(size, rank) for name, size in sizes.items()}}

    def kernel(self, tensors: Tensors, sizes: Sizes) -> Tensor:
        """Sum the rank-one terms."""
        return cp_kernel(tensors["weights"], [tensors[name] for name in sizes])

    def parts(self, tensors: Tensors, geometry: Geometry) -> tuple[Tensor, Kernels, Tensor]:
        """Make one depthwise kernel for planes, which also carries λ, then one along the leading dimension."""
        *lead, last = list(tensors)[3:]
        height = lead.pop() if lead else None
        plane = tensors["weights"] * tensors[last].unsqueeze(0)
        plane = plane * tensors[height].unsqueeze(1) if height else plane
        kernels = [plane.permute(2, 0, 1), *(tensors[mode].t() for mode in lead)]
        return tensors["input"].t(), [(kernel.unsqueeze(1), geometry) for kernel in kernels], tensors["output"]

    def multiply_adds(self, rank: int, sizes: Sizes, before: Sequence[int], after: Sequence[int]) -> tuple[int, int]:
        """Count the published chain: one 1-D convolution per dimension in turn, each stride shrinks what follows."""
        modes = list(sizes)[2:]
        chain = sizes["input"] * math.prod(before)
        for d, mode in enumerate(modes):
            chain += sizes[mode] * math.prod(after[: d + 1]) * math.prod(before[d + 1 :])
        chain += sizes["output"] * math.prod(after)
        return rank * chain, rank * math.prod([*sizes.values()])

    def effort(self, rank: int, sizes: Sizes, before: Sequence[int], after: Sequence[int]) -> int:
        """Weigh the chain of `parts`: projections of padded channels, one depthwise plane, one depthwise lead."""
        kernel = list(sizes.values())[2:]
        plane, lead = kernel[-2:], kernel[:-2]
        depthwise = math.prod(plane) * math.prod(before[:-2]) * math.prod(after[-2:])
        depthwise += math.prod(lead) * math.prod(after) if lead else 0
        projections = _padded(sizes["input"]) * math.prod(before) + _padded(sizes["output"]) * math.prod(after)
        return _padded(rank) * (projections + DEPTHWISE_EFFORT * depthwise)

    def add_mode(self, tensors: Tensors, sizes: Sizes, name: str, taps: Tensor) -> dict[str, Tensor]:
        """Give each component the same new filter."""
        factor = taps.unsqueeze(1).repeat(1, self.rank_of(tensors))
        return {"weights": tensors["weights"], **{mode: factor if mode == name else tensors[mode] for mode in sizes}}

    def decompose(self, kernel: Tensor, rank: int, seed: int, iterations: int) -> list[Tensor]:
        """Alternate least squares from a random start; an SVD start asks for R × R matrices of the unfolded kernel.

        Kernels whose own rank is low, and ranks that no kernel of these sizes needs, go another way (see `low_rank`).
        """
        from tensorly import backend_context
        from tensorly.decomposition import parafac

        generator = torch.Generator().manual_seed(seed)
        core, bases = squeeze(kernel)
        needed = math.prod(kernel.shape) // max(kernel.shape)
        if core.shape == kernel.shape and rank < needed:
            try:
                with backend_context("pytorch", local_threadsafe=True):
                    weights, factors = parafac(
                        kernel, rank, n_iter_max=iterations, init="random", random_state=seed, normalize_factors=True
                    )
                return [weights, *factors]
            except torch.linalg.LinAlgError:
                pass  # singular least squares
        return padded(low_rank_terms(core, rank, generator, iterations), bases, rank, generator)


def _padded(channels: int) -> int:
    return -(-channels // LANES) * LANES
