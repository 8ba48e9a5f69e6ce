"""A real SLURM of one node in a folder: munge, controller and node daemon, with files in place of GPUs.

``python -m tests.slurm.start FOLDER`` starts one by hand, prints the variables that SLURM's commands need, and stops it
at Ctrl-C.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.watchdog import watch

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
FREEZER = Path("/sys/fs/cgroup/freezer")
GPUS = 2
CONFIGURATION = """\
ClusterName=hocbench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/{tracking}
TaskPlugin=task/{tasks}
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdSpoolDir={folder}/spool
StateSaveLocation={folder}/state
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
MinJobAge=86400
FirstJobId={first_job}
KillWait=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory_mb} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2
"""
# Memory is held to what a job asked for, as on clusters.
CGROUPS = "CgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\nConstrainRAMSpace=yes\nConstrainSwapSpace=yes\n"


def obstacle() -> str:
    """Say why no SLURM can be started here; empty if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found; install Debian's slurm-wlm and munge"
    return "" if os.geteuid() == 0 else "SLURM's daemons are started by root"


@contextmanager
def started(folder: Path) -> Iterator[Callable[[dict[str, str]], dict[str, str]]]:
    """Run a cluster while the block runs; should the process be killed, daemons and jobs end all the same.

    Parameters
    ----------
    folder : Path
        Gets configuration, state and logs.

    Yields
    ------
    callable
        Adds to an environment what SLURM's commands need to find this cluster.
    """
    watch()
    configuration = _configure(folder)
    programs = _make_srun(folder, configuration)

    def within(environment: dict[str, str]) -> dict[str, str]:
        path = os.pathsep.join([str(programs), environment["PATH"]])
        return environment | {"SLURM_CONF": str(configuration), "PATH": path}

    environment = within(dict(os.environ))
    with ExitStack() as stack:
        files = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")]
        munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *files]
        stack.enter_context(_running(munge, folder / "munged.log", environment))
        _wait_for(lambda: (folder / "munge" / "socket").exists(), folder / "munged.log")
        stack.enter_context(_running(["slurmctld", "-D", "-c"], folder / "slurmctld.log", environment))
        stack.enter_context(_running(["slurmd", "-D"], folder / "slurmd.log", environment))
        _wait_for(lambda: "idle" in _output(["sinfo", "-h", "-o", "%T"], environment), folder / "slurmd.log")
        stack.callback(_cancel_all, environment)
        yield within


def _configure(folder: Path) -> Path:
    """Write the configuration and return its path."""
    for name in ("munge", "spool", "state"):
        (folder / name).mkdir(parents=True)
    (folder / "munge" / "key").write_bytes(os.urandom(1024))
    (folder / "munge" / "key").chmod(0o600)
    devices = [folder / f"gpu{number}" for number in range(GPUS)]
    for device in devices:
        # SLURM takes devices only, so each is another /dev/null.
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    host = socket.gethostname().split(".")[0]
    ports = _free_ports(2)
    cgroups = os.access(FREEZER, os.W_OK)
    values = {
        "host": host,
        "folder": folder,
        "controller_port": ports[0],
        "node_port": ports[1],
        "cpus": os.cpu_count(),
        "gpus": GPUS,
        # Groups of processes are named by host and job: another cluster of this machine has other numbers.
        "first_job": 1_000_000 + os.getpid(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10 // 2**20,
        "tracking": "cgroup" if cgroups else "linuxproc",
        "tasks": "cgroup" if cgroups else "none",
    }
    path = folder / "slurm.conf"
    path.write_text(CONFIGURATION.format(**values), encoding="utf-8")
    (folder / "cgroup.conf").write_text(CGROUPS, encoding="utf-8")
    lines = [f"NodeName={host} Name=gpu File={device}\n" for device in devices]
    (folder / "gres.conf").write_text("".join(lines), encoding="utf-8")
    return path


def _make_srun(folder: Path, configuration: Path) -> Path:
    """Make a srun that knows the cluster: Snakemake calls it in jobs without the variables of SLURM."""
    path = folder / "bin" / "srun"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nSLURM_CONF="{configuration}" exec {shutil.which("srun")} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path.parent


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(ready: Callable[[], bool], log: Path, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"SLURM did not start: {log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
        time.sleep(0.2)


def _output(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def _cancel_all(environment: dict[str, str]) -> None:
    """End all jobs and wait for it: what a job started does not end with the daemons."""
    subprocess.run(["scancel", "--user=root"], env=environment, check=False)
    deadline = time.monotonic() + 60
    while _output(["squeue", "-h"], environment) and time.monotonic() < deadline:
        time.sleep(0.5)


def main() -> None:
    """Run a cluster until Ctrl-C."""
    if obstacle():
        sys.exit(obstacle())
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    with started(folder) as within:
        variables = within({"PATH": "$PATH"})
        sys.stdout.write("".join(f'export {name}="{value}"\n' for name, value in variables.items()))
        sys.stdout.flush()
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
