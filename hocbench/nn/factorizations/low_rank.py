"""CP decompositions of kernels that alternating least squares from a random start does badly on.

A kernel whose unfoldings have a lower rank than its sizes allow (dead or repeated filters, a blur, a kernel that was
factorized before) makes the least squares singular. It is squeezed first: each mode is written in a basis of its own
range, and the small core that is left is decomposed, exactly where that is known how to.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hocbench.nn.contraction import cp_kernel, khatri_rao, unit_columns

Terms = tuple[Tensor, list[Tensor]]
# Relative size of rounding errors in the weights of a network; a float64 Gram matrix resolves no less.
ROUNDING = torch.finfo(torch.float32).eps
# Share of a core that may be missing for a decomposition to count as exact: rounding errors, magnified a little.
EXACT = 1e-5
STARTS = 3


def squeeze(kernel: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Write each mode of a float64 kernel that is not all zero in an orthonormal basis of its range.

    Returns the core and a basis ``(size, rank)`` for each mode; the kernel itself if no mode has a lower rank than the
    sizes allow.
    """
    core, bases = kernel, []
    for mode, size in enumerate(kernel.shape):
        unfolded = kernel.movedim(mode, 0).flatten(1)
        # Squares of singular values, from a matrix that is never larger than the mode.
        squares, vectors = torch.linalg.eigh(unfolded @ unfolded.t())
        large = squares > squares[-1] * max(unfolded.shape) * ROUNDING**2
        if large.sum() == min(unfolded.shape):
            bases.append(torch.eye(size, dtype=kernel.dtype))
            continue
        bases.append(vectors[:, large])
        core = torch.tensordot(core, bases[-1], ([mode], [0])).movedim(-1, mode)
    return core, bases


def low_rank_terms(core: Tensor, rank: int, generator: torch.Generator, iterations: int) -> Terms:
    """Decompose a squeezed core into at most ``rank`` terms, λ and a factor per mode, with the least error tried."""
    if math.prod(core.shape) // max(core.shape) <= rank:
        return _fibres(core)
    tried: list[Terms] = []
    # A core needs as many terms as its longest mode is long; more of them than it needs converge slowly.
    fewest = min(max(core.shape), rank)
    attempts: list[Callable[[Tensor, int, torch.Generator, int], Terms | None]]
    attempts = [_by_eigenvectors, *[_alternate] * STARTS]
    for attempt in attempts:
        for terms in {fewest: None, rank: None}:
            result = attempt(core, terms, generator, iterations)
            if result is not None and _distance(core, result) < EXACT * core.norm():
                return result
            if result is not None:
                tried.append(result)
    return min(tried, key=lambda terms: _distance(core, terms))


def padded(terms: Terms, bases: Sequence[Tensor], rank: int, generator: torch.Generator) -> list[Tensor]:
    """Return λ and factors of a kernel from those of its core, with columns of norm one and as many as asked for."""
    weights, factors = terms
    result = []
    for basis, factor in zip(bases, factors, strict=True):
        columns = basis @ factor
        norm = columns.norm(dim=0)
        weights = weights * norm
        spare = unit_columns(len(columns), rank - len(norm), generator).to(columns)
        result.append(torch.cat([columns / norm.clamp_min(torch.finfo(norm.dtype).tiny), spare], dim=1))
    return [torch.cat([weights, weights.new_zeros(rank - len(weights))]), *result]


def _distance(core: Tensor, terms: Terms) -> float:
    distance = (core - cp_kernel(*terms)).norm().item()
    return distance if math.isfinite(distance) else math.inf


def _fibres(core: Tensor) -> Terms:
    """Make each fibre along the longest mode a term of its own, which is exact."""
    longest = max(range(core.ndim), key=lambda mode: core.shape[mode])
    fibres = core.movedim(longest, -1).flatten(0, -2)
    others = [n for mode, n in enumerate(core.shape) if mode != longest]
    places = torch.unravel_index(torch.arange(len(fibres)), others)
    factors = [torch.eye(n, dtype=core.dtype)[:, place] for n, place in zip(others, places, strict=True)]
    factors.insert(longest, fibres.t())
    return core.new_ones(len(fibres)), factors


def _by_eigenvectors(core: Tensor, rank: int, generator: torch.Generator, _: int) -> Terms | None:
    """Find the terms of a core that has as many as its two longest modes are long (Jennrich), if it is one."""
    first, second = sorted(range(core.ndim), key=lambda mode: -core.shape[mode])[:2]
    number = core.shape[first]
    if core.shape[second] != number or number != rank:
        return None
    rest = [mode for mode in range(core.ndim) if mode not in (first, second)]
    slices = core.permute(first, second, *rest)
    flat = slices.flatten(2)
    mixes = flat @ torch.randn(flat.shape[2], 2, dtype=core.dtype, generator=generator)
    try:
        values, vectors = torch.linalg.eig(mixes[..., 0] @ torch.linalg.inv(mixes[..., 1]))
        if values.imag.any():
            return None
        columns = vectors.real
        remaining = torch.linalg.solve(columns, slices.flatten(1)).reshape(number, *slices.shape[1:])
    except torch.linalg.LinAlgError:
        return None
    factors = {first: columns, **{mode: core.new_zeros(core.shape[mode], number) for mode in (second, *rest)}}
    for term, outer in enumerate(remaining):
        # Of rank one, so that the fibres through its largest entry are its factors.
        place = torch.unravel_index(outer.abs().argmax(), outer.shape)
        for axis, mode in enumerate((second, *rest)):
            fibre = outer.movedim(axis, -1)[tuple(p for d, p in enumerate(place) if d != axis)]
            factors[mode][:, term] = fibre / outer[place] if axis else fibre
    return core.new_ones(number), [factors[mode] for mode in range(core.ndim)]


def _alternate(core: Tensor, rank: int, generator: torch.Generator, iterations: int) -> Terms:
    """Alternate least squares by pseudo-inverses, which singular systems do not stop."""
    factors = [torch.randn(n, rank, dtype=core.dtype, generator=generator) for n in core.shape]
    weights = core.new_ones(rank)
    for _ in range(iterations):
        for mode in range(core.ndim):
            others = [factor for d, factor in enumerate(factors) if d != mode]
            squares = torch.stack([factor.t() @ factor for factor in others]).prod(0)
            columns = khatri_rao(others)
            factor = core.movedim(mode, 0).flatten(1) @ columns @ torch.linalg.pinv(squares, hermitian=True)
            weights = factor.norm(dim=0)
            factors[mode] = factor / weights.clamp_min(torch.finfo(factor.dtype).tiny)
    return weights, factors
