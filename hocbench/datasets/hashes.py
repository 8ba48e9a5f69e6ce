"""Hashes of the data, so that two machines can tell whether theirs are the same: hashes alone, never content.

Of rendered data all files are hashed, of a licensed copy none; of both what this suite made of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hocbench.datasets.checksums import checksum_lines
from hocbench.datasets.columns import SYNTHETIC_MARKER
from hocbench.errors import DatasetError
from hocbench.files.checksums import FILES, check_file, file_hash, read_sealed, sealed
from hocbench.files.write import write_text

# None of them holds a path of the machine or a time. The words of check.txt are those of check.json.
PREPARED = (
    *("check.json", "index.parquet", "index.json", "frames.parquet", "crops.npy", "crops.json", "ledger.csv"),
    *("splits.csv", "splits.json"),
)
RENDERED = "rendered files"
KEY = "datasets"

Hashes = dict[str, dict[str, str]]  # by dataset, what → hash


def write_hashes(prepared: Sequence[Path], rendered: Mapping[str, Path], path: Path) -> None:
    """Write the hashes of the data of an experiment into a small sealed JSON file.

    Parameters
    ----------
    prepared : sequence of Path
        ``data/prepared/<profile>/<dataset>`` of each dataset, after check, index, crop and splits.
    rendered : mapping of str to Path
        Folder of the files of each dataset that is rendered, by its name.
    path : Path
        File to write.

    Raises
    ------
    DatasetError, DamageError
        If a folder is not rendered, belongs to none of the datasets, or a file is absent, unreadable or damaged.
    """
    names = [folder.name for folder in prepared]
    strange = sorted(rendered.keys() - set(names))
    if strange:
        raise DatasetError(f"rendered: no prepared folder is named {strange[0]}; choose from {', '.join(names)}")
    hashes = {folder.name: _hash_prepared(folder) | _hash_rendered(rendered.get(folder.name)) for folder in prepared}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(sealed({KEY: hashes}), path)


def read_hashes(path: Path) -> Hashes:
    """Read what `write_hashes` wrote; a file that is absent, damaged or holds something else is refused."""
    try:
        return TypeAdapter(Hashes).validate_python(read_sealed(path).get(KEY))
    except ValidationError:
        raise DatasetError(f"{path} holds no hashes of data; write it again with `hocbench data hashes`") from None


def _hash_prepared(folder: Path) -> dict[str, str]:
    # What a seal says of its files is only true as long as they are what was written.
    recorded: dict[str, Any] = {}
    for name in PREPARED:
        if name.endswith(".json") and name != "check.json":
            recorded |= read_sealed(folder / name).get(FILES, {})
    for name in PREPARED:
        check_file(folder / name, recorded.get(name))
    return {name: recorded.get(name) or file_hash(folder / name) for name in PREPARED}


def _hash_rendered(root: Path | None) -> dict[str, str]:
    """Hash the list that `hocbench data register` would write."""
    if root is None:
        return {}
    if not (root / SYNTHETIC_MARKER).is_file():
        raise DatasetError(f"{root} is not rendered (it has no {SYNTHETIC_MARKER}); files of a copy are not hashed")
    lines = checksum_lines(root)
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return {RENDERED: f"{digest} of {len(lines)} files"}
