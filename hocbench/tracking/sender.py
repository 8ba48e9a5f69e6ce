"""A thread that delivers events beside the training, which never waits for it."""

import contextlib
import math
import threading
import time
from collections.abc import Sequence

from hocbench.tracking.mlflow_writer import MlflowWriter
from hocbench.tracking.outbox import Event
from hocbench.tracking.secrets import plain
from hocbench.tracking.store import Place

# After the first, second, ... failure; after the last one, the store is asked again at the end only.
PAUSES_S = (30.0, 120.0, 600.0)
# At the end a store that failed a moment ago is not asked again.
FRESH_S = 60.0
# Times the patience with the store, for the import of MLflow.
IMPORTS = 3


class Sender:
    """Delivers the events of one run in order, first those that the outbox holds already.

    Attributes
    ----------
    error : Exception or None
        The last failure.
    """

    def __init__(self, place: Place, events: Sequence[Event]) -> None:
        self.error: Exception | None = None
        self._place = place
        self._events = list(events)
        self._sent = 0
        self._writer = MlflowWriter(place)
        self._failures: list[float] = []
        self._resume_at = 0.0
        self._closing = False
        self._imported = threading.Event()
        self._wake = threading.Condition()
        # A daemon: a request that hangs must not hold the process at its end.
        self._thread = threading.Thread(target=self._work, daemon=True, name="mlflow sender")
        self._thread.start()

    @property
    def problem(self) -> str:
        """The last failure in words, without secrets."""
        return "" if self.error is None else plain(self.error)

    @property
    def run(self) -> str:
        """Id of the run in MLflow; known when its first event is delivered."""
        return self._writer.run

    def put(self, event: Event) -> None:
        """Hand over an event; returns at once."""
        with self._wake:
            self._events.append(event)
            self._wake.notify()

    def settle(self, patience_s: float) -> None:
        """Wait until MLflow is imported: a process that forks in the middle of it may inherit a held lock."""
        self._imported.wait(patience_s)

    def close(self, patience_s: float) -> bool:
        """Wait for the store no longer than so many seconds; return whether all is delivered."""
        with self._wake:
            self._closing = True
            if self._failures and time.monotonic() - self._failures[-1] > FRESH_S:
                self._resume_at = 0.0
            self._wake.notify()
        # On a busy machine the import takes longer than all requests, and no store is to blame for it.
        self._imported.wait(IMPORTS * patience_s)
        self._thread.join(patience_s)
        with self._wake:
            delivered = self._sent == len(self._events)
            if self._thread.is_alive() and not delivered:
                self.error = self.error or TimeoutError(f"no answer in {patience_s:g} s")
            return delivered

    def _work(self) -> None:
        with contextlib.suppress(Exception):  # the first request will raise it again
            import mlflow  # noqa: F401
        self._imported.set()
        while events := self._next():
            try:
                self._writer.send(events)
            except Exception as error:  # MLflow raises many kinds, and none may stop a run
                self._note(error)
            else:
                with self._wake:
                    self._sent += len(events)

    def _next(self) -> list[Event]:
        """Wait for events to send; none is the end."""
        with self._wake:
            while True:
                unsent, pause = self._events[self._sent :], self._resume_at - time.monotonic()
                if (unsent and pause <= 0) or self._closing:
                    return unsent if pause <= 0 else []
                self._wake.wait(pause if unsent and pause < math.inf else None)

    def _note(self, error: Exception) -> None:
        with self._wake:
            self.error = error
            self._failures.append(time.monotonic())
            # How much of the last request arrived is not known: all is sent again.
            self._sent, self._writer = 0, MlflowWriter(self._place)
            pauses = dict(enumerate(PAUSES_S, 1))
            self._resume_at = time.monotonic() + pauses.get(len(self._failures), math.inf)
