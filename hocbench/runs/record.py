"""The manifest of a finished run, read and flattened for comparisons."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import RunError
from hocbench.files.checksums import file_hash, read_sealed

# Times and memory are never the same twice.
EXEMPT = {"cost.json"}


@dataclass(frozen=True)
class Record:
    """What the manifest of a run says.

    Attributes
    ----------
    path : Path
        As it was given.
    values : dict
        The manifest, flattened.
    outputs : dict of str to str
        Recorded sha256 by file, without those that differ anyway.
    changed : tuple of str
        Outputs that lie beside the manifest and are no longer what it records.
    """

    path: Path
    values: dict[str, Any]
    outputs: dict[str, str]
    changed: tuple[str, ...]


def read_record(path: Path) -> Record:
    """Read a manifest and compare the files beside it with it.

    Parameters
    ----------
    path : Path
        A run directory, or its manifest.json.

    Raises
    ------
    RunError
        If there is no manifest, or one that cannot be read.
    DamageError
        If it is not as it was written.
    """
    file = path / "manifest.json" if path.is_dir() else path
    if not file.is_file():
        what = "is not a finished run (no manifest.json)" if path.is_dir() else "does not exist"
        raise RunError(f"{path} {what}; give the directory of a finished run, or its manifest.json")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file} cannot be read as JSON ({error}); delete this run and start it again") from None
    if not isinstance(manifest, dict) or not manifest.keys() & {"run", "spec", "files"}:
        raise RunError(f"{file} is not the manifest of a run; give the directory of a finished run")
    read_sealed(file)
    files = manifest.get("files")
    outputs = {str(name): str(value) for name, value in files.items()} if isinstance(files, Mapping) else {}
    outputs = {name: digest for name, digest in outputs.items() if name not in EXEMPT}
    present = [name for name in outputs if (file.parent / name).is_file()]
    changed = tuple(name for name in present if file_hash(file.parent / name) != outputs[name])
    return Record(path, flat(manifest), outputs, changed)


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Spell nested values out as ``{"training.loss_weights.ccc": 1.0, ...}``."""
    pairs: dict[str, Any] = {}
    for key, item in value.items():
        pairs |= flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {prefix + key: item}
    return pairs
