"""Who is trained on, chosen on and tested on; no subject is ever on two sides."""

from typing import Any

import numpy as np
import pandas as pd

from hocbench.errors import SplitError
from hocbench.seeds import generator

PARTS = ("train", "validation", "test")


def make_splits(index: pd.DataFrame, protocol: dict[str, Any], root_seed: int) -> pd.DataFrame:
    """Assign every clip of every fold to a part.

    Parameters
    ----------
    index : DataFrame
        With the columns clip, subject, session and split of `FRAME_COLUMNS`.
    protocol : dict
        ``{"kind": "official", "validation_share"}``, ``{"kind": "sessions", "ratio"}`` or
        ``{"kind": "subjects", "folds", "validation_share"}``, each with an optional ``seed``.
    root_seed : int
        Root of the random numbers.

    Returns
    -------
    DataFrame
        Columns fold, clip, subject, session, part, sorted by fold and clip.

    Raises
    ------
    SplitError
        If there are too few subjects for a part to have any.
    """
    clips = (
        index[["clip", "subject", "session", "split"]].drop_duplicates("clip").sort_values("clip", ignore_index=True)
    )
    rng = generator(root_seed, use="split", seed=int(protocol.get("seed", 0)))
    kind = protocol["kind"]
    if kind == "official":
        folds = [_official(clips, protocol["validation_share"], rng)]
    elif kind == "sessions":
        groups = _shuffled(clips["session"].where(clips["session"] != "", clips["subject"]), rng)
        key = clips["session"].where(clips["session"] != "", clips["subject"])
        folds = [key.map(_by_ratio(groups, protocol["ratio"]))]
    else:
        folds = _by_fold(clips["subject"], protocol["folds"], protocol["validation_share"], rng)
    tables = [clips[["clip", "subject", "session"]].assign(fold=fold, part=part) for fold, part in enumerate(folds)]
    splits = pd.concat(tables, ignore_index=True)[["fold", "clip", "subject", "session", "part"]]
    check_splits(splits)
    return splits


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


def _official(clips: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.Series:
    """Test on the official validation list; choose on a share of the training list."""
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
