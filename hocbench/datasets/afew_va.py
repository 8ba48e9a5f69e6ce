"""AFEW-VA: a folder of PNG frames and one JSON file per film clip, unpacked or in the archives of the release."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.faults import read_each
from hocbench.datasets.holdings import PICTURES, Holdings, extension, plain_first
from hocbench.datasets.names import did_you_mean, without_copy_mark
from hocbench.datasets.numbering import PictureNumbers, decide_shift
from hocbench.datasets.scales import decide_scale, label_files
from hocbench.datasets.sources import locate
from hocbench.datasets.tables import to_points
from hocbench.errors import DatasetError

RELEASED_SCALE = 10  # labels are integers from -10 to 10
FAR = 1e9  # no label of any scale goes so far
Row = dict[str, Any]


@dataclass
class _Clip:
    """A folder or archive of a clip: its JSON file, and its pictures by number."""

    number: int
    place: str
    descriptions: list[str] = field(default_factory=list)
    pictures: dict[int, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.number:03d}"

    @property
    def files(self) -> list[str]:
        return self.descriptions + [source for pictures in self.pictures.values() for source in pictures]


@dataclass(frozen=True)
class _Reading:
    """What is read of a clip before the whole copy says how pictures are numbered, and the scale of the labels."""

    name: str
    source: str
    actor: str
    frames: dict[str, Row]
    pictures: dict[int, str]


class AfewVa:
    """Film clips with the name of the actor."""

    name, title, role = "afew_va", "AFEW-VA", "clips"
    layout = "folders 001 ... 600 with 00000.png ... and 001.json, or the 12 zip archives that hold them"

    def read(self, root: Path, exclude: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read all clips; see `hocbench.datasets.contract.Adapter`."""
        holdings = Holdings(self.name, root, exclude)
        places = _find_clips(holdings)
        clips: list[_Reading] = []
        read_each(self.name, sorted(places), lambda name: clips.append(_read_clip(holdings, places[name])))
        if not clips:
            return pd.DataFrame(), {}
        numbers = [
            PictureNumbers(root / clip.source, frozenset(map(int, clip.frames)), frozenset(clip.pictures))
            for clip in clips
            if clip.pictures
        ]
        shift, numbering = decide_shift(self.name, numbers)
        frames = pd.DataFrame([row for clip in clips for row in _rows(holdings, clip, shift)])
        files = label_files(frames, "clip", frames.pop("place"))
        scale, scaled = decide_scale(self.name, files, RELEASED_SCALE)
        frames[["valence", "arousal"]] /= scale
        taken = [source for clips in places.values() for clip in clips for source in clip.files]
        archives = {locate(root, source)[0] for source in taken if ".zip/" in source.lower()}
        notes = {"clips": len(places), "archives": len(archives), "picture_numbering": numbering} | scaled
        return frames, notes | holdings.notes(taken)


def _find_clips(holdings: Holdings) -> dict[str, list[_Clip]]:
    """Find the places of each clip, by its name, in whatever folder or archive they lie."""
    folders = _list_folders(holdings)
    described = {clip.number for clip in folders if clip.descriptions}
    above = {outer for clip in folders if clip.descriptions for outer in PurePosixPath(clip.place).parents}
    within = {PurePosixPath(clip.place) for clip in folders if clip.descriptions}
    places: dict[str, list[_Clip]] = {}
    for clip in folders:
        place = PurePosixPath(clip.place)
        # Crops of the user's own lie in folders of clips or in numbered ones elsewhere, without a JSON file; and clips
        # may lie in numbered folders, as in the twelve archives.
        foreign = clip.number in described or place in above or within.intersection(place.parents)
        if not clip.descriptions and (foreign or not clip.pictures):
            holdings.unrecognised(*clip.files, *clip.others)
        elif not holdings.excludes(clip.name, clip.place):
            places.setdefault(clip.name, []).append(clip)
            holdings.unrecognised(*clip.others)
    holdings.check_excluded()
    return places


def _list_folders(holdings: Holdings) -> list[_Clip]:
    """List the folders and archives that are named by a number, and what they hold."""
    folders: dict[str, _Clip] = {}
    for source in holdings.sources():
        place, _, name = source.rpartition("/")
        outer = place.rpartition("/")[2]
        number = _number(outer[:-4] if extension(outer) == ".zip" else outer)
        if number is None:
            holdings.unrecognised(source)
            continue
        clip = folders.setdefault(place, _Clip(number, place))
        end = extension(name)
        picture = _number(name[: len(name) - len(end)])
        if picture == number and end == ".json":
            clip.descriptions.append(source)
        elif picture is not None and end in PICTURES:
            clip.pictures.setdefault(picture, []).append(source)
        else:
            clip.others.append(source)
    return list(folders.values())


def _number(name: str) -> int | None:
    """Read the number that a folder or picture is named by, a copy of it too."""
    number = without_copy_mark(name)
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _only(holdings: Holdings, places: list[_Clip]) -> _Clip:
    """Choose among the places of a clip, which have to hold the same."""
    first, *others = sorted(places, key=lambda clip: plain_first(clip.place))
    what = f"clip {first.name}"
    for other in others:
        if not _hold_the_same(holdings, first, other):
            remedy = f"remove the wrong one, or exclude {other.place!r}"
            raise holdings.two(what, first.place, other.place, remedy)
        holdings.note("held_twice", f"{other.place} = {first.place}")
    if PurePosixPath(first.place).name.lower().removesuffix(".zip") != first.name:
        holdings.renamed(first.place, what)
    return first


def _hold_the_same(holdings: Holdings, first: _Clip, second: _Clip) -> bool:
    if bool(first.descriptions) != bool(second.descriptions) or first.pictures.keys() != second.pictures.keys():
        return False
    pairs = [(first.descriptions, second.descriptions)]
    pairs += [(pictures, second.pictures[number]) for number, pictures in first.pictures.items()]
    return all(holdings.alike(ours[0], other) for ours, theirs in pairs for other in theirs)


def _read_clip(holdings: Holdings, places: list[_Clip]) -> _Reading:
    clip = _only(holdings, places)
    if not clip.descriptions:
        path = holdings.root / clip.place / f"{clip.name}.json"
        near = did_you_mean(path.name, [source.rpartition("/")[2] for source in clip.others])
        raise DatasetError(f"afew_va: {path} is missing; each clip folder holds its frames and one JSON file{near}")
    source = holdings.one(f"the JSON file of clip {clip.name}", clip.descriptions)
    path = holdings.root / source
    actor, frames = _load(path, holdings.read(source))
    pictures = {
        number: holdings.one(f"frame {number} of clip {clip.name}", sources)
        for number, sources in clip.pictures.items()
    }
    return _Reading(clip.name, source, actor, frames, pictures)


def _rows(holdings: Holdings, clip: _Reading, shift: int) -> list[Row]:
    """Make the rows of a clip, whose pictures are numbered higher than its frames by ``shift``."""
    pictures = {number - shift: source for number, source in clip.pictures.items()}
    described = {int(key) for key in clip.frames}
    for number in sorted(pictures.keys() - described):
        holdings.note("pictures_not_in_the_json_file", pictures[number])
    return [
        _read_frame(holdings.root / clip.source, number, frame)
        | {"subject": clip.actor, "clip": clip.name}
        | _picture(pictures, clip.source, number, frame)
        for number, frame in sorted(clip.frames.items())
    ]


def _picture(pictures: dict[int, str], description: str, number: str, frame: Row) -> Row:
    """Return the picture and the landmarks of a frame, and its status as far as these two decide it."""
    points = to_points(frame.get("landmarks") or [])
    status = "ok" if len(points) else "landmarks_failed"
    if frame.get("valence") is None or frame.get("arousal") is None:
        status = "label_missing"
    source = pictures.get(int(number))
    if source is None:
        status = "frame_missing"
        source = str(PurePosixPath(description).with_name(f"{number}.png"))
    return {"source": source, "landmarks": points, "status": status}


def _read_frame(path: Path, number: str, frame: Row) -> Row:
    """Read the labels of a frame, not scaled yet."""
    labels: Row = {"frame": int(number), "place": f"{path}, frame {number}"}
    for target in ("valence", "arousal"):
        value = frame.get(target)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DatasetError(f"afew_va: {path}, frame {number}: {target} {value!r} is not a number; check the file")
        # A number of a thousand digits is one of Python and of JSON, but not of NumPy.
        if value is not None and not abs(value) < FAR:
            raise DatasetError(f"afew_va: {path}, frame {number}: {target} {value!s:.20} is no label; check the file")
        labels[target] = np.nan if value is None else value
    return labels


def _load(path: Path, content: bytes) -> tuple[str, dict[str, Row]]:
    """Read the actor and the frames, by their numbers, of a clip."""
    try:
        clip = json.loads(content.decode("utf-8-sig"), object_pairs_hook=lambda pairs: _once(path, pairs))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"afew_va: {path} is not JSON ({error}); copy it again") from None
    if not isinstance(clip, dict) or not {"actor", "frames"} <= set(clip):
        raise DatasetError(f"afew_va: {path} has no keys actor and frames; use the file as released")
    frames = clip["frames"]
    if not isinstance(frames, dict) or not frames:
        raise DatasetError(f"afew_va: {path}: frames is not a table of frames by number; use the file as released")
    keys: dict[int, str] = {}
    for name, frame in frames.items():
        if not (name.isdecimal() and len(name) < 10) or not isinstance(frame, dict):
            raise DatasetError(
                f"afew_va: {path}, frame {name!r}: not a frame number with labels; use the file as released"
            )
        other = keys.setdefault(int(name), name)
        if other != name:
            raise DatasetError(f"afew_va: {path}: {other!r} and {name!r} are one frame; remove the wrong one")
    if not isinstance(clip["actor"], str) or not clip["actor"].strip():
        raise DatasetError(f"afew_va: {path}: actor is {clip['actor']!r}, not a name; enter it, or exclude the clip")
    return clip["actor"], frames


def _once(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a table of JSON, in which a key may come once only: readers would take the last one without a word."""
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DatasetError(f"afew_va: {path}: the key {twice!r} comes twice in one table; remove the wrong one")
    return table
