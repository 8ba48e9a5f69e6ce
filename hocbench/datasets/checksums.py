"""Checksums of a user's own copy, in the format of ``sha256sum``, and what changed since."""

import re
from dataclasses import dataclass
from pathlib import Path

from hocbench.datasets.sources import walk
from hocbench.errors import DatasetError
from hocbench.files.checksums import file_hash
from hocbench.files.write import write_text
from hocbench.terminal import progress

LINE = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True)
class Changes:
    """What differs from the list: sorted paths below the dataset's folder."""

    changed: list[str]
    missing: list[str]
    added: list[str]
    checked: int

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.changed or self.missing or self.added)


def register(root: Path, path: Path) -> int:
    """Write the checksum of every file below a folder, and return how many there are.

    `sha256sum --check` reads the list too. Without folder or file, with one that cannot be read, or with a list that
    would lie among the files, it raises a DatasetError.
    """
    if path.resolve().is_relative_to(root.resolve()):
        raise DatasetError(f"{path} lies inside {root}, among the files that it is to list; choose another place")
    lines = checksum_lines(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text("".join(lines), path)
    return len(lines)


def checksum_lines(root: Path) -> list[str]:
    """Return the lines of such a list, sorted by name; see `register`."""
    names = _names(root)
    return [f"{_digest(root / name)}  {name}\n" for name in progress(names, "Hashing", len(names))]


def verify(root: Path, path: Path) -> Changes:
    """Compare a folder with a list that `register` wrote; without list or folder it raises a DatasetError."""
    listed = _read(path)
    here = set(_names(root))
    known = sorted(listed.keys() & here)
    changed = [name for name in progress(known, "Verifying", len(known)) if _digest(root / name) != listed[name]]
    return Changes(changed, sorted(listed.keys() - here), sorted(here - listed.keys()), len(known))


def _names(root: Path) -> list[str]:
    if not root.is_dir():
        raise DatasetError(f"folder {root} does not exist; give the folder of your copy")
    names = sorted(path.relative_to(root).as_posix() for path in walk(root))
    if not names:
        raise DatasetError(f"{root} holds no file; give the folder of your copy")
    strange = next((name for name in names if "\n" in name or "\\" in name), None)
    if strange is not None:
        raise DatasetError(f"{root} holds a file named {strange!r}, which a list of checksums cannot; rename it")
    return names


def _digest(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check the file and its disk") from None


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); run `hocbench data register` first") from None
    listed = {}
    for number, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise DatasetError(f"{path}, line {number}: not a checksum and a path; run `hocbench data register` again")
        listed[match.group(2)] = match.group(1)
    if not listed:
        raise DatasetError(f"{path} lists no file; run `hocbench data register` again")
    return listed
