"""How often intervals hold the true score, and how often tests cry wolf, on simulated test sets."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hocbench.evaluation.intervals import (
    Resampled,
    bca_interval,
    percentile_interval,
    resample,
    studentized_interval,
)
from hocbench.evaluation.significance import holm, slope_contrast, swap_p_values, trend_p_values
from hocbench.evaluation.statistics import bootstrap_weights
from hocbench.seeds import generator
from studies.coverage.simulation import STATISTIC, Design, population_scores, simulate_sums

COLUMNS = ["clusters", "seeds", "quantity", "method", "metric", "share", "draws"]
REPLICATES = 1000
LEVEL = 0.05  # of the tests
METHODS = 3  # so that there is a trend to test, and a family to correct
# Below 40 clusters coverage is measured and shown, not promised.
SIZES = {1: (5, 10, 20, 40, 80), 5: (20, 40)}  # by number of seeds
CHUNK = 50  # draws of one generator: the same whatever the number of processes


@dataclass(frozen=True)
class _Job:
    clusters: int
    seeds: int
    chunk: int
    draws: int
    root_seed: int


def coverage_table(draws: int, root_seed: int, processes: int = 1) -> pd.DataFrame:
    """Simulate ``draws`` test sets of several sizes, with one seed and with several; processes change no number.

    Returns
    -------
    DataFrame
        `COLUMNS`. quantity is "score" or "difference" (share of 95 % intervals that hold the truth; method is the kind
        of interval), or "test" (share of `LEVEL` tests that reject though nothing differs; method is "swap", "trend",
        or "swap, Holm", any rejection of a family of three).
    """
    jobs = [
        _Job(clusters, seeds, chunk, min(CHUNK, draws - chunk * CHUNK), root_seed)
        for seeds, sizes in SIZES.items()
        for clusters in sizes
        for chunk in range((draws + CHUNK - 1) // CHUNK)
    ]
    if processes == 1:
        parts = [_hits(job) for job in jobs]
    else:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_hits, jobs))
    total = pd.concat(parts).groupby(COLUMNS[:5], sort=False)[["hits", "draws"]].sum().reset_index()
    return total.assign(share=total["hits"] / total["draws"])[COLUMNS]


def _hits(job: _Job) -> pd.DataFrame:
    draws = generator(job.root_seed, use="coverage", clusters=job.clusters, seeds=job.seeds, chunk=job.chunk)
    truth = population_scores(seeds_vary=job.seeds > 1)
    hits: dict[tuple[str, str], NDArray[np.float64]] = {}
    for _ in range(job.draws):
        for quantity, method, hit in _one_draw(job, truth, draws):
            hits[quantity, method] = hits.get((quantity, method), np.zeros(len(STATISTIC.metrics))) + hit
    rows = [
        {"clusters": job.clusters, "seeds": job.seeds, "quantity": quantity, "method": method, "metric": metric.id}
        | {"hits": count, "draws": job.draws}
        for (quantity, method), counts in hits.items()
        for metric, count in zip(STATISTIC.metrics, counts, strict=True)
    ]
    return pd.DataFrame(rows)


def _one_draw(
    job: _Job, truth: NDArray[np.float64], draws: np.random.Generator
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield what holds or rejects, as 0 or 1 by metric."""
    methods = METHODS if job.seeds == 1 else 2
    sums = simulate_sums(Design(job.clusters, methods, job.seeds, seeds_vary=job.seeds > 1), draws)
    strata = np.zeros(job.clusters, np.intp)
    weights = bootstrap_weights(strata, REPLICATES, draws)
    seeds = draws if job.seeds > 1 else None
    single = resample(sums[:1], np.ones(1), weights, strata, STATISTIC)
    pair = resample(sums[:2], np.array([1.0, -1.0]), weights, strata, STATISTIC)
    yield from _intervals("score", single, truth, seeds)
    yield from _intervals("difference", pair, np.zeros(len(STATISTIC.metrics)), seeds)
    # Tests are conditional on the seeds, so one seed says all.
    if job.seeds > 1:
        return
    pairs = [(0, 1), (1, 2), (0, 2)]
    p_values = np.stack([swap_p_values(sums[a], sums[b], REPLICATES, draws, STATISTIC) for a, b in pairs])
    yield "test", "swap", p_values[0] <= LEVEL
    yield "test", "swap, Holm", np.array([(holm(column) <= LEVEL).any() for column in p_values.T])
    yield "test", "trend", trend_p_values(sums, slope_contrast(METHODS), REPLICATES, draws, STATISTIC) <= LEVEL


def _intervals(
    quantity: str, resampled: Resampled, truth: NDArray[np.float64], seeds: np.random.Generator | None
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    limits = {
        "studentised": studentized_interval(resampled, single=quantity == "score", generator=seeds),
        "BCa": bca_interval(resampled),
        "percentile": percentile_interval(resampled.replicates),
    }
    for method, (low, high) in limits.items():
        yield quantity, method, (low <= truth) & (truth <= high)
