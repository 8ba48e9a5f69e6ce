"""Interleaved timing and the arithmetic of ratios."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from hocbench.nn.implementation import elapsed

# A candidate that takes so many times as long as the first one in the first round is left out of the others: no claim
# depends on how hopeless it is, and it would take most of the time.
HOPELESS = 5
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Setting:
    """Where and how steps are computed.

    Attributes
    ----------
    threads : int
        Of the CPU.
    device : {"cpu", "cuda"}
        CPU time is taken on a CPU, time between CUDA events on a GPU.
    dtype : {"float32", "bfloat16"}
        Parameters are float32; "bfloat16" means autocast.
    """

    threads: int
    device: str
    dtype: str = "float32"

    @contextmanager
    def active(self) -> Iterator[None]:
        """Use so many threads inside, and as many as before afterwards."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def autocast(self) -> AbstractContextManager:
        """Compute in ``dtype`` where that is not float32."""
        return nullcontext() if self.dtype == "float32" else torch.autocast(self.device, DTYPES[self.dtype])

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.device}, {threads}, {self.dtype}" if self.device == "cpu" else f"{self.device}, {self.dtype}"


class Spread(NamedTuple):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise the rounds of a measurement."""
    low, median, high = np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])
    return Spread(float(median), float(low), float(high))


def spread_text(value: Spread, digits: int = 2) -> str:
    """Write the median, and the quartiles where there are any.

    >>> spread_text(Spread(1.5, 1.25, 2.0)), spread_text(Spread(1234.0, 1234.0, 1234.0), 0)
    ('1.50 (1.25–2.00)', '1,234')
    """
    median, low, high = (f"{number:,.{digits}f}" for number in value)
    return median if low == high else f"{median} ({low}–{high})"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Divide round by round, so that what slows a whole round down cancels; as many rounds as both have."""
    return [a / b for a, b in zip(above, below, strict=False)]


def interleave(
    candidates: Mapping[str, Callable[[], None]], device: torch.device, rounds: int
) -> dict[str, tuple[float, ...]]:
    """Time candidates, which are warm, in turn, A B C A B C: seconds of each in each round.

    After the first round, those that are `HOPELESS` against the first one are left out.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    running = list(candidates)
    for turn in range(rounds):
        for name in running:
            times[name].append(elapsed(candidates[name], device))
        if turn == 0:
            limit = HOPELESS * times[running[0]][0]
            running = [name for name in running if times[name][0] <= limit]
    return {name: tuple(values) for name, values in times.items()}
