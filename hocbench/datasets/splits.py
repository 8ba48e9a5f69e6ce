"""Who is trained on, chosen on and tested on; no subject is ever on two sides."""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hocbench.datasets.columns import label_columns
from hocbench.datasets.split_lists import KEYS, LEFT_OUT, read_list
from hocbench.errors import SplitError
from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.seeds import generator

PARTS = ("train", "validation", "test")
INDEX_COLUMNS = ["clip", "subject", "session", "split", "frame"]  # beside the labels
COLUMNS = ["fold", "clip", "subject", "session", "part"]


def make_splits(index: pd.DataFrame, protocol: dict[str, Any], root_seed: int) -> pd.DataFrame:
    """Assign every clip of every fold to a part.

    Parameters
    ----------
    index : DataFrame
        With the columns clip, subject, session and split of `FRAME_COLUMNS`.
    protocol : dict
        ``{"kind": "official", "validation_share"}``, ``{"kind": "sessions", "ratio"}`` or
        ``{"kind": "subjects", "folds", "validation_share"}``, each with an optional ``seed``; or
        ``{"kind": "file", "path"}``, see `hocbench.datasets.split_lists.read_list`.
    root_seed : int
        Root of the random numbers.

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by fold and clip. A list may leave clips out.

    Raises
    ------
    SplitError
        If there are too few subjects for a part to have any, or a list is wrong or leaks a person.
    """
    clips = (
        index[["clip", "subject", "session", "split"]].drop_duplicates("clip").sort_values("clip", ignore_index=True)
    )
    if protocol["kind"] == "file":
        splits = read_list(clips, Path(protocol["path"]), protocol.get("sha256"))
    else:
        rng = generator(root_seed, use="split", seed=int(protocol.get("seed", 0)))
        folds = [clips[list(KEYS)].assign(fold=i, part=part) for i, part in enumerate(_draw(clips, protocol, rng))]
        splits = pd.concat(folds, ignore_index=True)
    check_splits(splits)
    return splits[COLUMNS]


def write_splits(index: pd.DataFrame, splits: pd.DataFrame, protocol: dict[str, Any], out: Path) -> None:
    """Write the lists that laboratories compare without sharing data: ``splits.csv`` and ``splits.json``.

    The CSV has a row per fold and clip with its number of frames and the hash of its frame numbers and labels, and can
    be given as a list itself; the JSON has the protocol, the sizes of all parts and one hash over the CSV.
    """
    clips = _describe_clips(index)
    # A clip that a list leaves out stays in the written one, so that it can be given as a list itself.
    folds = [clips.assign(fold=fold) for fold in sorted(set(splits["fold"]))]
    whole = pd.concat(folds, ignore_index=True).merge(splits[["fold", "clip", "part"]], how="left", on=["fold", "clip"])
    table = whole.assign(part=whole["part"].fillna(LEFT_OUT))[[*COLUMNS, "frames", "sha256"]]
    text = table.to_csv(index=False, lineterminator="\n")
    parts = {
        f"fold {fold}": {
            part: {
                "clips": len(members),
                "subjects": int(members["subject"].nunique()),
                "frames": int(members["frames"].sum()),
            }
            for part, members in rows.groupby("part")
        }
        for fold, rows in table.groupby("fold")
    }
    with staged(out, "splits") as folder:
        write_text(text, folder / "splits.csv")
        files = hashes_of(folder, ["splits.csv"])
        summary = {"protocol": protocol, "parts": parts, "sha256": files["splits.csv"], "files": files}
        write_text(sealed(summary), folder / "splits.json")


def _describe_clips(index: pd.DataFrame) -> pd.DataFrame:
    """Count and hash the frames of each clip: one row per clip, sorted by clip."""
    frames = index.sort_values(["clip", "frame"], kind="stable", ignore_index=True)
    columns = frames[["frame", *label_columns(frames.columns)]]
    # Six digits: what other software rounds differently beyond them is the same label.
    text = columns.to_csv(index=False, header=False, float_format="%.6f", lineterminator="\n")
    lines = text.splitlines(keepends=True)
    clips = frames[["clip", "subject", "session"]].drop_duplicates("clip")
    starts = [*clips.index, len(frames)]
    hashes = [hashlib.sha256("".join(lines[a:b]).encode()).hexdigest()[:16] for a, b in pairwise(starts)]
    return clips.assign(frames=np.diff(starts), sha256=hashes)


def check_splits(splits: pd.DataFrame) -> None:
    """Refuse splits that leak a person or leave a part empty.

    Raises
    ------
    SplitError
        Naming the subject or session and the parts, or the empty part.
    """
    for fold, table in splits.groupby("fold"):
        for column in ("subject", "session"):
            known = table[table[column] != ""]
            parts = known.groupby(column)["part"].nunique()
            if (parts > 1).any():
                name = parts.index[parts > 1][0]
                where = " and ".join(sorted(known.loc[known[column] == name, "part"].unique()))
                raise SplitError(
                    f"fold {fold}: {column} {name} is in {where}; a person may be on one side only, "
                    "so split by subject or session"
                )
        for part in PARTS:
            if not (table["part"] == part).any():
                raise SplitError(
                    f"fold {fold}: the {part} part is empty ({table['subject'].nunique()} subjects in all); "
                    "use more data or other shares"
                )


def _shuffled(names: pd.Series, rng: np.random.Generator) -> list[str]:
    return [str(name) for name in rng.permutation(sorted(names.unique()))]


def _draw(clips: pd.DataFrame, protocol: dict[str, Any], rng: np.random.Generator) -> list[pd.Series]:
    """Return the part of each clip, by fold."""
    if protocol["kind"] == "official":
        return [_official(clips, protocol["validation_share"], rng)]
    if protocol["kind"] == "sessions":
        groups = clips["session"].where(clips["session"] != "", clips["subject"])
        return [groups.map(_by_ratio(_shuffled(groups, rng), protocol["ratio"]))]
    return _by_fold(clips["subject"], protocol["folds"], protocol["validation_share"], rng)


def _official(clips: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.Series:
    """Test on the official validation list; choose on a share of the training list."""
    if {"training", "validation"}.isdisjoint(clips["split"]):
        raise SplitError(
            "split kind 'official': the dataset has no official lists of training and validation; choose sessions, "
            "subjects or file"
        )
    training = clips.index[clips["split"] == "training"].to_numpy()
    chosen = rng.permutation(training)[: max(1, round(share * len(training)))]
    part = clips["split"].map({"training": "train", "validation": "test"})
    part.loc[chosen] = "validation"
    return part


def _by_ratio(groups: list[str], ratio: list[float]) -> dict[str, str]:
    edges = np.round(np.cumsum(ratio) / np.sum(ratio) * len(groups)).astype(int)
    return {group: PARTS[int(np.searchsorted(edges, place, side="right"))] for place, group in enumerate(groups)}


def _by_fold(subjects: pd.Series, count: int, share: float, rng: np.random.Generator) -> list[pd.Series]:
    """Test on one group of subjects after the other, each group with about as many clips."""
    order = _shuffled(subjects, rng)
    clips = subjects.value_counts()
    loads = [0] * count
    group = {}
    for name in sorted(order, key=lambda subject: -int(clips[subject])):
        group[name] = loads.index(min(loads))
        loads[group[name]] += int(clips[name])
    folds = []
    for fold in range(count):
        rest = [name for name in order if group[name] != fold]
        chosen = set(rest[: max(1, round(share * len(rest)))])
        part = {name: "validation" if name in chosen else "train" for name in rest}
        folds.append(subjects.map(part).fillna("test"))
    return folds
