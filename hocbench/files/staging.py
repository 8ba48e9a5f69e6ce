"""Results of a command, which replace older ones only when all of them are there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(out: Path, name: str, marker: str | None = None) -> Iterator[Path]:
    """Yield a folder for the files of one command; they go to their places below ``out`` when the block ends well.

    Until then, and after any error, what an earlier call left there stays as it was. A block that is killed leaves
    ``out/.NAME.part``, which the next call removes.

    Parameters
    ----------
    out : Path
        Where the files belong; made if need be.
    name : str
        Of the command, so that several may write into one folder at the same time.
    marker : str, optional
        See `move_into`.
    """
    part, is_new = out / f".{name}.part", not out.exists()
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        move_into(part, out, marker)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if is_new and not any(out.iterdir()):
            out.rmdir()


def move_into(part: Path, out: Path, marker: str | None = None) -> None:
    """Move all files below a folder to the same places below another, each in one step.

    Seals, which are JSON, come last, and of these the outermost: in a mixture of old and new files, which a kill may
    leave, the old seal does not fit the new files, and readers refuse them. ``marker``, the seal whose presence alone
    readers take for a whole result, is removed first and comes last.
    """
    if marker is not None:
        (out / marker).unlink(missing_ok=True)
    files = [path for path in part.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: (path.name == marker, path.suffix == ".json", -len(path.parts), path)):
        place = out / path.relative_to(part)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
