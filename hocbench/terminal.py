"""Progress on standard error, in a terminal only, so that the logs of jobs stay readable."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn, track

Item = TypeVar("Item")


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield items while a bar shows how many are done; ``total`` says how many there are where ``len`` does not."""
    console = Console(stderr=True)
    yield from track(items, description, total=total, console=console, disable=not sys.stderr.isatty())


@contextmanager
def transfer(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a bar of bytes; the block reports them to the function that it gets."""
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        task = bars.add_task(description, total=total)
        yield lambda count: bars.advance(task, count)
