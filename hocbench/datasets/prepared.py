"""The index of a prepared folder, loaded and checked, whatever adapter it was made with."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from hocbench.datasets.columns import Label, label_columns
from hocbench.errors import DatasetError
from hocbench.files.checksums import check_file, read_sealed


def load_excluded(prepared: Path) -> list[str]:
    """Return the clips that an index leaves out by name; `load_index` has found it whole."""
    excluded: list[str] = read_sealed(prepared / "index.json").get("notes", {}).get("excluded", [])
    return excluded


def load_index(prepared: Path, columns: list[str] | None = None) -> tuple[pd.DataFrame, Label]:
    """Load an index that `hocbench.datasets.index.write_index` wrote: its frames, and what the data are.

    With ``columns``, only these and the labels of its task.

    Raises
    ------
    DatasetError, DamageError
        If there is none, or a file is not as it was written.
    """
    table, seal = prepared / "index.parquet", prepared / "index.json"
    absent = [path.name for path in (table, seal) if not path.is_file()]
    if absent:
        raise DatasetError(f"{prepared} has no index ({' and '.join(absent)} missing); run `hocbench index` first")
    try:
        summary = read_sealed(seal)
        check_file(table, summary.get("files", {}).get(table.name))
        if columns is not None:
            columns = [*columns, *label_columns(pq.read_schema(table).names)]
        return pd.read_parquet(table, columns=columns), summary["label"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{prepared} has no index that can be read ({error}); run `hocbench index` again") from None
