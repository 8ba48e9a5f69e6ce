"""Split lists of the user's own."""

import hashlib
from pathlib import Path

import pandas as pd

from hocbench.datasets.tables import read_csv
from hocbench.errors import DatasetError, SplitError

# What lists are keyed by, the finest first: a list that names clips may name their subjects beside.
KEYS = ("clip", "subject", "session")
NAMES = {"train": "train", "training": "train", "validation": "validation", "val": "validation", "test": "test"}
LEFT_OUT = "none"
SHOWN = 5


def read_list(clips: pd.DataFrame, path: Path, sha256: str | None) -> pd.DataFrame:
    """Read who is in which part.

    Parameters
    ----------
    clips : DataFrame
        One row per clip with clip, subject and session, sorted by clip.
    path : Path
        CSV in UTF-8. Columns: ``part`` (train, validation or test; none leaves a clip out), one of clip, subject and
        session, and ``fold``, counted from 0, where there are several. ``splits.csv`` of another laboratory will do.
    sha256 : str or None
        Hash that the file had when the runs were planned.

    Returns
    -------
    DataFrame
        Columns fold, clip, subject, session, part, sorted by fold and clip.

    Raises
    ------
    SplitError
        If the file is not such a list, names something twice or something unknown, or leaves a clip unnamed.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SplitError(f"split list {path} cannot be read ({error.strerror}); check split.path") from None
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise SplitError(f"split list {path} has changed since the runs were planned; start the workflow again")
    table, key = _parse(path, content)
    known = set(clips[key])
    unknown = sorted(set(table[key]) - known)
    if unknown:
        raise SplitError(f"split list {path} names {_some(unknown)}, no {key} of the dataset; use its own ids")
    folds = []
    for fold, rows in table.groupby("fold"):
        twice = rows[rows.duplicated(key)]
        if len(twice):
            raise SplitError(
                f"split list {path}, fold {fold}: {key} {twice[key].iloc[0]!r} is listed twice; keep one row"
            )
        parts = clips[key].map(dict(zip(rows[key], rows["part"], strict=True)))
        unnamed = clips.loc[parts.isna(), key].unique().tolist()
        if unnamed:
            raise SplitError(
                f"split list {path}, fold {fold}: {len(unnamed)} are not named: {_some(unnamed)}; "
                f"give each a part, or {LEFT_OUT} to leave it out"
            )
        folds.append(clips[list(KEYS)].assign(fold=fold, part=parts)[parts != LEFT_OUT])
    return pd.concat(folds, ignore_index=True)


def _parse(path: Path, content: bytes) -> tuple[pd.DataFrame, str]:
    try:
        table = read_csv("split list", path, content, dtype=str, keep_default_na=False)
    except DatasetError as error:
        raise SplitError(str(error)) from None
    key = next((key for key in KEYS if key in table), None)
    if key is None or "part" not in table or table.empty:
        raise SplitError(
            f"split list {path} has the columns {', '.join(map(str, table.columns))} and {len(table)} rows; it needs "
            "part and one of clip, subject and session"
        )
    wrong = table[~table["part"].isin([*NAMES, LEFT_OUT])]
    if len(wrong):
        raise SplitError(
            f"split list {path}, row {wrong.index[0] + 1}: part {wrong['part'].iloc[0]!r} is none of train, "
            f"validation, test and {LEFT_OUT}"
        )
    folds = table["fold"] if "fold" in table else pd.Series("0", index=table.index)
    wrong = table[~folds.str.fullmatch(r"\d{1,4}")]
    if len(wrong):
        raise SplitError(f"split list {path}, row {wrong.index[0] + 1}: fold is not a number; count folds from 0")
    return table.assign(part=table["part"].map(NAMES | {LEFT_OUT: LEFT_OUT}), fold=folds.astype(int)), key


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
