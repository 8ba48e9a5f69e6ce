"""What all tables of an evaluation share, and the one loop over targets in which contrasts are resampled."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hocbench.evaluation.intervals import SEEDS_NEEDED, Resampled, resample, studentized_interval
from hocbench.evaluation.pooling import Cell
from hocbench.evaluation.statistics import Statistic, bootstrap_weights
from hocbench.experiment.description import Description
from hocbench.metrics.record import Floats
from hocbench.seeds import generator


@dataclass(frozen=True)
class Setup:
    """What an evaluation was told.

    Attributes
    ----------
    description : Description
        Datasets, methods, and the main rank.
    labels : mapping of str to str
        "synthetic" or "real" for each dataset.
    replicates : int
        Bootstrap replicates, and random swaps.
    seed : int
        Root seed.
    """

    description: Description
    labels: Mapping[str, str]
    replicates: int
    seed: int

    def shared(self, cell: Cell) -> dict[str, Any]:
        """Return what every row about a cell says of its seeds, clusters and data."""
        values = {"n_seeds": len(cell.seeds), "n_folds": len(cell.folds), "n_clusters": len(cell.clusters)}
        return values | {"label": self.labels[cell.key.dataset], "interval": self.what_varies(cell)}

    def what_varies(self, cell: Cell) -> str:
        """Name what the intervals of a cell are taken over."""
        clusters = f"{self.description.datasets[cell.key.dataset].cluster}s"
        return f"{clusters} and seeds" if len(cell.seeds) >= SEEDS_NEEDED else clusters


@dataclass(frozen=True)
class Contrast:
    """A contrast of cells for one target, with its limits; each array is (metrics,)."""

    place: int
    target: str
    resampled: Resampled
    low: Floats
    high: Floats


def contrasts(
    setup: Setup,
    cells: Sequence[Cell],
    weights: Floats,
    *,
    statistic: Statistic | None = None,
    sums: Callable[[Cell, int], Floats] = lambda cell, place: cell.sums[place],
    single: bool = False,
) -> Iterator[Contrast]:
    """Resample a contrast of cells over the same clusters, target by target.

    Every contrast of a dataset gets the same draws, so that no row depends on which other rows there are.

    Parameters
    ----------
    setup : Setup
        Replicates and seed.
    cells : sequence of Cell
        Over the same seeds, folds and clusters.
    weights : ndarray, (cells,)
        Of the contrast.
    statistic : Statistic
        What is computed from the sums; by default what the cells have.
    sums : callable
        Picks a cell's sums of a target, ``(seeds, clusters, k)``.
    single : bool
        Whether it is a score by itself; see `hocbench.evaluation.intervals.studentized_interval`.
    """
    first = cells[0]
    dataset, seed = first.key.dataset, setup.seed
    drawn = bootstrap_weights(first.strata, setup.replicates, generator(seed, use="bootstrap", dataset=dataset))
    for place, target in enumerate(first.targets):
        table = np.stack([sums(cell, place) for cell in cells])
        resampled = resample(table, weights, drawn, first.strata, statistic or first.statistic)
        draws = generator(seed, use="seeds", dataset=dataset) if len(first.seeds) >= SEEDS_NEEDED else None
        yield Contrast(place, target, resampled, *studentized_interval(resampled, single=single, generator=draws))
