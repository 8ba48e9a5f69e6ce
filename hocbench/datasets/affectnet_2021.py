"""AffectNet, release of 2021: numbered images, and one small array file per image and value."""

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.faults import read_each
from hocbench.datasets.holdings import PICTURES, Holdings, extension
from hocbench.datasets.names import did_you_mean, folder_name, without_copy_mark
from hocbench.datasets.tables import to_points
from hocbench.errors import DatasetError

SPLITS = {"train_set": "training", "val_set": "validation"}
PARTS = ("images", "annotations")
VALUE = re.compile(r"(.+?)[ _-]+(exp|val|aro|lnd)", re.IGNORECASE)
LAYOUT = "{train_set,val_set}/images/<id>.jpg and annotations/<id>_{exp,val,aro,lnd}.npy"

Row = dict[str, Any]


@dataclass
class Release:
    """The files of the release: by set and part, and by number and value.

    Attributes
    ----------
    folders : dict
        Folder or archive → set and part of it, such as ``("train_set", "images")``.
    images, annotations : dict
        Set and number, set and number and value → files.
    strange : list of str
        All others.
    """

    folders: dict[str, tuple[str, str]] = field(default_factory=dict)
    images: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    annotations: dict[tuple[str, str], dict[str, list[str]]] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)

    def taken(self) -> Iterator[str]:
        """Yield the files that belong to the release."""
        yield from chain.from_iterable(self.images.values())
        for values in self.annotations.values():
            yield from chain.from_iterable(values.values())


def find(sources: Iterable[str]) -> Release:
    """Find the files of the release, in whatever folder or archive its sets lie."""
    release = Release()
    for source in sources:
        folder, _, name = source.rpartition("/")
        subset, part = _place(folder)
        if subset:
            release.folders.setdefault(folder, (subset, part))
        if not name:
            continue
        end = extension(name)
        stem = without_copy_mark(name)[: -len(end) or None]
        if part == "images" and end in PICTURES:
            release.images.setdefault((subset, _key(stem)), []).append(source)
            continue
        match = VALUE.fullmatch(stem) if part == "annotations" and end == ".npy" else None
        if match:
            values = release.annotations.setdefault((subset, _key(match.group(1))), {})
            values.setdefault(match.group(2).lower(), []).append(source)
        else:
            release.strange.append(source)
    return release


@lru_cache
def _place(folder: str) -> tuple[str, str]:
    """Return which part of which set a folder is, if any."""
    plain = [folder_name(part) for part in folder.split("/")]
    known = len(plain) > 1 and plain[-2] in SPLITS and plain[-1] in PARTS
    if known:
        return plain[-2], plain[-1]
    return (plain[-1], "") if plain[-1] in SPLITS else ("", "")


def _key(number: str) -> str:
    """Spell the number of an image, which leading zeros do not change."""
    if number.isascii() and number.isdigit():
        return str(int(number))
    return unicodedata.normalize("NFC", number)


def read(holdings: Holdings, release: Release) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read both sets; the labels are not scaled yet, and columns ``expression`` and ``place`` say what they are of."""
    notes: dict[str, Any] = {"layout": "2021, one file per value", "expressions": {}}
    rows: list[Row] = []
    for folder, split in SPLITS.items():
        for part in PARTS:
            if (folder, part) not in release.folders.values():
                near = did_you_mean(part, {source.split("/")[-2] for source in release.strange if "/" in source})
                raise DatasetError(
                    f"affectnet: {holdings.root / folder / part} is missing; expected layout: {LAYOUT}{near}"
                )
        images = _read_set(holdings, release, folder, split)
        expressions = pd.Series([row["expression"] for row in images], dtype=object).value_counts()
        notes["expressions"][split] = {str(key): int(count) for key, count in sorted(expressions.items())}
        rows += images
    holdings.check_excluded()
    holdings.unrecognised(*release.strange)
    return pd.DataFrame(rows), notes


def _read_set(holdings: Holdings, release: Release, folder: str, split: str) -> list[Row]:
    """Read all images that have a file or an annotation; what one of them lacks is its status, not a fault of all."""
    place = min(place for place, what in release.folders.items() if what == (folder, "images"))
    names = sorted(name for place, name in release.images.keys() | release.annotations.keys() if place == folder)
    rows: list[Row] = []

    def read_image(name: str) -> None:
        clip = f"{folder}/{name}"
        images = release.images.get((folder, name), [])
        values = release.annotations.get((folder, name), {})
        if holdings.excludes(clip, *images):
            return
        if not images:
            holdings.note("annotations_without_picture", clip)
        if not values:
            holdings.note("pictures_without_annotation", images[0])
        source = holdings.one(f"picture {clip}", images) if images else f"{place}/{name}.jpg"
        chosen = {value: holdings.one(f"{value} of {clip}", files) for value, files in values.items()}
        row = _read_image(holdings, clip, chosen)
        rows.append(row | {"source": source, "split": split} | ({} if images else {"status": "frame_missing"}))

    read_each("affectnet", names, read_image)
    return rows


def _read_image(holdings: Holdings, clip: str, annotations: dict[str, str]) -> Row:
    labels: Row = {"valence": np.nan, "arousal": np.nan}
    for target, value in (("valence", "val"), ("arousal", "aro")):
        if value in annotations:
            labels[target] = _number(holdings, annotations[value], target)
    points = to_points(_array(holdings, annotations["lnd"]) if "lnd" in annotations else [])
    status = "ok" if len(points) else "landmarks_failed"
    if any(np.isnan(value) for value in labels.values()):
        status = "label_missing"
    expression = _array(holdings, annotations["exp"]).flat[0] if "exp" in annotations else "none"
    beside = PurePosixPath(min(annotations.values(), default=clip))
    return labels | {
        "expression": str(expression),
        "place": str(holdings.root / beside.with_name(f"{clip.rpartition('/')[2]}_*.npy")),
        "subject": clip,
        "clip": clip,
        "frame": 0,
        "landmarks": points,
        "status": status,
    }


def _array(holdings: Holdings, source: str) -> np.ndarray:
    """Load an array file, never a pickled one."""
    path, content = holdings.root / source, holdings.read(source)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        # A pickled one is whole, and no other copy of it will do.
        remedy = "use the file as released" if "allow_pickle" in str(error) else "copy it again"
        raise DatasetError(f"affectnet: {path} cannot be read as an array ({error}); {remedy}") from None
    if not isinstance(array, np.ndarray) or array.size == 0:
        raise DatasetError(f"affectnet: {path} holds no value; use the file as released")
    return array


def _number(holdings: Holdings, source: str, target: str) -> float:
    """Read a label; the release holds them as text in some files."""
    array, path = _array(holdings, source), holdings.root / source
    try:
        value = float(array.item())
    except (ValueError, TypeError):
        raise DatasetError(f"affectnet: {path} holds {array!r:.60}, not one number; use the file as released") from None
    if not np.isfinite(value):
        raise DatasetError(f"affectnet: {path}: {target} {value:g} is not a label; check the file")
    return value
