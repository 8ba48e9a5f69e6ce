"""Whether two laboratories come to the same conclusions: verdicts of claims, and which of two methods is better."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hocbench.claims.verdicts import BETTER as BETTER_THAN_PUBLISHED
from hocbench.claims.verdicts import DOES_NOT_HOLD, HOLDS, INCONCLUSIVE, NOT_REPRODUCED, NOT_RUN, REPRODUCED
from hocbench.errors import VerifyError
from hocbench.verify.cells import Row, by_key, named, number
from hocbench.verify.tables import CLAIM_KEYS, DIFFERENCE_KEYS

OUTCOMES = ("same", "undecided", "contrary", "apart", "missing", "not in the reference")
SAME, UNDECIDED, CONTRARY, APART, MISSING, NEW = OUTCOMES
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
    kind, what : str
        "verdict" or "difference", and of which claim and data set, or which methods.
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
    """Compare the verdicts in claims.csv of each laboratory of the reference, its own first, with those of this run.

    One that nobody has run is the same; one that one side has run is missing or new.
    """
    return _compare("verdict", CLAIM_KEYS, (laboratories, here), _verdict, _outcome_of_verdict)


def compare_differences(laboratories: Sequence[Sequence[Row]], here: Sequence[Row]) -> list[Conclusion]:
    """Compare, by the rows of differences.csv, which of two methods is better, and whether the intervals overlap.

    Arguments are as of `compare_verdicts`; a row is a pair of methods, target and metric.
    """
    return _compare("difference", DIFFERENCE_KEYS, (laboratories, here), _side, _outcome_of_difference)


def _compare(
    kind: str,
    keys: Sequence[str],
    tables: tuple[Sequence[Sequence[Row]], Sequence[Row]],
    say: Callable[[Row], str],
    judge: Callable[[list[Row], Row | None], str],
) -> list[Conclusion]:
    """Hold each row against the rows of the laboratories with the same key."""
    *there, last = (by_key(rows, keys, "the table of conclusions") for rows in (*tables[0], tables[1]))
    conclusions = []
    for key in dict.fromkeys((*there[0], *last)):
        rows, row = [table[key] for table in there if key in table], last.get(key)
        what = named(keys, key) if kind == "difference" else " on ".join(filter(None, key))
        first, here = (say(table[key]) if key in table else "" for table in (there[0], last))
        conclusions.append(Conclusion(kind, what, first, here, tuple(dict.fromkeys(map(say, rows))), judge(rows, row)))
    return conclusions


def _outcome_of_verdict(rows: list[Row], row: Row | None) -> str:
    said, verdict = [_verdict(other) for other in rows], NOT_RUN if row is None else _verdict(row)
    if row is not None and verdict in said:
        return SAME
    if verdict in ("", NOT_RUN):
        return MISSING
    sides, side = {SIDES.get(text, text) for text in said if text != NOT_RUN}, SIDES.get(verdict, verdict)
    if not sides:
        return NEW
    return UNDECIDED if NO_SIDE in {side, *sides} else (SAME if side in sides else CONTRARY)


def _outcome_of_difference(rows: list[Row], row: Row | None) -> str:
    if row is None or not rows:
        return MISSING if row is None else NEW
    sides, side = {_side(other) for other in rows}, _side(row)
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


def _verdict(row: Row) -> str:
    if "verdict" not in row:
        raise VerifyError("claims.csv has no column verdict; write it again with this version of hocbench")
    return row["verdict"]
