"""Faults of a dataset, reported together."""

from collections.abc import Callable, Iterable, Sequence

from hocbench.errors import DatasetError
from hocbench.terminal import Item, progress

MOST_FAULTS = 20  # named in one message


def refuse_all(name: str, faults: Sequence[str]) -> None:
    """Raise a DatasetError if there are faults: the only one, or the first `MOST_FAULTS` of several."""
    if len(faults) == 1:
        raise DatasetError(faults[0])
    if faults:
        shown = [f"  {fault}" for fault in faults[:MOST_FAULTS]]
        rest = [f"  ... and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        raise DatasetError("\n".join([f"{name}: {len(faults)} parts cannot be read:", *shown, *rest]))


def read_each(name: str, items: Iterable[Item], read: Callable[[Item], None]) -> None:
    """Read one part of a dataset after the other, with a progress bar, and report all faults together."""
    faults = []
    for item in progress(items, f"Reading {name}"):
        try:
            read(item)
        except DatasetError as error:
            faults.append(str(error))
    refuse_all(name, faults)
