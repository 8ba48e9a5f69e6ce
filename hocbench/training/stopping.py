"""Being asked to stop: a signal is noted, and the training ends itself where it can go on later."""

import signal
import threading
from types import FrameType
from typing import Any, Self

# What clusters send before they take a machine back or a time limit is reached, and Ctrl-C.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Notes signals while its block runs; a second Ctrl-C interrupts at once.

    Parameters
    ----------
    active : bool
        Whether signals are noted; else they act as usual.

    Attributes
    ----------
    signal : str
        Name of the first signal, empty until one comes.
    """

    def __init__(self, active: bool = True) -> None:
        self.active = active
        self.signal = ""
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Python delivers signals to the main thread only, and lets no other one ask for them.
        if self.active and threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # A job in the background of a shell ignores Ctrl-C on purpose.
                if number != signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)


def ignore_signals(worker: int) -> None:
    """Let a process that prepares batches live on: its parent, which gets the same signal, still needs it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
