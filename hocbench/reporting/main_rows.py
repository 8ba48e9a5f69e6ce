"""Which rows of a sweep over ranks stand for the paper's."""

from collections.abc import Sequence

import pandas as pd


def main_rank(ranks: Sequence[str | float | int]) -> str | float | int:
    """Choose the rank of the paper's rows from those of a sweep: the matched one if it is there, or else the first.

    >>> main_rank([0.25, 1.0]), main_rank(["same", 0.5]), main_rank([0.22])
    (1.0, 'same', 0.22)
    """
    # A whole number counts components, so 1 is not 1.0.
    matched = [rank for rank in ranks if rank == "same" or (isinstance(rank, float) and rank == 1)]
    return [*matched, *ranks][0]


def is_main(table: pd.DataFrame, ranks: Sequence[str | float | int]) -> "pd.Series[bool]":
    """Tell which rows of a result table are of the main rank, or of none, and of no variant."""
    chosen = table["rank"].isin(["", str(main_rank(ranks))])
    return chosen & (table["variant"] == "") if "variant" in table.columns else chosen
