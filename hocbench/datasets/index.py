"""The frame index of a dataset: read by an adapter, written to files."""

from collections.abc import Collection
from pathlib import Path

from hocbench.datasets.afew_va import AfewVa
from hocbench.datasets.affectnet import AffectNet
from hocbench.datasets.contract import Adapter, DatasetIndex, read_with
from hocbench.datasets.sewa import Sewa
from hocbench.errors import DatasetError
from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_parquet, write_text

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (AffectNet(), Sewa(), AfewVa())}

__all__ = ["ADAPTERS", "DatasetIndex", "read_index", "write_index"]


def read_index(name: str, root: Path, exclude: Collection[str] = ()) -> DatasetIndex:
    """Read a dataset as distributed.

    Parameters
    ----------
    name : {"affectnet", "sewa", "afew_va"}
        Which adapter reads it.
    root : Path
        Its folder.
    exclude : collection of str
        Clips to leave out, by name or by their place below the folder.

    Raises
    ------
    DatasetError
        If the name is unknown, the folder is not laid out as published, or it holds no clip of a name to leave out.
    """
    if name not in ADAPTERS:
        raise DatasetError(f"unknown dataset {name!r}; choose from {', '.join(ADAPTERS)}")
    return read_with(ADAPTERS[name], root, exclude)


def write_index(index: DatasetIndex, out: Path) -> None:
    """Write ``index.parquet`` and then ``index.json`` into a folder."""
    statuses = {str(key): int(count) for key, count in sorted(index.frames["status"].value_counts().items())}
    summary = {"label": index.label, "frames": len(index.frames), "statuses": statuses, "notes": index.notes}
    with staged(out, "index") as folder:
        write_parquet(index.frames, folder / "index.parquet")
        write_text(sealed(summary | {"files": hashes_of(folder, ["index.parquet"])}), folder / "index.json")
