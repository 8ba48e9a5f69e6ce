"""Files of a dataset where they lie: in folders, or inside zip archives, which are read in place."""

import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

Archive = tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]

LARGEST_MEMBER_BYTES = 4 * 2**30  # unpacked; no file of the datasets comes near


def read_bytes(root: Path, source: str) -> bytes:
    """Read a file of a dataset.

    Parameters
    ----------
    root : Path
        Dataset folder.
    source : str
        Path below it with ``/``; it may lead through an archive: ``"01.zip/001/00000.png"``.

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
    archive, members = _open(path)
    if member not in members:
        raise FileNotFoundError(f"{path} holds no {member}")
    try:
        if members[member].file_size > LARGEST_MEMBER_BYTES:
            raise OSError(f"{member} in {path} unpacks to more than {LARGEST_MEMBER_BYTES // 2**30} GiB")
        return archive.read(members[member])
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError, EOFError) as error:
        # zipfile says RuntimeError of encrypted members and NotImplementedError of unknown compressions.
        raise OSError(f"{member} in {path} cannot be unpacked ({error})") from None


def open_media(root: Path, source: str) -> str | io.BytesIO:
    """Return what PyAV opens: the path of a file, or the content of a member of an archive.

    Raises
    ------
    OSError
        As `read_bytes`.
    """
    path, member = locate(root, source)
    return str(path) if member is None else io.BytesIO(read_bytes(root, source))


def locate(root: Path, source: str) -> tuple[Path, str | None]:
    """Tell the file on disk and, if that is an archive on the way, the member inside it."""
    if ".zip/" not in source.lower():
        return root / source, None
    parts = PurePosixPath(source).parts
    for place, part in enumerate(parts[:-1], start=1):
        if part.lower().endswith(".zip") and (path := root.joinpath(*parts[:place])).is_file():
            return path, "/".join(parts[place:])
    return root / source, None


def list_files(root: Path, below: str = "") -> list[str]:
    """List all files below a folder or archive of a dataset, those inside archives too.

    Parameters
    ----------
    root : Path
        Dataset folder.
    below : str
        Folder or archive below it; empty for the whole dataset.

    Returns
    -------
    list of str
        Sources for `read_bytes`, sorted.

    Raises
    ------
    OSError
        If an archive cannot be read.
    """
    start = root / below
    return sorted(_members(root, start) if start.is_file() else _walk(root, start))


def _walk(root: Path, start: Path) -> Iterator[str]:
    for path in walk(start):
        if path.suffix.lower() == ".zip":
            yield from _members(root, path)
        else:
            yield path.relative_to(root).as_posix()


def walk(start: Path) -> Iterator[Path]:
    """Yield all files below a folder; links to folders are followed, but into no folder twice on the way down."""
    for folder, folders, names in os.walk(start, followlinks=True):
        above = {os.path.realpath(str(parent)) for parent in (folder, *Path(folder).parents)}
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(folder, name)) not in above]  # noqa: PTH118
        yield from (Path(folder, name) for name in names)


def _members(root: Path, path: Path) -> Iterator[str]:
    inside = path.relative_to(root).as_posix()
    for member in _open(path)[1]:
        yield f"{inside}/{member}"


def _open(path: Path) -> Archive:
    about = path.stat()
    return _open_unchanged(str(path), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=16)
def _open_unchanged(path: str, _mtime_ns: int, _size: int) -> Archive:
    """Open an archive and list its files by their names without a leading slash or dots."""
    try:
        archive = zipfile.ZipFile(path)
        files = [info for info in archive.infolist() if not info.is_dir()]
        return archive, {PurePosixPath(info.filename.lstrip("/")).as_posix(): info for info in files}
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise OSError(f"{path} cannot be read as a zip archive ({error})") from None
