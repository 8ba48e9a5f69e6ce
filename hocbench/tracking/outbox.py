"""The outbox of a run: a file with one event a line, which outlives the process and the store.

Events, all with ``time`` in milliseconds since 1970:

========= =====================================================================================================
run       key, name, profile, parent, tags, params; the first line
attempt   an attempt at the run begins
epoch     step and values of one row of the history
end       status, values (test scores) and files; ``RUNNING`` for a run that was asked to stop and will go on
delivered all before it is in the store; only where a later attempt may go on with the file
========= =====================================================================================================
"""

import json
import time
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

Event = dict[str, Any]
FOLDER = "outbox"
# Ending of a file that lost its first line, which named its run.
DAMAGED = "damaged"


def now_ms() -> int:
    """Return milliseconds since 1970, as MLflow counts time."""
    return int(time.time() * 1000)


class Outbox:
    """An outbox that this process alone writes or delivers; the file need not exist.

    Attributes
    ----------
    events, problems : list of dict, list of str
        What is in it, and a message for each line that cannot be read.

    Raises
    ------
    filelock.Timeout, OSError
        If another process has it, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_suffix(".lock"), timeout=0)
        self._lock.acquire()
        try:
            self.events, self.problems = _read_events(path)
        except OSError:
            self.release()
            raise

    def append(self, event: Event) -> None:
        """Write an event, so that it is there even if the process is killed at once."""
        with self.path.open("ab+") as file:
            # A line that a power cut has left unfinished must not swallow this one.
            if file.tell():
                file.seek(-1, 2)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(json.dumps(event).encode() + b"\n")
        self.events.append(event)

    def set_aside(self, ending: str) -> None:
        """Empty the outbox; what is in the file stays beside it, under a name with this ending."""
        self.path.replace(self.path.with_name(f"{self.path.stem}.{ending}"))
        self.events, self.problems = [], []

    def clear(self) -> None:
        """Empty the outbox and delete its file."""
        self.path.unlink(missing_ok=True)
        self.events, self.problems = [], []

    def close_delivered(self) -> None:
        """Clear an outbox of which all is delivered, or mark it if a later attempt at its run may go on with it."""
        if status(self.events) == "FINISHED":
            self.clear()
        else:
            self.append({"event": "delivered", "time": now_ms()})

    def release(self) -> None:
        """Make it available to other processes."""
        if not self.path.exists():
            Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.release()


def _read_events(path: Path) -> tuple[list[Event], list[str]]:
    """Read the events of an outbox and a message for each line that is none."""
    events: list[Event] = []
    problems: list[str] = []
    lines = path.read_bytes().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            event = json.loads(line)
            if not isinstance(event["event"], str) or not isinstance(event["time"], int):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            problems.append(f"{path}, line {number} is damaged and left out")
        else:
            events.append(event)
    return events, problems


def status(events: list[Event]) -> str:
    """Return the status at which the last attempt ended; empty if it was cut off."""
    attempts = [event for event in events if event["event"] in ("attempt", "end")]
    return str(attempts[-1]["status"]) if attempts and attempts[-1]["event"] == "end" else ""


def to_send(events: list[Event]) -> list[Event]:
    """Leave out what later events have made void: earlier ends, and rows of epochs that were done again."""
    last_end = max((i for i, event in enumerate(events) if event["event"] == "end"), default=-1)
    newest = {event["step"]: number for number, event in enumerate(events) if event["event"] == "epoch"}
    return [
        event
        for number, event in enumerate(events)
        if event["event"] in ("run", "attempt")
        or (event["event"] == "epoch" and newest[event["step"]] == number)
        or (number == last_end and status(events))
    ]
