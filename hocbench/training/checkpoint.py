"""Checkpoints on disk: two files each, both hashed, the one before kept until the next is complete."""

import hashlib
import json
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save

from hocbench.errors import RunError
from hocbench.files.write import replaced
from hocbench.runs.attempts import COMPLETE
from hocbench.runs.record import flat
from hocbench.training.state import State

LOGGER = logging.getLogger(__name__)
KEPT = 2
PATIENCE_S = 60.0  # a process that was asked to stop may still be saving
NAME = re.compile(r"(\d{6})\.json")


class Checkpoints:
    """The checkpoints of one run.

    Parameters
    ----------
    folder : Path
        Folder of this run alone.
    identity : dict
        What the state belongs to: run, parameters, code, data, parent. A state of another identity is refused.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        # As JSON gives it back, with lists for tuples.
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes away from this run while the block runs.

        Raises
        ------
        RunError
            If another process is training it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = self.folder / "owner.txt"
        lock = FileLock(self.folder / "lock", timeout=PATIENCE_S)
        try:
            lock.acquire()
        except NotImplementedError:
            LOGGER.warning("the file system of %s has no locks; start no run twice at once", self.folder)
        except Timeout:
            who = owner.read_text(encoding="utf-8") if owner.is_file() else "another process"
            raise RunError(
                f"run {self.identity['run']} is being trained by {who}, which may be left over from a start that was "
                "killed; wait for it or end it"
            ) from None
        try:
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
            yield
        finally:
            lock.release()

    def save(self, state: State) -> None:
        """Write a state beside the one before; only when it is safe on the disk are older ones removed."""
        number = max(self._numbers(), default=0) + 1
        content = save(state.tensors)
        about = {"identity": self.identity, "tensors_sha256": _sha256(content), "values": state.values}
        _write(self._tensors(number), content)
        _write(self._about(number), _signed(about))
        for old in self._numbers()[:-KEPT]:
            self._drop(old)

    def load(self) -> State | None:
        """Read the newest state that is whole.

        Returns
        -------
        State or None
            None if there is none; a damaged one costs a warning.

        Raises
        ------
        RunError
            If the state is of another run, or of other parameters, code or data.
        """
        for number in reversed(self._numbers()):
            try:
                about = _verified(self._about(number))
                content = self._tensors(number).read_bytes()
                if _sha256(content) != about["tensors_sha256"]:
                    raise ValueError(f"{self._tensors(number)} has another hash than {self._about(number).name} says")
                state = State(load(content), about["values"])
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                LOGGER.warning("damaged checkpoint %s (%s); it is left out", self._about(number), error)
                self._drop(number)
                continue
            if self._marker.is_file() and _differences(about["identity"], self.identity):
                # Of a run that was complete, and is made anew because something has changed.
                for other in self._numbers():
                    self._drop(other)
                break
            self._check(about["identity"])
            return state
        return None

    def remove(self) -> None:
        """Delete all of it: the run is complete."""
        shutil.rmtree(self.folder)

    def keep(self) -> None:
        """Keep the newest state until `forget`: the run is complete, but a cluster may still lose its job."""
        if not self._numbers():
            self.remove()
            return
        for old in self._numbers()[:-1]:
            self._drop(old)
        self._marker.touch()

    @property
    def _marker(self) -> Path:
        return self.folder / COMPLETE

    def _check(self, found: dict[str, Any]) -> None:
        changed = _differences(found, self.identity)
        if changed:
            raise RunError(
                f"the checkpoint of run {self.identity['run']} is of something else ({'; '.join(changed)}); "
                f"go back to that, or delete {self.folder} to train from the start"
            )

    def _drop(self, number: int) -> None:
        # Several processes of a run may find the same damage.
        self._about(number).unlink(missing_ok=True)
        self._tensors(number).unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        names = (NAME.fullmatch(path.name) for path in self.folder.glob("*.json"))
        return sorted(int(found[1]) for found in names if found)

    def _about(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _tensors(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    before, now = flat(found), flat(wanted)
    return [
        f"{key}: {before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


def _signed(content: dict[str, Any]) -> bytes:
    """Write values as JSON beside the hash of their text."""
    # Not sorted: the columns of the history have an order.
    return json.dumps({"sha256": _hash_of(content), "content": content}).encode()


def _verified(path: Path) -> dict[str, Any]:
    signed = json.loads(path.read_bytes())
    content: dict[str, Any] = signed["content"]
    if _hash_of(content) != signed["sha256"]:
        raise ValueError("its content has another hash than it says")
    return content


def _hash_of(content: dict[str, Any]) -> str:
    return _sha256(json.dumps(content, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there, whatever happens to the process or the machine."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
