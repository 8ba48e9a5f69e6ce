"""Ends what the tests started when they are killed themselves, which no ``finally`` survives.

A process of its own waits at a pipe whose other end only this one holds, and then kills all that carry a mark in their
environment: daemons, what these started, however often it forked or moved to a session of its own.
"""

import os
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

MARK = "HOCBENCH_TESTS_STARTED_IT"
_pipes: list[int] = []


def watch() -> None:
    """Mark what this process starts from now on, to be killed when this process ends, by whatever."""
    if _pipes:
        return
    reading, writing = os.pipe()
    mark = uuid.uuid4().hex
    # In a session of its own, and without a mark of other tests that started these: it must not end before its work.
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    streams: dict[str, Any] = {"stdin": reading, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(
        [sys.executable, "-m", "tests.watchdog", mark],
        cwd=Path(__file__).parents[1],
        env=environment,
        start_new_session=True,
        **streams,
    )
    os.close(reading)
    _pipes.append(writing)
    os.environ[MARK] = mark


def pytest_configure(config: pytest.Config) -> None:
    """Watch over the processes of all tests."""
    watch()


def marked(mark: str) -> list[psutil.Process]:
    """Find the processes that carry a mark."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def main() -> None:
    """Wait for the end of the tests, then kill what is left until there is nothing."""
    sys.stdin.buffer.read()
    deadline = time.monotonic() + 60
    while (left := marked(sys.argv[1])) and time.monotonic() < deadline:
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(0.2)


if __name__ == "__main__":
    main()
