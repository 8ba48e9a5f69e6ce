"""The bounds of the ranges at which verdicts would change.

A verdict is piecewise constant in a bound, because an interval is inside, across or outside a range by comparisons with
its two limits alone. So the verdict is judged once between each two neighbouring limits, and nothing is searched for.

All bounds are treated as *widths*: the larger, the wider the range. Of `at_most` and of a margin the width is the bound
itself, of `at_least` it is minus the bound.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from hocbench.claims.evidence import place_of
from hocbench.claims.schema import Claims, Test
from hocbench.claims.verdicts import judge, questions

MARGIN_COLUMNS = [
    *("claim", "test", "dataset", "statistic", "method", "reference", "metric", "side", "bound", "verdict"),
    *("tighter_bound", "tighter_verdict", "wider_bound", "wider_verdict", "label"),
]
AT_LEAST, AT_MOST, MARGIN = "at_least", "at_most", "margin"


@dataclass(frozen=True)
class Piece:
    """Widths that lead to one verdict: from `start` on, up to but without `end`."""

    start: float
    end: float
    verdict: str


def margin_table(claims: Claims, evidence: pd.DataFrame) -> pd.DataFrame:
    """Find the bounds at which each verdict would flip, one bound at a time, all others as they are.

    Returns
    -------
    DataFrame
        `MARGIN_COLUMNS`, a row per claim, data set, test that is judged there, and side of its range: "at_least",
        "at_most", or "margin" (around a published number, or around 0 where at_least is minus at_most; its two sides
        move as one). `bound` is the present one. A wider range flips the verdict from `wider_bound` on, a tighter one
        beyond `tighter_bound`; NaN and "" where it never does before the range is empty.
    """
    rows = []
    for claim, dataset, asked, label in questions(claims, evidence):

        def verdict_of(rows: pd.DataFrame, label: str = label, combine: str = claim.combine) -> str:
            return judge(rows, label, combine=combine, seeds_needed=claims.seeds_needed)[0]

        for place, test in enumerate(claim.tests, 1):
            judged = asked[(asked["test"] == place) & (asked["judged"] == 1)]
            for side, bound in sides(test) if len(judged) else ():
                pieces = verdict_pieces(asked, place, test, side, verdict_of)
                rows.append(
                    {"claim": claim.id, "test": place, "dataset": dataset, "statistic": test.statistic, "label": label}
                    | {column: _joined(judged[column]) for column in ("method", "reference", "metric")}
                    | {"side": side, "bound": bound}
                    | _flips(pieces, side, bound)
                )
    return pd.DataFrame(rows, columns=MARGIN_COLUMNS)


def sides(test: Test) -> Iterator[tuple[str, float]]:
    """Yield the sides of a test's range that can be moved, with the present bounds; none of a test that is shown."""
    if test.margin is not None:
        yield MARGIN, test.margin
    elif test.at_least is not None and test.at_most is not None and test.at_least == -test.at_most:
        yield MARGIN, test.at_most
    else:
        for side, bound in ((AT_LEAST, test.at_least), (AT_MOST, test.at_most)):
            if bound is not None:
                yield side, bound


def verdict_pieces(
    evidence: pd.DataFrame, place: int, test: Test, side: str, verdict_of: Callable[[pd.DataFrame], str]
) -> list[Piece]:
    """Return the verdict on a claim for every bound of one side of one test.

    Parameters
    ----------
    evidence : DataFrame
        Rows of one claim and data set.
    place, test, side : int, Test, str
        The test, its ordinal, and one of its `sides`.
    verdict_of : callable
        Judges such rows.

    Returns
    -------
    list of Piece
        By growing width, without a gap, from the width at which the range is one point (minus infinity if it is open on
        the other side) to infinity; neighbours differ in verdict.
    """
    is_judged = (evidence["test"] == place) & (evidence["judged"] == 1) & (evidence["outcome"] != "missing")
    rows = evidence[is_judged]
    tightest = _tightest(test, side)
    cuts = {cut for cut in _cuts(rows, side) if cut > tightest}
    pieces: list[Piece] = []
    for start, end in pairwise([tightest, *sorted(cuts), np.inf]):
        moved = evidence.copy()
        moved.loc[is_judged, ["tolerance_low", "tolerance_high", "outcome"]] = _moved(rows, side, _between(start, end))
        verdict = verdict_of(moved)
        if pieces and pieces[-1].verdict == verdict:
            pieces[-1] = replace(pieces[-1], end=end)
        else:
            pieces.append(Piece(start, end, verdict))
    return pieces


def width_of(side: str, bound: float) -> float:
    """Turn a bound into a width, and back."""
    return -bound if side == AT_LEAST else bound


def _tightest(test: Test, side: str) -> float:
    if side == MARGIN:
        return 0.0
    other = test.at_most if side == AT_LEAST else test.at_least
    return -np.inf if other is None else width_of(side, other)


def _cuts(rows: pd.DataFrame, side: str) -> list[float]:
    """List the widths at which some interval passes from one place to another."""
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    if side == MARGIN:
        centre = _centre(rows)
        cuts = np.concatenate([low - centre, high - centre, centre - low, centre - high])
    else:
        cuts = np.concatenate([low, high]) * (-1 if side == AT_LEAST else 1)
    return [float(cut) for cut in cuts[np.isfinite(cuts)]]


def _moved(rows: pd.DataFrame, side: str, width: float) -> pd.DataFrame:
    """Return range and outcome of some rows at another width."""
    low, high = (rows[column].to_numpy(float) for column in ("tolerance_low", "tolerance_high"))
    if side == MARGIN:
        low, high = _centre(rows) - width, _centre(rows) + width
    elif side == AT_LEAST:
        low = np.full(len(rows), -width)
    else:
        high = np.full(len(rows), width)
    outcomes = [place_of(*limits) for limits in zip(rows["low"], rows["high"], low, high, strict=True)]
    return pd.DataFrame({"tolerance_low": low, "tolerance_high": high, "outcome": outcomes}, index=rows.index)


def _centre(rows: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return rows["published"].fillna(0.0).to_numpy(float)


def _between(start: float, end: float) -> float:
    """Choose a width between two others."""
    if np.isinf(start):
        return 0.0 if np.isinf(end) else end - 1 - abs(end)
    return start + 1 + abs(start) if np.isinf(end) else start / 2 + end / 2


def _flips(pieces: list[Piece], side: str, bound: float) -> dict[str, Any]:
    """Find the verdict at a bound, and where it ends in both directions."""
    width = width_of(side, bound)
    place = next(number for number, piece in enumerate(pieces) if piece.start <= width < piece.end)
    here = pieces[place]
    flips = {"verdict": here.verdict} | dict.fromkeys(("tighter_bound", "wider_bound"), np.nan)
    flips |= dict.fromkeys(("tighter_verdict", "wider_verdict"), "")
    if place > 0:
        flips |= {"tighter_bound": width_of(side, here.start), "tighter_verdict": pieces[place - 1].verdict}
    if place + 1 < len(pieces):
        flips |= {"wider_bound": width_of(side, here.end), "wider_verdict": pieces[place + 1].verdict}
    return flips


def _joined(column: "pd.Series[Any]") -> str:
    """Join what the rows of one test name, each name once."""
    return "; ".join(dict.fromkeys(str(name) for name in column if name))
