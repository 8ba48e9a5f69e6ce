"""A user's mistake is a mistake once, however often a workflow tries again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hocbench.errors import HocbenchError, RunError


@contextmanager
def not_repeated(folder: Path, run: str, attempt: int) -> Iterator[None]:
    """Let a user's mistake be a mistake once: a workflow that tries again gets the same message, without any work.

    Parameters
    ----------
    folder : Path
        Where trainings are saved.
    run : str
        Run id.
    attempt : int
        1 for the first try of a workflow, which may have been mended since the last one.

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
