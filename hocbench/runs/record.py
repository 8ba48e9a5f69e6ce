"""The manifest of a finished run, read and flattened for comparisons."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.files.checksums import file_hash
from hocbench.runs.manifest import manifest_path, read_manifest

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
        Outputs beside the manifest that are no longer what it records.
    """

    path: Path
    values: dict[str, Any]
    outputs: dict[str, str]
    changed: tuple[str, ...]


def read_record(path: Path) -> Record:
    """Read a manifest, by its path or its run directory, and compare the files beside it with it.

    Raises
    ------
    RunError, DamageError
        See `hocbench.runs.manifest.read_manifest`.
    """
    manifest, folder = read_manifest(path), manifest_path(path).parent
    files = manifest.get("files")
    outputs = {str(name): str(value) for name, value in files.items()} if isinstance(files, Mapping) else {}
    outputs = {name: digest for name, digest in outputs.items() if name not in EXEMPT}
    present = [name for name in outputs if (folder / name).is_file()]
    changed = tuple(name for name in present if file_hash(folder / name) != outputs[name])
    return Record(path, flat(manifest), outputs, changed)


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Spell nested values out as ``{"training.loss_weights.ccc": 1.0, ...}``."""
    pairs: dict[str, Any] = {}
    for key, item in value.items():
        pairs |= flat(item, f"{prefix}{key}.") if isinstance(item, Mapping) else {prefix + key: item}
    return pairs
