"""Starts of ``hocbench fit`` that kill themselves at a given place, each a process of its own.

The driver imports what a training needs, which takes seconds, and does nothing else but to fork a process for each
line of JSON on its input: arguments; folder, where it works; moment and at, at which of its calls it dies ("" and 0
for never); seconds, after which it is killed from outside, or null; keep, a folder that receives the last checkpoint
before it is removed, and how often each moment came; broken, what a restart forgets ("", "optimizer" or "position"),
to tell a comparison that finds nothing from one that cannot find anything. It answers each with the exit code.
"""

import inspect
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hocbench.cli.main import main
from hocbench.training import checkpoint, loop, stages
from hocbench.training.checkpoint import Checkpoints
from hocbench.training.loop import Training

# In the order in which a run comes to them.
MOMENTS = {
    "beginning": "network begun, nothing saved",
    "step": "in a step, gradients there",
    "update": "weights updated, step not saved",
    "validation": "in a validation",
    "half a file": "in a save: half of a file written",
    "rename": "in a save: file written, not renamed",
    "between": "in a save: between its two files",
    "old": "in a save: an older one half removed",
    "predictions": "in the final predictions",
    "run file": "in the run directory: file written, not renamed",
    "run files": "in the run directory: between two files",
    "manifest": "run complete, checkpoints still there",
    "removal": "checkpoints half removed",
}


class Fuse:
    """Counts the moments as they come, and kills the process at the chosen one."""

    def __init__(self, moment: str, at: int) -> None:
        self.moment, self.at = moment, at
        self.counts: Counter[str] = Counter()

    def __call__(self, moment: str) -> None:
        if self.is_next(moment):
            os.kill(os.getpid(), signal.SIGKILL)
        self.counts[moment] += 1

    def is_next(self, moment: str) -> bool:
        return moment == self.moment and self.counts[moment] + 1 == self.at


def after(owner: Any, name: str, fuse: Fuse, moment: str) -> None:
    """Let a moment come each time that a function has returned."""
    inner = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = inner(*arguments, **named)
        fuse(moment)
        return result

    setattr(owner, name, wrapped)


def in_predictions(owner: Any, fuse: Fuse, moment: str) -> None:
    """Let a moment come in each batch of the predictions that a module makes, before it can be saved."""
    inner = owner.predict

    def wrapped(*arguments: Any, **named: Any) -> Any:
        given = inspect.signature(inner).bind(*arguments, **named).arguments
        pulse: Callable[[], None] | None = given.get("pulse")

        def pulses() -> None:
            fuse(moment)
            if pulse is not None:
                pulse()

        return inner(**given | {"pulse": pulses})

    owner.predict = wrapped


def in_saves(fuse: Fuse) -> None:
    """Let moments come in the writing of checkpoints."""
    write = checkpoint._write

    def written(path: Path, content: bytes) -> None:
        if fuse.is_next("half a file"):
            path.with_name(f".{path.name}.part").write_bytes(content[: len(content) // 2])
        fuse("half a file")
        write(path, content)
        if path.suffix == ".safetensors":
            fuse("between")

    def drop(self: Checkpoints, number: int) -> None:
        self._about(number).unlink()
        fuse("old")
        self._tensors(number).unlink(missing_ok=True)

    checkpoint._write = written
    Checkpoints._drop = drop  # type: ignore[method-assign]


def in_renames(fuse: Fuse) -> None:
    """Let moments come before and after files get their names."""
    replace = pathlib.Path.replace

    def replaced(self: Path, target: Path) -> Path:
        saves = self.parent.parent.name == ".checkpoints"
        fuse("rename" if saves else "run file")
        result = replace(self, target)
        if not saves and result.name != "manifest.json":
            fuse("run files")
        return result

    pathlib.Path.replace = replaced  # type: ignore[assignment, method-assign]


def in_removal(fuse: Fuse, keep: Path) -> None:
    """Let moments come around the removal of the checkpoints, of which the last one is copied first."""

    def remove(self: Checkpoints) -> None:
        fuse("manifest")
        keep.mkdir(parents=True, exist_ok=True)
        number = self._numbers()[-1]
        shutil.copy(self._tensors(number), keep / "last.safetensors")
        shutil.copy(self._about(number), keep / "last.json")
        for path in sorted(self.folder.iterdir()):
            path.unlink()
            fuse("removal")
        self.folder.rmdir()
        (keep / "counts.json").write_text(json.dumps(fuse.counts))

    Checkpoints.remove = remove  # type: ignore[method-assign]


def forget(what: str) -> None:
    """Break the restart on purpose."""
    if what == "optimizer":
        loop.restore_optimizer = lambda optimizer, state: None
    elif what == "position":
        restore = Training.restore

        def restored(self: Training, state: Any) -> None:
            restore(self, state)
            self.outcome.step += 1

        Training.restore = restored  # type: ignore[method-assign]


def start(plan: dict[str, Any]) -> None:
    """Lay the fuses and train, in a process of its own."""
    os.chdir(plan["folder"])
    errors = os.open("stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 1)
    os.dup2(errors, 2)
    fuse = Fuse(plan["moment"], plan["at"])
    after(stages, "_start", fuse, "beginning")
    after(Training, "_backward", fuse, "step")
    after(Training, "_step", fuse, "update")
    in_predictions(loop, fuse, "validation")
    in_predictions(stages, fuse, "predictions")
    in_saves(fuse)
    in_renames(fuse)
    in_removal(fuse, Path(plan["keep"]))
    forget(plan["broken"])
    # What is written outlives a killed process; only a machine that fails needs it on the disk.
    os.fsync = lambda file: None
    # Global generators, which start anew in each process, are part of a checkpoint.
    random.seed(0)
    np.random.seed(0)
    sys.argv = ["hocbench", *plan["arguments"]]
    main()


def exit_code(child: int, seconds: float | None) -> int:
    """Wait for a process, and kill it when its time is over."""
    deadline = time.monotonic() + (seconds or float("inf"))
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve() -> None:
    """Start what is asked for, one after the other."""
    for line in sys.stdin:
        plan = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                start(plan)
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(f"{exit_code(child, plan['seconds'])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
