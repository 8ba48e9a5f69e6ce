"""AffectNet: the original release with two CSV lists, or that of 2021 with one annotation file per value."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets import affectnet_2021
from hocbench.datasets.holdings import PICTURES, Holdings, extension
from hocbench.datasets.layouts import COLUMNS, IMAGES, LISTS, UNCERTAIN
from hocbench.datasets.names import canonical, did_you_mean, folder_name, without_copy_mark
from hocbench.datasets.scales import decide_scale, label_files
from hocbench.datasets.tables import read_csv, to_numbers, to_points
from hocbench.errors import DatasetError

LIST_NAMES = ("training.csv", "validation.csv")
NAMELESS = ("9", "10")  # expressions: uncertain, no face
TARGETS = ["valence", "arousal"]
TEXT = {"subDirectory_filePath": str, "facial_landmarks": str}


class AffectNet:
    """Still images; each is a clip of one frame and a subject of its own, since no subject ids are distributed."""

    name, title, role = "affectnet", "AffectNet", "images"
    layout = (
        f"[Manually_Annotated/]{IMAGES}/<folder>/<image> and {LISTS}/training.csv and validation.csv, "
        f"or {affectnet_2021.LAYOUT}"
    )

    def read(self, root: Path, exclude: Collection[str] = ()) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Read both lists, or both sets; see `hocbench.datasets.contract.Adapter`."""
        holdings = Holdings(self.name, root, exclude)
        sources = holdings.sources()
        newer, release = affectnet_2021.find(sources), _find(sources)
        if newer.folders and release.folders:
            raise DatasetError(
                f"affectnet: {root} holds two releases, {root / min(newer.folders)} and {root / min(release.folders)}; "
                "give each a root of its own"
            )
        if newer.folders:
            frames, notes = affectnet_2021.read(holdings, newer)
            taken = [*newer.taken()]
        else:
            frames, notes = _read(holdings, release)
            taken = [*frames["source"], *(source for sources in release.lists.values() for source in sources)]
        return frames, notes | _scale_labels(frames) | holdings.notes(taken)


@dataclass
class _Release:
    """The files of the original release."""

    folders: set[str] = field(default_factory=set)
    lists: dict[str, list[str]] = field(default_factory=dict)
    images: dict[str, list[str]] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)

    def pictures(self) -> list[str]:
        return [source for sources in self.images.values() for source in sources]

    @cached_property
    def spelled(self) -> dict[str, list[str]]:
        """Pictures by their names, whatever the case, form, separators and extension."""
        names: dict[str, list[str]] = {}
        for name in self.images:
            names.setdefault(_spelling(name), []).append(name)
        return names


def _read(holdings: Holdings, release: _Release) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read both lists of the original release; the labels are not scaled yet."""
    notes: dict[str, Any] = {"layout": "original CSV", "expressions": {}}
    parts = {split: _read_list(holdings, release, split, notes) for split in ("training", "validation")}
    _refuse_twice(holdings, release, parts)
    holdings.check_excluded()
    frames = pd.concat(parts.values(), ignore_index=True)
    for source in sorted(set(release.pictures()) - set(frames["source"])):
        holdings.note("pictures_not_in_the_lists", source)
    holdings.unrecognised(*release.strange)
    return frames, notes


def _spelling(name: str) -> str:
    return "/".join(map(canonical, name.rpartition(".")[0].split("/")))


def _find(sources: list[str]) -> _Release:
    """Find the lists and the folder of pictures, in whatever folder or archive they lie."""
    release = _Release()
    loose: dict[str, list[str]] = {}
    for source in sources:
        folder, _, name = source.rpartition("/")
        what, below = _place(folder)
        if what:
            release.folders.add(folder.removesuffix(f"/{below}") if below else folder)
        if not name:
            continue
        plain = canonical(without_copy_mark(name))
        if plain in LIST_NAMES:
            (release.lists if what == LISTS else loose).setdefault(plain[:-4], []).append(source)
        elif what == IMAGES and extension(name) in PICTURES:
            release.images.setdefault(f"{below}/{name}" if below else name, []).append(source)
        else:
            release.strange.append(source)
    for split, lists in loose.items():
        # Some copies have moved the lists; beside those of the release, they are the user's own.
        if split in release.lists:
            release.strange += lists
        else:
            release.lists[split] = lists
    return release


@lru_cache
def _place(folder: str) -> tuple[str, str]:
    """Return whether a folder is that of the lists or lies in that of the pictures, and where in it."""
    parts = folder.split("/")
    for level in reversed(range(len(parts))):
        plain = folder_name(parts[level])
        if plain == canonical(IMAGES):
            return IMAGES, "/".join(parts[level + 1 :])
        if plain == canonical(LISTS) and level == len(parts) - 1:
            return LISTS, ""
    return "", ""


def _read_list(holdings: Holdings, release: _Release, split: str, notes: dict[str, Any]) -> pd.DataFrame:
    if split not in release.lists:
        raise _missing(holdings, release, f"{LISTS}/{split}.csv")
    folders = sorted(folder for folder in release.folders if _place(folder)[0] == IMAGES)
    if not folders:
        raise _missing(holdings, release, IMAGES)
    source = holdings.one(f"the list {split}.csv", release.lists[split])
    path = holdings.root / source
    if PurePosixPath(source).name != f"{split}.csv":
        holdings.renamed(source, f"{split}.csv")
    table = _read_csv(holdings, release, path, source)
    _check_paths(path, table["subDirectory_filePath"])
    counts = table["expression"].value_counts().sort_index()
    notes["expressions"][split] = {str(expression): int(count) for expression, count in counts.items()}
    clip = table["subDirectory_filePath"].str.replace(r"\.[^.]*$", "", regex=True)
    landmarks = [to_points(text.rstrip("; ").split(";")) for text in table["facial_landmarks"].fillna("")]
    failed = np.array([len(points) == 0 for points in landmarks])
    pictures = [_picture(holdings, release, name, folders[0]) for name in table["subDirectory_filePath"]]
    return pd.DataFrame(
        {
            "subject": clip,
            "clip": clip,
            "frame": 0,
            "source": pictures,
            "box_x": table["face_x"],
            "box_y": table["face_y"],
            "box_width": table["face_width"],
            "box_height": table["face_height"],
            "landmarks": landmarks,
            "valence": table["valence"],
            "arousal": table["arousal"],
            "expression": table["expression"],
            "place": [f"{path}, row {row + 1}" for row in table.index],
            "split": split,
            "status": np.where(failed, "landmarks_failed", "ok"),
        }
    )


def _missing(holdings: Holdings, release: _Release, name: str) -> DatasetError:
    path = holdings.root / name
    there = [source.rpartition("/")[2] for source in release.strange] if name.endswith(".csv") else []
    there += [PurePosixPath(source).parts[0] for source in release.strange]
    near = did_you_mean(path.name, there)
    return DatasetError(f"affectnet: {path} is missing; expected layout: {AffectNet.layout}{near}")


def _picture(holdings: Holdings, release: _Release, name: str, folder: str) -> str:
    """Find the picture of a row, or the place where it should be."""
    sources = release.images.get(name)
    if sources is None:
        names = release.spelled.get(_spelling(name), []) if release.images else []
        sources = [source for spelling in names for source in release.images[spelling]]
        if not sources:
            return f"{folder}/{name}"
        holdings.renamed(sources[0], name)
    return holdings.one(f"picture {name}", sources)


def _refuse_twice(holdings: Holdings, release: _Release, parts: dict[str, pd.DataFrame]) -> None:
    """Refuse a picture of two rows, of one list or of both."""
    rows = pd.concat(parts, names=["split", "row"])
    # Names that differ in case are one picture, unless the copy holds a file of each.
    held = rows["source"].isin(release.pictures())
    names = rows["clip"].map(lambda clip: unicodedata.normalize("NFC", clip))
    spelled = names.where(held, names.str.casefold())
    for keys in (spelled, rows["source"]):
        twice = keys.duplicated(keep=False)
        if twice.any():
            key = keys[twice].iloc[0]
            first, second = keys.index[keys == key][:2]
            lists = [holdings.root / release.lists[split][0] for split, _ in (first, second)]
            where = f"{lists[0]}, rows {first[1] + 1} and {second[1] + 1}"
            if lists[0] != lists[1]:
                where = f"{lists[0]}, row {first[1] + 1}, and {lists[1]}, row {second[1] + 1}"
            listed = list(dict.fromkeys(rows.loc[[first, second], "clip"]))
            raise DatasetError(
                f"affectnet: {where}: {' and '.join(map(repr, listed))} "
                f"{'is listed twice' if len(listed) == 1 else 'are one picture'}; remove one of the rows"
            )


def _read_csv(holdings: Holdings, release: _Release, path: Path, source: str) -> pd.DataFrame:
    content = holdings.read(source)
    first = read_csv("affectnet", path, content, dtype=str, header=None, nrows=1).iloc[0]
    # Some copies of validation.csv have no header: the first row stands in its place, with numbers.
    headless = len(first) == len(COLUMNS) and _is_number(first.iloc[-1])
    names: dict[str, Any] = {"header": None, "names": list(COLUMNS)} if headless else {}
    table = read_csv("affectnet", path, content, dtype=TEXT, **names)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise DatasetError(
            f"affectnet: {path} has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}. "
            "Use the list as released"
        )
    if table.empty:
        raise DatasetError(f"affectnet: {path} is empty below its header; copy it from the release again")
    nameless = table["subDirectory_filePath"].isna()
    if nameless.any():
        row = int(np.flatnonzero(nameless)[0])
        raise DatasetError(f"affectnet: {path}, row {row + 1}: subDirectory_filePath is empty; correct the row")
    table["subDirectory_filePath"] = table["subDirectory_filePath"].str.replace("\\", "/", regex=False)
    table = _without_excluded(holdings, release, table)
    for column in ("face_x", "face_y", "face_width", "face_height", "valence", "arousal"):
        blank = column.startswith("face_")
        table[column] = to_numbers("affectnet", path, table, column, blank=blank)
    return table


def _without_excluded(holdings: Holdings, release: _Release, table: pd.DataFrame) -> pd.DataFrame:
    """Remove excluded rows and their pictures; the other rows keep their numbers, which messages quote."""
    names = table["subDirectory_filePath"]
    excluded = [holdings.excludes(name.rpartition(".")[0] or name, name) for name in names]
    for name in names[excluded]:
        release.images.pop(name, None)
    return table[[not row for row in excluded]].copy()


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _check_paths(path: Path, names: pd.Series) -> None:
    """Refuse names that lead out of the image folder."""
    outside = names.str.contains(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:", regex=True)
    if outside.any():
        row = int(names.index[outside][0])
        raise DatasetError(
            f"affectnet: {path}, row {row + 1}: subDirectory_filePath {names.loc[row]!r} leads out of the image "
            "folder; use the list as released"
        )


def _scale_labels(frames: pd.DataFrame) -> dict[str, Any]:
    """Scale labels to [-1, 1] and remove those that annotators were uncertain of, in place; returns notes.

    The columns ``expression`` and ``place``, where a row stands, are removed.
    """
    # Whoever moved or scaled the labels did the same to the mark, so the expression tells as well.
    nameless = frames.pop("expression").astype(str).isin(NAMELESS)
    place = frames.pop("place")
    marked = nameless | (frames[TARGETS] == UNCERTAIN).any(axis=1)
    scale, notes = _decide(frames[~marked], place)
    if scale > 1:
        # There -2 is a label; the mark is scaled, or stands beside its expression.
        marked = nameless | (frames[TARGETS] == UNCERTAIN * scale).any(axis=1)
        scale, notes = _decide(frames[~marked], place)
    unusable = marked & (frames["status"] != "frame_missing")
    frames.loc[unusable, "status"] = "uncertain_label"
    frames[TARGETS] = (frames[TARGETS] / scale).mask(marked)
    return notes


def _decide(frames: pd.DataFrame, place: pd.Series) -> tuple[int, dict[str, Any]]:
    lists = label_files(frames, "split", place, list_of_stills=True)
    return decide_scale("affectnet", lists, but=f", and not {UNCERTAIN:g} (uncertain)")
