"""Whether two laboratories come to the same conclusions: verdicts of claims, and which of two methods is better."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hocbench.claims.verdicts import BETTER as BETTER_THAN_PUBLISHED
from hocbench.claims.verdicts import DOES_NOT_HOLD, HOLDS, INCONCLUSIVE, NOT_REPRODUCED, NOT_RUN, REPRODUCED
from hocbench.errors import VerifyError
from hocbench.verify.cells import Row, by_key, named, number
from hocbench.verify.tables import CLAIM_KEYS, DIFFERENCE_KEYS

SAME, UNDECIDED, CONTRARY, APART, MISSING, NEW = OUTCOMES = (
    "same",
    "undecided",
    "contrary",
    "apart",
    "missing",
    "not in the reference",
)
DISAGREE = (CONTRARY, APART, MISSING)
ABOVE, BELOW, NO_SIDE = "above zero", "below zero", "undecided"
SIDES = {
    **dict.fromkeys((REPRODUCED, HOLDS, BETTER_THAN_PUBLISHED), ABOVE),
    **dict.fromkeys((NOT_REPRODUCED, DOES_NOT_HOLD), BELOW),
    INCONCLUSIVE: NO_SIDE,
}


@dataclass(frozen=True)
class Conclusion:
    """One verdict, or one comparison of two methods, in the laboratories of the reference and here.

    Attributes
    ----------
    kind : "verdict" or "difference"
    what : str
        Of which claim and data set, or which methods.
    reference, here : str
        What the reference's own laboratory and this run say.
    others : tuple of str
        What all laboratories of the reference say, each once.
    outcome : str
        One of `OUTCOMES`. "same": as in one of the laboratories. "undecided": one of both says neither yes nor no.
        "contrary": yes here and no there. "apart": the intervals have nothing in common.
    """

    kind: str
    what: str
    reference: str
    here: str
    others: tuple[str, ...]
    outcome: str

    @property
    def agrees(self) -> bool:
        """Whether this run contradicts no laboratory of the reference."""
        return self.outcome not in DISAGREE


def compare_verdicts(laboratories: Sequence[Sequence[Row]], here: Sequence[Row]) -> list[Conclusion]:
    """Compare the verdicts of claims.

    Parameters
    ----------
    laboratories : sequence of sequence of dict
        claims.csv of each laboratory of the reference, its own first.
    here : sequence of dict
        That of this run.

    Returns
    -------
    list of Conclusion
        A claim that both did not run is the same; one that only one of them ran is missing or new.
    """
    there = [_by_key(rows, CLAIM_KEYS) for rows in laboratories]
    own = _by_key(here, CLAIM_KEYS)
    found = []
    for key in dict.fromkeys((*there[0], *own)):
        said = _each_once(_verdict(rows[key]) for rows in there if key in rows)
        verdict = _verdict(own[key]) if key in own else ""
        first = _verdict(there[0][key]) if key in there[0] else ""
        outcome = _outcome_of_verdict(said, verdict)
        found.append(Conclusion("verdict", " on ".join(filter(None, key)), first, verdict, said, outcome))
    return found


def _outcome_of_verdict(said: Sequence[str], verdict: str) -> str:
    ran = [each for each in said if each != NOT_RUN]
    if verdict in said:
        return SAME
    if verdict in ("", NOT_RUN):
        return MISSING
    if not ran:
        return NEW
    sides = {SIDES.get(each, each) for each in ran}
    side = SIDES.get(verdict, verdict)
    return UNDECIDED if NO_SIDE in {side, *sides} else (SAME if side in sides else CONTRARY)


def compare_differences(laboratories: Sequence[Sequence[Row]], here: Sequence[Row]) -> list[Conclusion]:
    """Compare which of two methods is better, and whether the intervals have anything in common.

    Parameters
    ----------
    laboratories, here
        See `compare_verdicts`; of differences.csv.

    Returns
    -------
    list of Conclusion
        One for each pair of methods, target and metric.
    """
    there = [_by_key(rows, DIFFERENCE_KEYS) for rows in laboratories]
    own = _by_key(here, DIFFERENCE_KEYS)
    found = []
    for key in dict.fromkeys((*there[0], *own)):
        rows = [each[key] for each in there if key in each]
        row = own.get(key)
        first = _side(there[0][key]) if key in there[0] else ""
        outcome = MISSING if row is None else _outcome_of_difference(rows, row)
        said = _each_once(map(_side, rows))
        text = named(DIFFERENCE_KEYS, key)
        found.append(Conclusion("difference", text, first, "" if row is None else _side(row), said, outcome))
    return found


def _outcome_of_difference(rows: Sequence[Row], row: Row) -> str:
    if not rows:
        return NEW
    sides, side = {_side(each) for each in rows}, _side(row)
    if side in sides - {NO_SIDE}:
        return SAME
    if NO_SIDE not in {side, *sides}:
        return CONTRARY
    spans = [span for span in map(_span, rows) if span]
    span = _span(row)
    if spans and span and (span[0] > max(high for _, high in spans) or span[1] < min(low for low, _ in spans)):
        return APART
    return SAME if side in sides else UNDECIDED


def _side(row: Row) -> str:
    span = _span(row)
    if span is None or span[0] <= 0 <= span[1]:
        return NO_SIDE
    return ABOVE if span[0] > 0 else BELOW


def _span(row: Row) -> tuple[float, float] | None:
    """Return an interval, None where there is none: of one cluster, or of outputs that are equal."""
    low, high = number(row.get("low", "")), number(row.get("high", ""))
    if low is None or high is None or not math.isfinite(low) or not math.isfinite(high) or low == high:
        return None
    return low, high


def _by_key(rows: Sequence[Row], keys: Sequence[str]) -> dict[tuple[str, ...], Row]:
    return by_key(rows, keys, "the table of conclusions") if rows else {}


def _verdict(row: Row) -> str:
    if "verdict" not in row:
        raise VerifyError("claims.csv has no column verdict; write it again with this version of hocbench")
    return row["verdict"]


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
