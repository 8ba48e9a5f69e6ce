"""Work that is shared by processes; how many there are changes the time, never a result."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

from hocbench.malloc import keep_freed_memory
from hocbench.opencv import cv2
from hocbench.terminal import progress

Result = TypeVar("Result")


def cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(
    work: Callable[..., Result], jobs: Iterable[tuple[Any, ...]], count: int, workers: int, label: str
) -> Iterator[Result]:
    """Do jobs in worker processes and yield their results as they are ready, under a progress bar with a label.

    ``work``, a function of a module, gets the items of each of ``count`` jobs. With one worker, or for a single job, it
    is done here, in order. A worker that is killed raises a BrokenProcessPool.
    """
    if workers == 1 or count < 2:
        for job in progress(jobs, label, count):
            yield work(*job)
        return
    # Forked workers would inherit locks of OpenCV's and PyAV's threads.
    pool = ProcessPoolExecutor(min(workers, count), mp_context=get_context("spawn"), initializer=_start_worker)
    try:
        done = as_completed([pool.submit(work, *job) for job in jobs])
        for future in progress(done, label, count):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    cv2.setNumThreads(1)
    keep_freed_memory()
