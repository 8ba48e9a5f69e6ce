"""How far apart training seeds bring a number, as the reference measured it: the unit of every tolerance."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hocbench.verify.cells import Row
from hocbench.verify.tables import INTERVALS, Table

TOLERANCE = 3.0  # seed spreads
# From fewer seeds a standard deviation is too often near zero by chance: of two, every fourth is below a third of the
# true one.
FEW = 5
UNKNOWN = "no spread known"
COLUMN = "column"


class Spread(NamedTuple):
    """A standard deviation over seeds, None if it is not known, and how it was found."""

    sd: float | None
    basis: str

    @property
    def tolerance(self) -> float | None:
        """How far a number may be from the reference."""
        return None if self.sd is None else TOLERANCE * self.sd


@dataclass(frozen=True)
class Measured:
    """One measured spread: of what, the standard deviation (n - 1 in the denominator), and over how many seeds."""

    keys: Mapping[str, str]
    sd: float
    seeds: int


class Spreads:
    """Measured spreads, to be asked for those of a cell.

    Parameters
    ----------
    measured : iterable of Measured
        All of one table.
    peers : sequence of str
        Keys in which a spread must agree with a cell to be lent to it.
    """

    def __init__(self, measured: Iterable[Measured], peers: Sequence[str]) -> None:
        self._peers = peers
        self._groups: dict[tuple[str, ...], list[Measured]] = defaultdict(list)
        self._lenders: dict[tuple[str, ...], list[Measured]] = defaultdict(list)
        for each in measured:
            self._groups[self._group(each.keys)].append(each)
            self._lenders[self._group({**each.keys, "dataset": ""})].append(each)

    def _group(self, keys: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(keys.get(name, "") for name in self._peers)

    def of(self, keys: Mapping[str, str]) -> Spread:
        """Find the spread of a cell.

        Parameters
        ----------
        keys : mapping of str to str
            Of the cell; what it does not say may be anything.

        Returns
        -------
        Spread
            That of the cell itself, the largest if several fit; with fewer than `FEW` seeds at least the median of
            the group; the largest of the group if the cell itself has one seed, and of all data sets if the whole
            group has.
        """
        group = self._groups.get(self._group(keys), [])
        lenders = self._lenders.get(self._group({**keys, "dataset": ""}), [])
        if not group and lenders:
            return Spread(max(each.sd for each in lenders), "one seed: largest seed spread of other data sets")
        if not group:
            return Spread(None, UNKNOWN)
        own = [each for each in group if all(keys.get(key, value) == value for key, value in each.keys.items())]
        if not own:
            return Spread(max(each.sd for each in group), "one seed: largest seed spread of other methods")
        widest = max(own, key=lambda each: each.sd)
        typical = statistics.median(each.sd for each in group)
        if widest.seeds < FEW and typical > widest.sd:
            return Spread(typical, f"{widest.seeds} seeds: median seed spread of all methods")
        return Spread(widest.sd, "seed spread of the method")


def measure(table: Table, rows: Sequence[Row], intervals: Sequence[Row]) -> Spreads:
    """Collect the seed spreads of a table.

    Parameters
    ----------
    table : Table
        Says where spreads are found.
    rows : sequence of dict
        The reference's rows of this table.
    intervals : sequence of dict
        The reference's intervals.csv.
    """
    if table.spread == INTERVALS:
        return Spreads(_from_intervals(intervals), table.peers)
    measured = _from_seeds(table, rows) if table.spread else ()
    return Spreads(measured, (*table.peers, COLUMN))


def _from_intervals(rows: Sequence[Row]) -> Iterable[Measured]:
    for row in rows:
        sd = number(row.get("seed_sd", ""))
        if sd is not None and math.isfinite(sd):
            keys = {name: row.get(name, "") for name in ("method", "rank", "lasso", "variant")}
            keys |= {name: row.get(name, "") for name in ("dataset", "target", "metric", "pooling")}
            yield Measured(keys, sd, int(number(row.get("n_seeds", "")) or 2))


def _from_seeds(table: Table, rows: Sequence[Row]) -> Iterable[Measured]:
    keys = [key for key in table.keys if key != "seed"]
    by_cell: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for row in rows:
        for column in table.scored:
            value = number(row.get(column, ""))
            if value is not None and math.isfinite(value):
                by_cell[*(row.get(key, "") for key in keys), column].append(value)
    for cell, values in by_cell.items():
        if len(values) > 1:
            yield Measured(dict(zip((*keys, COLUMN), cell, strict=True)), statistics.stdev(values), len(values))


def spread_of(table: Table, spreads: Spreads, row: Row, column: str) -> Spread:
    """Find the spread of a cell of a table.

    Parameters
    ----------
    table : Table
        Says where spreads are found.
    spreads : Spreads
        From `measure`.
    row : dict
        The row that it stands in.
    column : str
        Its column, one of ``table.scored``.

    Returns
    -------
    Spread
        Of a paired difference, that of both methods together: the root of the sum of their squares.
    """
    keys = {name: row.get(name, "") for name in table.keys}
    if table.spread != INTERVALS:
        return spreads.of(keys | {COLUMN: column})
    keys.setdefault("pooling", "pooled")  # comparisons are made on all frames together
    keys.pop(keys.get("axis", ""), None)  # a trend has all values of its axis
    first = spreads.of(keys)
    if "reference" not in keys:
        return first
    rival = {name: keys[name] for name in ("dataset", "target", "metric", "pooling")}
    second = spreads.of(rival | {"method": keys["reference"], "variant": keys["reference_variant"]})
    if first.sd is None or second.sd is None:
        return Spread(None, UNKNOWN)
    basis = first.basis if first.basis == second.basis else f"{first.basis}; reference: {second.basis}"
    return Spread(math.hypot(first.sd, second.sd), basis)


def number(text: str) -> float | None:
    """Read a number, None if it is none."""
    try:
        return float(text)
    except ValueError:
        return None
