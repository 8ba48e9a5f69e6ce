"""Files of a dataset where they lie: in folders, or inside zip archives, which are read in place."""

import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NoReturn

from hocbench.datasets.litter import litter_kind

Archive = tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]

VIDEOS = (".avi", ".mp4", ".mkv", ".mov")
LARGEST_MEMBER_BYTES = 4 * 2**30  # unpacked; no file of the datasets comes near
LARGEST_INNER_BYTES = 2**30  # of an archive in an archive, which is held in memory
MOST_NESTED = 3  # archives in one another
ENCRYPTED = 0x1  # flag of a member
# zipfile says RuntimeError of encrypted members and NotImplementedError of unknown compressions.
DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError, EOFError)


class SourceError(OSError):
    """A file in an archive cannot be read; ``remedy`` says what helps."""

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(fault)
        self.remedy = remedy


def remedy_of(error: OSError) -> str:
    """Return what helps against an error of reading; another copy does not help against missing rights."""
    if isinstance(error, SourceError):
        return error.remedy
    if isinstance(error, FileNotFoundError):
        return "copy it again"
    if isinstance(error, PermissionError):
        return "change its permissions"
    if isinstance(error, IsADirectoryError):
        return "a file belongs there"
    return "check the disk that it lies on"


def read_bytes(root: Path, source: str) -> bytes:
    """Read a file of a dataset, by its path below the root, which may lead through archives: "01.zip/001/00000.png".

    Raises
    ------
    OSError
        If the file is missing, or its archive is damaged, encrypted or unpacks to more than `LARGEST_MEMBER_BYTES`.
    """
    path, member = locate(root, source)
    if member is None:
        # A buffer would be made and filled for each of half a million small files.
        with io.FileIO(path) as file:
            return file.readall()
    archive, info = _find(path, member)
    return _unpack(archive, info, path, LARGEST_MEMBER_BYTES)


def same_content(root: Path, first: str, second: str) -> bool:
    """Return whether two files of a dataset hold the same bytes; both are read unless their sizes differ."""
    paths = [locate(root, source) for source in (first, second)]
    if all(member is None for _, member in paths) and paths[0][0].samefile(paths[1][0]):
        return True
    sizes = [path.stat().st_size if member is None else _find(path, member)[1].file_size for path, member in paths]
    return sizes[0] == sizes[1] and read_bytes(root, first) == read_bytes(root, second)


def is_video(source: str) -> bool:
    """Return whether the end of a name is that of a video."""
    return source.lower().endswith(VIDEOS)


def open_media(root: Path, source: str) -> str | io.BytesIO:
    """Return what PyAV opens: the path of a file, or the content of a member of an archive; see `read_bytes`."""
    path, member = locate(root, source)
    # FFmpeg takes what stands before a colon for a protocol, unless there is a slash before it.
    return str(path.absolute()) if member is None else io.BytesIO(read_bytes(root, source))


def locate(root: Path, source: str) -> tuple[Path, str | None]:
    """Return the file on disk and, if that is an archive on the way, the member inside it."""
    if ".zip/" not in source.lower():
        return root / source, None
    parts = PurePosixPath(source).parts
    for place, part in enumerate(parts[:-1], start=1):
        if part.lower().endswith(".zip") and (path := root.joinpath(*parts[:place])).is_file():
            return path, "/".join(parts[place:])
    return root / source, None


def list_files(root: Path, broken: dict[str, OSError]) -> list[str]:
    """List all files of a dataset, those inside archives too, and empty folders, which end in ``/``; sorted.

    Archives that cannot be read are put into ``broken``; a folder that cannot raises an OSError.
    """
    sources = []
    for folder, names, empty in _folders(root):
        below = folder.relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        if empty and prefix:
            sources.append(prefix)
        for name in names:
            source = f"{prefix}{name}"
            sources += _below(folder / name, (), source, broken) if _is_archive(source) else [source]
    return sorted(sources)


def _is_archive(name: str) -> bool:
    """Return whether to look into a file; what macOS leaves beside an archive is named like one and is none."""
    return name.lower().endswith(".zip") and not litter_kind(name)


def walk(start: Path) -> Iterator[Path]:
    """Yield all files below a folder; links to folders are followed, but into no folder twice on the way down.

    A folder that cannot be listed raises an OSError.
    """
    for folder, names, _ in _folders(start):
        yield from (folder / name for name in names)


def _folders(start: Path) -> Iterator[tuple[Path, list[str], bool]]:
    """Yield each folder with the names of its files, and whether it is empty."""
    for folder, folders, names in os.walk(start, followlinks=True, onerror=_refuse):
        empty = not folders and not names
        above = {os.path.realpath(str(parent)) for parent in (folder, *Path(folder).parents)}
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(folder, name)) not in above]  # noqa: PTH118
        yield Path(folder), names, empty


def _refuse(error: OSError) -> NoReturn:
    raise error


def _below(path: Path, inner: tuple[str, ...], name: str, broken: dict[str, OSError]) -> Iterator[str]:
    """Name the files of an archive and of those inside it."""
    try:
        _, members = _open(path, inner)
    except OSError as error:
        broken[name] = error
        return
    for member in members:
        if _is_archive(member):
            yield from _below(path, (*inner, member), f"{name}/{member}", broken)
        else:
            yield f"{name}/{member}"


def _find(path: Path, member: str) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    """Find a member of an archive, through archives in it."""
    inner: tuple[str, ...] = ()
    archive, members = _open(path)
    rest = member
    while rest not in members:
        parts = rest.split("/")
        starts = ("/".join(parts[:place]) for place in range(1, len(parts)))
        outer = next((start for start in starts if start in members), None)
        if outer is None:
            raise FileNotFoundError(f"{path} holds no {member}")
        inner, rest = (*inner, outer), rest[len(outer) + 1 :]
        archive, members = _open(path, inner)
    return archive, members[rest]


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, most_bytes: int) -> bytes:
    where = f"{info.filename} in {path}"
    if info.flag_bits & ENCRYPTED:
        raise SourceError(f"{where} cannot be unpacked (it is encrypted)", "unpack the archive with its password")
    if info.file_size > most_bytes:
        raise SourceError(f"{where} unpacks to more than {most_bytes // 2**30} GiB", "unpack the archive by hand")
    try:
        return archive.read(info)
    except NotImplementedError as error:
        raise SourceError(f"{where} cannot be unpacked ({error})", "unpack the archive by hand") from None
    except DAMAGES as error:
        raise SourceError(f"{where} cannot be unpacked ({error})", "copy the archive again") from None


def _open(path: Path, inner: tuple[str, ...] = ()) -> Archive:
    state = path.stat()
    open_it = _open_inner if inner else _open_unchanged
    return open_it(str(path), state.st_mtime_ns, state.st_size, inner)


@lru_cache(maxsize=16)
def _open_unchanged(path: str, _mtime_ns: int, _size: int, _inner: tuple[str, ...]) -> Archive:
    return _read_directory(path, path)


@lru_cache(maxsize=4)
def _open_inner(path: str, _mtime_ns: int, _size: int, inner: tuple[str, ...]) -> Archive:
    """Open an archive inside another one, in memory."""
    if len(inner) > MOST_NESTED:
        raise SourceError(f"{path} holds archives in archives in archives", "unpack it by hand")
    archive, members = _open(Path(path), inner[:-1])
    content = _unpack(archive, members[inner[-1]], Path(path), LARGEST_INNER_BYTES)
    return _read_directory(io.BytesIO(content), "/".join((path, *inner)))


def _read_directory(file: str | io.BytesIO, name: str) -> Archive:
    """Open an archive and list its files by their names, with ``/`` and without anything that leads out."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise SourceError(f"{name} cannot be read as a zip archive ({error})", "copy it again") from None
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        # Packers of Windows wrote backslashes, and folders as members that end in one.
        path = info.filename.replace("\\", "/")
        if path.endswith("/"):
            continue
        key = "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
        other = members.setdefault(key, info)
        if (other.CRC, other.file_size) != (info.CRC, info.file_size):
            raise SourceError(
                f"{name} holds two files for {key}, named {other.filename!r} and {info.filename!r}, and they differ",
                "take one of them out of the archive",
            )
    return archive, members
