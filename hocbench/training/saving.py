"""When a training is saved, and how it ends when its process is asked to stop."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hocbench.errors import StoppedEarly
from hocbench.training.checkpoint import Checkpoints
from hocbench.training.devices import Accelerator, add_up
from hocbench.training.loop import Training
from hocbench.training.state import State
from hocbench.training.stopping import StopRequest

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Saving:
    """Where and how often trainings are saved.

    Attributes
    ----------
    folder : Path
        Holds a folder per run that is not complete.
    every_s : float
        Seconds from one checkpoint to the next.
    keep : bool
        Whether the last checkpoint of a complete run stays until `hocbench.runs.attempts.forget`.
    """

    folder: Path
    every_s: float
    keep: bool = False


class Saver:
    """Saves a training from time to time, and ends it when its process was asked to stop.

    Parameters
    ----------
    checkpoints : Checkpoints or None
        None never saves.
    every_s : float
        Seconds from one checkpoint to the next.
    stop : StopRequest
        Asked at every pulse.
    accelerator : Accelerator
        All processes stop at the same step, and the first one writes.

    Attributes
    ----------
    about : callable
        Returns plain values to keep beside the training: what was spent, how often it was tried.
    """

    def __init__(
        self, checkpoints: Checkpoints | None, every_s: float, stop: StopRequest, accelerator: Accelerator
    ) -> None:
        self.checkpoints, self.every_s, self.stop, self.accelerator = checkpoints, every_s, stop, accelerator
        self.about: Callable[[], dict[str, Any]] = dict
        self._last = time.monotonic()

    def watch(self, training: Training) -> None:
        """Have a training ask at each of its pulses."""
        if self.checkpoints is not None:
            training.pulse = lambda: self._pulse(training)

    def early(self) -> None:
        """End the process if it was asked to, before there is anything to save."""
        if self.stop.signal and self.accelerator.num_processes == 1:
            raise StoppedEarly(f"asked to stop ({self.stop.signal}) before the training began; start it again")

    def _pulse(self, training: Training) -> None:
        asked, due = self._agree(bool(self.stop.signal), time.monotonic() - self._last >= self.every_s)
        if not asked and not due:
            return
        if self.accelerator.is_main_process and self.checkpoints is not None:
            state = training.state()
            self.checkpoints.save(State(state.tensors, state.values | {"about": self.about()}))
        self._last = time.monotonic()
        if asked:
            where = f"epoch {training.outcome.epoch}, step {training.outcome.step}"
            raise StoppedEarly(
                f"run {training.setting.spec.run} was asked to stop ({self.stop.signal or 'by another process'}) and "
                f"is saved at {where}; start it again to go on from there"
            )

    def _agree(self, asked: bool, due: bool) -> tuple[bool, bool]:
        """Do what any process was asked to, so that none waits for another that has ended."""
        if self.accelerator.num_processes == 1:
            return asked, due
        # One process's clock decides.
        due = due and self.accelerator.is_main_process
        votes = add_up(torch.tensor([float(asked), float(due)], device=self.accelerator.device))
        return bool(votes[0].item()), bool(votes[1].item())


@contextmanager
def held(checkpoints: Checkpoints | None, first: bool) -> Iterator[None]:
    """Keep other starts of the same run away while the block runs; of several processes, the first one does."""
    with checkpoints.held() if checkpoints is not None and first else nullcontext():
        yield
