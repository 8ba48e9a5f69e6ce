"""What the jobs of a rule ask a cluster for, and how trainings hear that their job is about to end."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import psutil

from hocbench.config.params import Params

# The rules that use a GPU, and how many processes of theirs each want one.
PROCESSES: Mapping[str, Callable[[Params], int]] = {"fit": lambda params: params.processes, "speed": lambda params: 1}
FORWARDED = (signal.SIGTERM, signal.SIGUSR1)


def job_resources(params: Params, rule: str) -> dict[str, Any]:
    """Translate the section ``cluster`` into resources of a Snakemake rule, under the names of its SLURM executor.

    Locally nothing follows from them; resources are no reason to run a job again.

    Parameters
    ----------
    params : Params
        All parameters.
    rule : str
        A field of ``cluster.rules``.

    Returns
    -------
    dict
        ``runtime`` in minutes, ``mem_mb`` as a function of the attempt, and what else there is to ask for.
    """
    cluster, request = params.cluster, getattr(params.cluster.rules, rule)
    memory_mb = request.memory_mb or cluster.memory_mb
    resources: dict[str, Any] = {
        "slurm_partition": cluster.partition if request.partition is None else request.partition,
        "slurm_account": cluster.account,
        "runtime": request.minutes or cluster.minutes,
        # Snakemake calls it with these names.
        "mem_mb": lambda wildcards, attempt: memory_mb * attempt,
    }
    if rule in PROCESSES:
        resources["gpu"] = PROCESSES[rule](params) if cluster.gpus else 0
        if cluster.gpus and cluster.gpu_model:
            resources["gpu_model"] = cluster.gpu_model
    if rule == "fit" and cluster.notice_s:
        # Snakemake, which is what SLURM signals, would die of any other signal.
        resources["slurm_extra"] = f"--signal=TERM@{cluster.notice_s}"
    return resources


def forward_signals() -> None:
    """Hand the signals that this process gets in a SLURM job on to all that it has started.

    Where SLURM tracks processes by cgroups, only the process that it started itself is told that the job is about to
    end. That is Snakemake, which waits for the training until both are killed. What Snakemake does stays as it is.
    """
    if "SLURM_JOB_ID" not in os.environ or threading.current_thread() is not threading.main_thread():
        return
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    # Python writes a byte for each signal, whatever handler Snakemake sets later.
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_forward, args=(receiver, sender), name="forward signals", daemon=True).start()


def _forward(receiver: socket.socket, sender: socket.socket) -> None:
    # The sender is held here so that it stays open.
    while number := receiver.recv(1):
        if number[0] not in FORWARDED:
            continue
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number[0])
