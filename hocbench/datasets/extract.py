"""Archives unpacked inside their target and nowhere else, within limits."""

import filecmp
import gzip
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from hocbench.datasets.litter import MACOS, STORAGE, WINDOWS, litter_kind
from hocbench.datasets.sources import DAMAGES as ZIP_DAMAGES
from hocbench.datasets.sources import ENCRYPTED
from hocbench.errors import FetchError
from hocbench.files.write import replaced
from hocbench.terminal import progress

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
BLOCK_BYTES = 2**20
LEFT_OUT = (MACOS, WINDOWS, STORAGE)  # a readme or a list of checksums is unpacked
DAMAGES = (*ZIP_DAMAGES, tarfile.TarError, gzip.BadGzipFile)


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to; a bomb goes far beyond, the datasets stay far below.

    Attributes
    ----------
    files : int
        Members.
    total_bytes : int
        All of them, unpacked; never more than the disk has free.
    ratio : float
        Unpacked by packed bytes, of the whole archive. Pictures and videos hardly shrink, landmark files tenfold.
    """

    files: int = 5_000_000
    total_bytes: int = 2**40
    ratio: float = 100.0


LIMITS = Limits()


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Return whether the end of a name is that of an archive."""
    return path.name.lower().endswith(ZIP + TAR)


def unpack(path: Path, target: Path, limits: Limits = LIMITS, written: dict[str, Path] | None = None) -> int:
    """Unpack a zip or tar archive into a folder, which is made, and return the number of files.

    All names are checked before the first file is written; each file is written under a temporary name and moved. What
    macOS, Windows and storage boxes pack beside the files is left out. Backslashes in a zip archive lead into folders.
    ``written`` says which archive has brought a file into the same folder; the files of this one are added.

    Raises
    ------
    FetchError
        If the archive is damaged or encrypted, a member has a name that leads out of the target, is a link or a device,
        clashes with another one or with another file of ``written``, or it goes beyond a limit.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with _open(path) as archive:
            members = list(_members(path, archive))
            _check(path, members, limits, shutil.disk_usage(target).free)
            for member in progress(members, f"Unpacking {path.name}", len(members)):
                _write(path, member, target, {} if written is None else written)
    except DAMAGES as error:
        raise FetchError(f"{path} cannot be unpacked ({' '.join(str(error).split())}); fetch it again") from None
    except OSError as error:
        raise FetchError(f"{path} cannot be unpacked into {target} ({error}); is the disk full?") from None
    return len(members)


def _open(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    try:
        return zipfile.ZipFile(path) if path.name.lower().endswith(ZIP) else tarfile.open(path)
    except OSError as error:
        # gzip and bz2 say OSError of damaged data.
        raise FetchError(f"{path} cannot be unpacked ({error}); fetch it again") from None


def _members(path: Path, archive: zipfile.ZipFile | tarfile.TarFile) -> Iterator[_Member]:
    """List the files; folders are made as needed, and anything else is refused."""
    if isinstance(archive, zipfile.ZipFile):
        for info in archive.infolist():
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _refused(path, info.filename, "is a link")
            if info.flag_bits & ENCRYPTED:
                raise FetchError(f"{path} is encrypted; nothing was unpacked. Unpack it by hand, with its password")
            name = info.filename.replace("\\", "/")
            if not name.endswith("/") and litter_kind(name) not in LEFT_OUT:
                yield _Member(name, info.file_size, partial(archive.open, info))
        return
    for entry in archive:
        if entry.issym() or entry.islnk():
            raise _refused(path, entry.name, "is a link")
        if not (entry.isfile() or entry.isdir()):
            raise _refused(path, entry.name, "is a device")
        if entry.isfile() and litter_kind(entry.name) not in LEFT_OUT:
            # By entry: a name would be looked up from the beginning.
            yield _Member(entry.name, entry.size, partial(archive.extractfile, entry))
    # The checksum of a packed archive stands at its end, where nothing else would look.
    while archive.fileobj is not None and archive.fileobj.read(BLOCK_BYTES):
        pass


def _check(path: Path, members: list[_Member], limits: Limits, free: int) -> None:
    if len(members) > limits.files:
        raise FetchError(f"{path} holds more than {limits.files:,} files; nothing was unpacked. Is it the right file?")
    total = sum(member.size for member in members)
    if total > min(limits.total_bytes, free):
        raise FetchError(
            f"{path} would unpack to {total:,} bytes, more than the {min(limits.total_bytes, free):,} that are allowed "
            "and free; nothing was unpacked. Make room or unpack it by hand"
        )
    # Small archives may hold a few very compressible files.
    if total > limits.ratio * max(path.stat().st_size, 10 * BLOCK_BYTES):
        raise FetchError(
            f"{path} unpacks to more than {limits.ratio:g} times its size; stopped. Do not trust this archive"
        )
    seen: dict[str, str] = {}
    for member in members:
        fault = _fault(member.name)
        if fault:
            raise _refused(path, member.name, fault)
        key = PurePosixPath(member.name).as_posix().casefold()
        if key in seen:
            raise _refused(path, member.name, f"clashes with {seen[key]!r}")
        seen[key] = member.name


def _fault(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not name or name.startswith(("/", "\\")) or name[1:2] == ":":
        return "is an absolute path"
    if ".." in parts or "\\" in name:
        return "leads out of the archive's folder"
    if "\0" in name or any(len(part.encode()) > 240 for part in parts):
        return "is no name for a file"
    return ""


def _refused(path: Path, name: str, fault: str) -> FetchError:
    return FetchError(f"{path}: member {name!r:.200} {fault}; nothing was unpacked. Do not trust this archive")


def _write(path: Path, member: _Member, target: Path, written: dict[str, Path]) -> None:
    place = target / member.name
    place.parent.mkdir(parents=True, exist_ok=True)
    # A link that was there before could lead the file elsewhere.
    if not place.parent.resolve().is_relative_to(target.resolve()):
        raise _refused(path, member.name, f"would be written outside of {target}")
    source = member.open()
    if source is None:
        raise tarfile.ReadError(f"{member.name} holds no data")
    with replaced(place) as temporary:
        # No more than the stated size is read, which has been held against the limits.
        with source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, BLOCK_BYTES)
        other = written.setdefault(str(place).casefold(), path)
        same = other == path or not place.exists() or filecmp.cmp(temporary, place, shallow=False)
        if not same and not litter_kind(member.name):
            raise FetchError(
                f"{path}: member {member.name!r:.200} is in {other.name} too, and the two differ; {place} is that of "
                f"{other.name}. Fetch them into two folders"
            )
