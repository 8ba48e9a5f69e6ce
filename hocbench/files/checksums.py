"""Files that tell later whether they are still as they were written.

A step writes its files first and last a JSON file, its seal, with their hashes and with a hash of its own text. Whoever
reads one of the files checks it against the seal beside it. Seals written by hand, without hashes, are accepted.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hocbench.errors import DamageError

SEAL = "seal"  # key of the hash of a JSON file's own text
FILES = "files"  # key of the hashes of the files beside it


def file_hash(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes_of(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of files of a folder, by name."""
    return {name: file_hash(folder / name) for name in names}


def sealed(values: dict[str, Any]) -> str:
    """Write plain values as sorted JSON with the hash of its own text; "files" has the hashes of files beside it."""
    bare = {key: value for key, value in values.items() if key != SEAL}
    return _text(bare | {SEAL: hashlib.sha256(_text(bare).encode()).hexdigest()})


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON file, refusing one that is not as it was written.

    Raises
    ------
    DamageError
        If it is absent, no JSON object, or has another text than its hash says.
    """
    try:
        text = path.read_bytes().decode()
        values = json.loads(text)
        whole = isinstance(values, dict) and (SEAL not in values or sealed(values) == text)
    except FileNotFoundError:
        raise DamageError(f"{path} is not there; start again what writes it") from None
    except (OSError, ValueError) as error:
        raise DamageError(f"{path} is damaged ({error}); delete it and start again") from None
    if not whole:
        raise DamageError(f"{path} is damaged (it was changed after it was written); delete it and start again")
    return {key: value for key, value in values.items() if key != SEAL}


def check_file(path: Path, expected: str | None) -> None:
    """Refuse a file that is absent or has another sha256 than expected.

    With None, of a seal that was written by hand, the file only has to be there.

    Raises
    ------
    DamageError
        If it is not as it was written.
    """
    if not path.is_file():
        raise DamageError(f"{path} is not there; start again what writes it")
    if expected is not None and file_hash(path) != expected:
        raise DamageError(f"{path} is damaged (its hash differs from what was written); delete it and start again")


def check_beside(path: Path, seal: str) -> None:
    """Refuse a file that differs from its hash in the JSON file of this name beside it, if there is one.

    Raises
    ------
    DamageError
        If the file or the seal is damaged.
    """
    beside = path.with_name(seal)
    if beside.is_file():
        check_file(path, read_sealed(beside).get(FILES, {}).get(path.name))


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=1, sort_keys=True) + "\n"
