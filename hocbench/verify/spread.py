"""How far apart laboratories are: what the same training gives on machines that round differently.

Training is chaotic, so that another rounding soon is another training. How far that carries a score is measured: the
reference holds several laboratories, and the tolerance of a cell is a prediction interval for one more of them. Of a
single cell, a few laboratories say little about the spread. So the variances of like cells (one method, all seeds and
targets) are pooled, and pools are moderated towards each other as in Smyth (2004), *Linear models and empirical Bayes
methods*, Statistical Applications in Genetics and Molecular Biology 3(1).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from hocbench.verify.cells import Row, number
from hocbench.verify.tables import Table

UNKNOWN = "no spread between laboratories known"
CONSTANT = "the same in all laboratories"
SPREAD = "spread between laboratories"
# Like cells that differ in one of these are witnesses of their own. Other cells of one training, such as windows or
# layers, go together; its two targets do not (on the embedded profile, their deviations are uncorrelated).
UNITS = ("seed", "fold", "target")
# Pools that agree in these, and in their column, are drawn towards each other.
KIN = ("dataset", "metric")
Cell = tuple[tuple[str, ...], str]  # key of a row, column


class Prediction(NamedTuple):
    """Where one more laboratory is expected.

    Attributes
    ----------
    centre : float or None
        Mean of the laboratories that differ; None if none has a number there.
    scale, df : float or None, float
        Standard error of a prediction and its degrees of freedom. 0 where all laboratories agree in all like cells,
        None if no spread is known.
    basis : str
        Where it comes from.
    """

    centre: float | None
    scale: float | None
    df: float
    basis: str

    def half_width(self, level: float) -> float | None:
        """Return the half width of an interval that one more laboratory misses with this probability."""
        if self.scale is None or not self.scale:
            return self.scale
        return float(stats.t.isf(level / 2, self.df)) * self.scale


class _Pool(NamedTuple):
    variance: float
    df: float


class Spreads:
    """The spread between laboratories in one table, from its rows in each of them.

    Equal values count once: bytes that agree say nothing about roundings that do not.
    """

    def __init__(self, table: Table, laboratories: Sequence[Iterable[Row]]) -> None:
        self._table = table
        self._few = len(laboratories) < 2
        self._values = _distinct_values(table, laboratories)
        self._pools = self._moderated(self._pool())

    @property
    def varying(self) -> list[Cell]:
        """The cells whose like vary between laboratories."""
        return [cell for cell in self._values if self._like(cell) in self._pools]

    def differ(self, key: tuple[str, ...], column: str) -> bool:
        """Whether laboratories differ in this very cell."""
        return len(self._values.get((key, column), [])) > 1

    def _like(self, cell: Cell) -> tuple[str, ...]:
        keys = self._table.named(cell[0])
        return (*(keys[name] for name in self._table.like), cell[1])

    def _pool(self) -> dict[tuple[str, ...], _Pool]:
        squares: dict[tuple[str, ...], list[float]] = defaultdict(list)
        freedoms: dict[tuple[str, ...], int] = defaultdict(int)
        units: dict[tuple[str, ...], dict[tuple[str, ...], int]] = defaultdict(dict)
        for cell, values in self._values.items():
            like, freedom = self._like(cell), len(values) - 1
            squares[like].append(float(np.var(values)) * len(values))
            freedoms[like] += freedom
            keys = self._table.named(cell[0])
            unit = tuple(keys.get(name, "") for name in UNITS)
            units[like][unit] = max(freedom, units[like].get(unit, 0))
        return {
            like: _Pool(sum(squares[like]) / freedom, float(sum(units[like].values())))
            for like, freedom in freedoms.items()
            if freedom
        }

    def _moderated(self, pools: Mapping[tuple[str, ...], _Pool]) -> dict[tuple[str, ...], _Pool]:
        """Draw variances towards the level that they have in common, as far as they are alike."""
        by_kin: dict[tuple[str, ...], list[tuple[str, ...]]] = defaultdict(list)
        for like in pools:
            kin = (text for name, text in zip(self._table.like, like, strict=False) if name in KIN)
            by_kin[*kin, like[-1]].append(like)
        moderated = {}
        for likes in by_kin.values():
            variance, df = prior([pools[like].variance for like in likes], [pools[like].df for like in likes])
            for like in likes:
                pool = pools[like]
                # A few laboratories cannot show how unlike the pools are: each counts for itself as much at least.
                weight = min(df, pool.df)
                total = pool.df + weight
                moderated[like] = _Pool((pool.df * pool.variance + weight * variance) / total, total)
        return moderated

    def of(self, key: tuple[str, ...], column: str) -> Prediction:
        """Predict a cell by the key of its row, after ``table.keys``, and its column, one that is scored."""
        values = self._values.get((key, column), [])
        if not values:
            return Prediction(None, None, math.nan, UNKNOWN)
        centre = float(np.mean(values))
        pool = self._pools.get(self._like((key, column)))
        if pool is None:
            return Prediction(centre, None if self._few else 0.0, math.inf, UNKNOWN if self._few else CONSTANT)
        scale = math.sqrt(pool.variance * (1 + 1 / len(values)))
        return Prediction(centre, scale, pool.df, SPREAD)


def _distinct_values(table: Table, laboratories: Sequence[Iterable[Row]]) -> dict[Cell, list[float]]:
    texts: dict[Cell, dict[str, float]] = defaultdict(dict)
    for rows in laboratories:
        for row in rows:
            key = tuple(row.get(name, "") for name in table.keys)
            for column in filter(table.is_scored, row):
                value = number(row.get(column, ""))
                if value is not None and math.isfinite(value):
                    texts[key, column][row[column]] = value
    return {cell: list(values.values()) for cell, values in texts.items()}


def prior(variances: Sequence[float], dfs: Sequence[float]) -> tuple[float, float]:
    """Fit a scaled inverse chi-squared distribution to sample variances: their common level, and how alike they are.

    Zeros count as a ten-thousandth of the median.

    Returns
    -------
    variance, df : float
        By the moments of the logarithms, equations in section 6.2 of Smyth (2004). df is 0 for fewer than three, and
        infinite if they differ no more than chance would have it.
    """
    x, d = np.asarray(variances, float), np.asarray(dfs, float)
    if len(x) < 3 or not x.any():
        return 0.0, 0.0
    x = np.maximum(x, 1e-4 * np.median(x[x > 0]))
    e = np.log(x) - special.digamma(d / 2) + np.log(d / 2)
    excess = float(np.var(e, ddof=1) - special.polygamma(1, d / 2).mean())
    if excess <= 0:
        return float(np.exp(e.mean())), math.inf
    half = _inverse_trigamma(excess)
    return float(np.exp(e.mean() + special.digamma(half) - np.log(half))), 2 * half


def _inverse_trigamma(value: float) -> float:
    """Solve trigamma(x) = value; trigamma falls from infinity to 0."""
    return float(np.exp(optimize.brentq(lambda y: special.polygamma(1, math.exp(y)) - value, -20, 20)))
