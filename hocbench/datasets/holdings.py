"""What a user's copy of a dataset holds: which files belong to it, in whatever container they lie, and which do not."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hocbench.datasets.faults import refuse_all
from hocbench.datasets.litter import OURS, litter_kind
from hocbench.datasets.names import did_you_mean
from hocbench.datasets.sources import list_files, read_bytes, remedy_of, same_content
from hocbench.errors import DatasetError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MOST_NAMED = 20  # files of a folder that is not recognised; more are counted


class Holdings:
    """The files of a copy, and what became of each: taken, left out by name, or named as not recognised.

    Adapters find their files here. What they say by `note` stands in the index and in the inventory. The user leaves
    out clips, or folders or archives below the root, by ``exclude``.
    """

    def __init__(self, name: str, root: Path, exclude: Collection[str] = ()) -> None:
        self.name, self.root = name, root
        self._wanted_out = {_spelled(name): name for name in exclude}
        self._met: set[str] = set()
        self._excludable: set[str] = set()
        self._litter: Counter[str] = Counter()
        self._unrecognised: set[str] = set()
        self._notes: dict[str, list[str]] = {}

    def sources(self) -> list[str]:
        """List the sources of the whole copy without litter, archives looked into; empty folders end in ``/``."""
        broken: dict[str, OSError] = {}
        try:
            sources = list_files(self.root, broken)
        except OSError as error:
            raise self.unreadable(error) from None
        faults = [str(self.unreadable(error)) for name, error in broken.items() if not self._left_out(name)]
        refuse_all(self.name, faults)
        return self.without_litter(sources)

    def _left_out(self, archive: str) -> bool:
        """Return whether the user leaves out an archive that cannot be read, or the clip that it is named after."""
        names = {*_above(archive), archive, *archive.split("/")}
        for key in self._wanted_out:
            if any(re.match(rf"{re.escape(key)}(?!\w)", _spelled(name)) for name in names):
                self._met.add(key)
                self.note("excluded", self._wanted_out[key])
                return True
        return False

    def without_litter(self, sources: Iterable[str]) -> list[str]:
        """Return sources that may belong to the dataset; the others are counted by kind.

        A folder with nothing but litter in it counts as an empty one, which ends in ``/``.
        """
        clean, emptied = [], set()
        for source in sources:
            kind = litter_kind(source)
            if not kind and source != source.encode(errors="ignore").decode():
                # A name that no table can hold; nothing of the datasets has one.
                self.unrecognised(source.encode("utf-8", "backslashreplace").decode())
            elif not kind:
                clean.append(source)
            else:
                self._litter[kind] += kind != OURS
                parts = source.split("/")
                depth = next(place for place, part in enumerate(parts) if litter_kind(part))
                emptied.add("/".join((*parts[:depth], "")))
        full = {f"{above}/" for source in clean for above in _above(source)} if emptied else set()
        return clean + sorted(emptied - full - {""})

    def read(self, source: str) -> bytes:
        """Read a file of the copy; one that cannot be read raises a DatasetError."""
        try:
            return read_bytes(self.root, source)
        except OSError as error:
            raise self.unreadable(error, source) from None

    def unreadable(self, error: OSError, source: str = "") -> DatasetError:
        """Make the error of a file that cannot be read, with what helps against it."""
        fault = f"{self.root / source} cannot be read ({error})" if source else str(error)
        return DatasetError(f"{self.name}: {fault}; {remedy_of(error)}")

    def one(self, what: str, sources: Sequence[str]) -> str:
        """Choose the file of a thing among all that claim to be it; two that differ raise a DatasetError.

        Files with the same bytes are one; which is read, and that there are more, is noted.
        """
        first, *others = sorted(sources, key=plain_first)
        for other in others:
            if not self.alike(first, other):
                raise self.two(what, first, other)
            self.note("held_twice", f"{other} = {first}")
        return first

    def alike(self, first: str, second: str) -> bool:
        """Return whether two files hold the same bytes."""
        try:
            return same_content(self.root, first, second)
        except OSError as error:
            raise self.unreadable(error) from None

    def two(self, what: str, first: str, second: str, remedy: str = "remove the wrong one") -> DatasetError:
        """Make the error of two different files or folders for one thing."""
        paths = f"{self.root / first} and {self.root / second}"
        return DatasetError(f"{self.name}: {what} is there twice, and the two differ: {paths}; {remedy}")

    def excludes(self, clip: str, *places: str) -> bool:
        """Return whether the user leaves out a clip, by its name or by one of the places where it lies."""
        if not self._wanted_out:
            return False
        names = {clip, *places, *(above for place in places for above in _above(place))}
        self._excludable |= names
        wanted = {_spelled(name) for name in names} & self._wanted_out.keys()
        self._met |= wanted
        for key in wanted:
            self.note("excluded", self._wanted_out[key])
        return bool(wanted)

    def check_excluded(self) -> None:
        """Refuse names to leave out that no clip has, with near names; called when all clips are found."""
        for key in sorted(self._wanted_out.keys() - self._met):
            name = self._wanted_out[key]
            near = did_you_mean(name, self._excludable) or f"; it holds {len(self._excludable):,} clips"
            raise DatasetError(f"{self.name}: exclude names {name!r}, which {self.root} does not hold{near}")

    def unrecognised(self, *sources: str) -> None:
        """Remember files that the adapter has no use for."""
        self._unrecognised.update(sources)

    def renamed(self, source: str, meant: str) -> None:
        """Remember a file or folder that was found under another name than the release gives it."""
        self.note("read_under_another_name", f"{source} as {meant}")

    def note(self, key: str, item: str) -> None:
        """Add to a list of the notes."""
        self._notes.setdefault(key, []).append(item)

    def notes(self, taken: Iterable[str]) -> dict[str, Any]:
        """Return what was found, empty where there is nothing to say.

        ``taken`` are the sources that were recognised: folders without any are named as a whole.
        """
        notes: dict[str, Any] = {"left_behind": {kind: n for kind, n in sorted(self._litter.items()) if n}}
        notes["not_recognised"] = _by_folder(self._unrecognised, taken)
        notes |= {key: sorted(set(items)) for key, items in sorted(self._notes.items())}
        return {key: value for key, value in notes.items() if value}


def plain_first(source: str) -> tuple[bool, int, str]:
    """Sort what is unpacked before what is not, and short paths before long ones."""
    return ".zip/" in f"{source}/".lower(), len(source), source


def _spelled(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip("/")


def _by_folder(sources: Collection[str], taken: Iterable[str]) -> list[str]:
    """Name files, or the outermost folder that holds nothing else where these are many."""
    if not sources:
        return []
    used = {above for source in taken for above in _above(source)}
    folders: dict[str, list[str]] = {}
    for source in sources:
        folders.setdefault(next((top for top in _above(source) if top not in used), ""), []).append(source)
    alone = folders.pop("", [])
    named = [f"{folder}/ ({len(held):,} files)" for folder, held in folders.items() if len(held) > MOST_NAMED]
    return sorted([*alone, *named, *(file for held in folders.values() if len(held) <= MOST_NAMED for file in held)])


def _above(source: str) -> list[str]:
    """List the folders and archives that a file lies in, the outermost first."""
    parts = source.split("/")
    return ["/".join(parts[:place]) for place in range(1, len(parts))]


def extension(source: str) -> str:
    """Return the end of a name, from its last dot, in lower case."""
    return PurePosixPath(source).suffix.lower()
