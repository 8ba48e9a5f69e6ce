"""Where a training runs: one CPU or GPU, or several processes of one machine that share every batch."""

import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, distributed, nn

from hocbench.errors import RunError, StoppedEarly
from hocbench.training.stopping import StopRequest

with warnings.catch_warnings():
    # It adds a filter to those of the whole process, so all others take it from here.
    from accelerate import Accelerator as Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState

PATIENCE_S = 30.0  # for the other processes of a run once one of them has failed


@contextmanager
def own_accelerate_state() -> Iterator[None]:
    """Begin inside the block with a fresh state of accelerate, and put back what was there.

    All accelerators of a process share one: a later one with other options than the first is refused.
    """
    shared = [kind._shared_state for kind in (PartialState, AcceleratorState, GradientState)]
    before = [dict(state) for state in shared]
    try:
        for state in shared:
            state.clear()
        yield
    finally:
        for state, values in zip(shared, before, strict=True):
            state.clear()
            state.update(values)


def make_accelerator(processes: int) -> Accelerator:
    """Take the device of this process; one of several learns its rank from the environment.

    Raises
    ------
    RunError
        If there are GPUs, but fewer than processes.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise RunError(f"{processes} processes want a GPU each and this machine offers {gpus}; lower processes")
    accelerator = Accelerator(cpu=gpus == 0)
    if accelerator.num_processes != processes:
        raise RunError(
            f"the parameters ask for {processes} processes and {accelerator.num_processes} were started; "
            "start `hocbench fit` by itself, it starts the others"
        )
    return accelerator


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Compute in bfloat16 inside the block where the parameters ask for it."""
    context: AbstractContextManager[None] = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
    )
    return context


def gather(values: Tensor) -> Tensor:
    """Join the rows of all processes, in the order of their ranks.

    Only the own rows carry a gradient. DDP averages gradients over processes, so a loss of all rows has to be
    multiplied by their number: then the mean over processes is the gradient of one process that has all rows.

    Parameters
    ----------
    values : Tensor, shape (n, ...)
        The same n in every process.
    """
    if not distributed.is_initialized():
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.detach().contiguous())
    parts[distributed.get_rank()] = values
    return torch.cat(parts)


def add_up(values: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place."""
    if distributed.is_initialized():
        distributed.all_reduce(values)
    return values


def any_of(asked: bool, device: torch.device) -> bool:
    """Tell whether any process says yes, so that all do the same."""
    return bool(add_up(torch.tensor([float(asked)], device=device)).item())


def share_buffers(network: nn.Module) -> None:
    """Give every process the running statistics of the first one."""
    if distributed.is_initialized():
        for buffer in network.buffers():
            distributed.broadcast(buffer, 0)


def is_worker() -> bool:
    """Tell whether this process is one of several of a run."""
    return "RANK" in os.environ


def launch(arguments: Sequence[str], processes: int) -> int:
    """Start ``hocbench`` once per rank and wait for all.

    Signals that end a job are handed on, so that the processes save what they reached.

    Parameters
    ----------
    arguments : sequence of str
        Of the command.
    processes : int
        How many.

    Returns
    -------
    int
        0, or the exit code that matters most: a user's mistake, then ours, then an early stop.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    shared |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    command = [sys.executable, "-m", "hocbench", *arguments]
    with StopRequest() as stop:
        jobs = []
        for rank in range(processes):
            own = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
            }
            if rank:
                own["HOCBENCH_TRACKING"] = "off"  # the first one tells for all
            jobs.append(subprocess.Popen(command, env=os.environ | shared | own))
        codes = _wait(jobs, stop)
    if not any(codes):
        return 0
    # A process that is not ready to save yet dies of the signal.
    stopped = {StoppedEarly.exit_code} if stop.signal else set()
    return next((code for code in (2, 1, StoppedEarly.exit_code) if code in codes | stopped), 1)


def _wait(jobs: list[subprocess.Popen[bytes]], stop: StopRequest) -> set[int]:
    """Wait for all jobs; hand a signal on once, and end the others of a job that has failed."""
    told, deadline = False, float("inf")
    while any(job.poll() is None for job in jobs):
        failed = any(job.returncode for job in jobs)
        if (stop.signal or failed) and not told:
            told = True
            for job in jobs:
                if job.poll() is None:
                    job.terminate()
        if failed:
            deadline = min(deadline, time.monotonic() + PATIENCE_S)
        if time.monotonic() > deadline:
            for job in jobs:
                job.kill()
        time.sleep(0.1)
    return {job.returncode for job in jobs}
