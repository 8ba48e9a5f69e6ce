"""Checks that everything that was written is still as it was."""

import json
from dataclasses import dataclass
from pathlib import Path

from hocbench.errors import DamageError
from hocbench.files.checksums import FILES, SEAL, check_file, read_sealed


@dataclass(frozen=True)
class Verdict:
    """Findings below some folders.

    Attributes
    ----------
    checked : int
        Number of files, the seals included.
    damaged : dict of Path to str
        What is wrong with which file.
    seals : set of Path
        The JSON files that list a damaged file.
    """

    checked: int
    damaged: dict[Path, str]
    seals: set[Path]


def audit(folders: list[Path]) -> Verdict:
    """Compare all files below folders of results or prepared data with the hashes that were written with them.

    What has no hash in a JSON file beside it, such as logs, is not looked at.

    Raises
    ------
    DamageError
        If a folder is not there.
    """
    absent = [folder for folder in folders if not folder.is_dir()]
    if absent:
        raise DamageError(f"{absent[0]} is no folder; give results/PROFILE and data/prepared/PROFILE")
    checked: set[Path] = set()
    damaged: dict[Path, str] = {}
    seals: set[Path] = set()
    for path in sorted(path for folder in folders for path in folder.rglob("*.json")):
        try:
            values = read_sealed(path)
        except DamageError as error:
            damaged[path] = str(error)
            checked.add(path)
            continue
        if SEAL not in json.loads(path.read_bytes()):
            continue
        checked.add(path)
        for name, expected in values.get(FILES, {}).items():
            checked.add(path.with_name(name))
            try:
                check_file(path.with_name(name), expected)
            except DamageError as error:
                damaged[path.with_name(name)] = str(error)
                seals.add(path)
    return Verdict(len(checked), damaged, seals)


def delete(verdict: Verdict) -> None:
    """Delete damaged files and their seals, so that the next start of the workflow makes them again."""
    # The workflow asks for the seal of a folder, not for each of its files.
    for path in {*verdict.damaged, *verdict.seals}:
        path.unlink(missing_ok=True)
