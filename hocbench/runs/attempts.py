"""What the attempts at one run share, apart from its checkpoints; without torch."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hocbench.errors import HocbenchError, RunError

COMPLETE = "complete"  # marks the checkpoint of a run that is complete


@contextmanager
def not_repeated(folder: Path, run: str, attempt: int) -> Iterator[None]:
    """Repeat the message of the attempt before, without any work, if that ended with a user's mistake.

    Parameters
    ----------
    folder, run : Path, str
        Where trainings are saved, and run id.
    attempt : int
        1 for the first attempt of a workflow, since when the mistake may have been fixed.

    Raises
    ------
    RunError
        At a later attempt, if the one before found a mistake.
    """
    note = folder / f"{run}.mistake"
    if attempt > 1 and note.is_file():
        raise RunError(f"not tried again, because the attempt before ended with: {note.read_text(encoding='utf-8')}")
    note.unlink(missing_ok=True)
    try:
        yield
    except HocbenchError as error:
        folder.mkdir(parents=True, exist_ok=True)
        note.write_text(str(error), encoding="utf-8")
        raise


def forget(folder: Path, runs: Iterable[str]) -> None:
    """Delete the checkpoints of complete runs, by their ids, which are not lost once somebody has read them."""
    for run in runs:
        if (folder / run / COMPLETE).is_file():
            shutil.rmtree(folder / run)
