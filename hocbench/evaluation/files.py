"""Result tables in and out of files, byte for byte the same for the same rows."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hocbench.errors import EvaluationError
from hocbench.files.checksums import check_beside, hashes_of, sealed
from hocbench.files.write import replaced, write_text

TEXT_COLUMNS = (
    *("dataset", "method", "factorization", "rank", "ablation", "reference", "reference_ablation", "run", "parent"),
    *("status", "part", "label", "block", "layer", "quadrant", "interval", "note", "levels"),
)

# Written last; left as it is while the others are replaced, so that a mixture of old and new tables is refused.
SEAL = "files.json"


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a tidy table with ten significant digits, replacing the file in one step.

    Parameters
    ----------
    table : DataFrame
        Rows in their final order; missing numbers become empty cells.
    path : Path
        Where the CSV is to lie.
    """
    table = table.copy()
    for column in table.select_dtypes("float").columns:
        table[column] = table[column] + 0.0  # minus zero would print as "-0"
    write_text(table.to_csv(index=False, float_format="%.10g", lineterminator="\n"), path)


def write_json(value: dict[str, Any], path: Path) -> None:
    """Write sorted, indented JSON; numbers keep ten significant digits."""
    rounded = {key: float(f"{item:.10g}") + 0.0 if isinstance(item, float) else item for key, item in value.items()}
    write_text(json.dumps(rounded, indent=1, sort_keys=True) + "\n", path)


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet without pandas' own metadata, replacing the file in one step."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    with replaced(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that `hocbench.evaluation.evaluate` wrote.

    Parameters
    ----------
    path : Path
        A CSV file.

    Returns
    -------
    DataFrame
        Names and ranks are text ("" where a network has no rank); empty numbers are NaN.

    Raises
    ------
    EvaluationError
        If the file is not there.
    DamageError
        If it is not as it was written.
    """
    check_table(path)
    header = pd.read_csv(path, nrows=0).columns
    text = [column for column in header if column in TEXT_COLUMNS]
    table = pd.read_csv(path, dtype=dict.fromkeys(text, str))
    table[text] = table[text].fillna("")
    return table


def check_table(path: Path) -> None:
    """Refuse a result table that is absent, or is not the one that was written; see `read_table`."""
    if not path.is_file():
        raise EvaluationError(f"No result table at {path}. Run `hocbench evaluate` first.")
    check_beside(path, SEAL)


def write_seal(names: Iterable[str], folder: Path) -> None:
    """Write down the hashes of the tables of a folder, the last of its files."""
    write_text(sealed({"files": hashes_of(folder, names)}), folder / SEAL)


def sorted_table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """Rows as a table of exactly these columns, sorted by all of them from left to right."""
    table = pd.DataFrame(rows, columns=columns)
    order = [column for column in columns if not table[column].isna().any() or table[column].dtype != object]
    return table.sort_values(order, kind="stable", ignore_index=True)


def share(part: int, whole: int) -> float:
    """Divide, giving NaN for a share of nothing."""
    return part / whole if whole else float(np.nan)
