"""Faults of a dataset, reported together."""

from collections.abc import Sequence

from hocbench.errors import DatasetError

MOST_FAULTS = 20  # named in one message


def refuse_all(name: str, faults: Sequence[str]) -> None:
    """Report faults together; none is fine.

    Raises
    ------
    DatasetError
        If there are faults: the only one, or the first `MOST_FAULTS` of several.
    """
    if len(faults) == 1:
        raise DatasetError(faults[0])
    if faults:
        shown = [f"  {fault}" for fault in faults[:MOST_FAULTS]]
        rest = [f"  ... and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        raise DatasetError("\n".join([f"{name}: {len(faults)} parts cannot be read:", *shown, *rest]))
