"""The reference in small form: result tables, and what the manifests of its runs say, in one sealed file."""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hocbench import paths
from hocbench.datasets.hashes import Hashes, read_hashes
from hocbench.errors import HocbenchError, VerifyError
from hocbench.evaluation.files import check_table
from hocbench.files.checksums import FILES, check_file, file_hash, read_sealed, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.runs.diff import is_compared
from hocbench.runs.record import Record, read_record
from hocbench.runs.revision import revision
from hocbench.verify.cells import Row, by_key, read_rows
from hocbench.verify.laboratory import ABOUT, MANIFESTS, Runs
from hocbench.verify.tables import SEALS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def record(results: Path, folder: Path, laboratory: str) -> int:
    """Take a finished reproduction over in small form: as the reference, or as one laboratory more.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    folder : Path
        To write the tables of evaluation/, tables/ and claims/ into, and last manifests.json; those of an earlier
        record are removed. Only scores and hashes are written: no picture, no prediction and no label of a frame.
    laboratory : str
        What the record is called in tables.

    Returns
    -------
    int
        Number of runs.

    Raises
    ------
    VerifyError
        If the reproduction is not finished, a run is no longer as it was written, or the folder to write holds runs.
    DamageError
        If a table is damaged.
    """
    if not NAME.fullmatch(laboratory):
        raise VerifyError(
            f"{laboratory!r} cannot name a laboratory; give up to 40 letters, digits, dots, dashes and underscores"
        )
    if (folder / "runs").exists():
        raise VerifyError(f"{folder} holds runs, so it is no record; give another folder with --reference or --out")
    runs, faults = read_runs(results, read_costs(results))
    if faults:
        raise VerifyError("\n".join(faults))
    _check_whole(results)
    with staged(folder, "record") as place:
        copies = {}
        for path in recorded_files(results):
            to = place / path.relative_to(results)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            copies[path.relative_to(results).as_posix()] = file_hash(to)
        about = {"laboratory": laboratory, "revision": _revisions(runs), "data": recorded_data(results)}
        write_text(sealed(summarize(runs) | about | {"copies": copies}), place / MANIFESTS)
    for name in (*SEALS, "tables"):
        for path in (folder / name).rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in copies:
                path.unlink()
    return len(runs)


def _revisions(runs: Mapping[str, Record]) -> dict[str, Any]:
    """List the revisions that trained, and that which records."""
    keys = {f"revision.{key}": key for key in revision()}
    found = [{key: run.values.get(name) for name, key in keys.items()} for run in runs.values()]
    return {"training": [each for i, each in enumerate(found) if each not in found[:i]], "record": revision()}


def recorded_data(results: Path) -> Hashes:
    """Read the hashes of the data; none where an older version of the workflow has made the results."""
    path = results / paths.DATA_HASHES
    return read_hashes(path) if path.is_file() else {}


def _check_whole(results: Path) -> None:
    """Refuse results that lack a table, or have one that is not as it was written."""
    for seal in (*(Path(folder, name) for folder, name in SEALS.items()), *_pages(results)):
        path = results / seal
        # Only the evaluation has to be there; a workflow may have been asked for no more.
        if path.is_file() or path.parent.name == "evaluation":
            for name, expected in read_sealed(path).get(FILES, {}).items():
                check_file(path.with_name(name), expected)


def _pages(results: Path) -> list[Path]:
    return sorted(path.relative_to(results) for path in (results / "tables").glob("*.json"))


def recorded_files(folder: Path) -> list[Path]:
    """List the files of results that a reference holds, or those of a reference."""
    patterns = ("evaluation/*.csv", ABOUT, "evaluation/metrics.json", "tables/*.md", "claims/*.csv", "claims/*.md")
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def read_costs(folder: Path) -> dict[str, Row]:
    """Read the table of costs, which says what runs the tables of a folder are made of.

    Parameters
    ----------
    folder : Path
        Finished results, or a reference.

    Returns
    -------
    dict of str to dict
        Its rows, by "dataset/run id".

    Raises
    ------
    VerifyError
        If there are no tables, or it does not say so.
    DamageError
        If it is damaged.
    """
    path = folder / "evaluation" / "costs.csv"
    if not path.is_file():
        raise VerifyError(
            f"{path} is not there, so {folder} is not a finished reproduction; start the workflow again, or give "
            "the folder results/PROFILE of one"
        )
    check_table(path)
    rows = by_key(read_rows(path), ("dataset", "run"), str(path))
    return {"/".join(key): row for key, row in sorted(rows.items())}


def read_runs(results: Path, names: Iterable[str]) -> tuple[Runs, list[str]]:
    """Read the manifests of runs.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    names : iterable of str
        From `read_costs`; other directories, of earlier parameters, are left alone.

    Returns
    -------
    runs : dict of str to Record
        Those that are whole.
    faults : list of str
        What is wrong with the others.
    """
    runs: Runs = {}
    faults = []
    for name in names:
        path = results / "runs" / name
        if not (path / "manifest.json").is_file():
            faults.append(
                f"run {name} stands in the tables, but {path} is not a finished run (no manifest.json); start the "
                "workflow again"
            )
            continue
        try:
            found = read_record(path)
        except HocbenchError as error:
            faults.append(str(error))
            continue
        faults += [
            f"{path / file} is no longer the file that its manifest records; delete {path} and start the workflow again"
            for file in found.changed
        ]
        runs[name] = found
    return runs, faults


def summarize(runs: Mapping[str, Record]) -> dict[str, Any]:
    """Put the manifests of runs into small form: what all of them share stands once.

    Parameters
    ----------
    runs : mapping of str to Record
        At least one.

    Returns
    -------
    dict
        shared (flattened key to value) and runs: by name, values (what is not shared) and outputs (sha256 by file).
    """
    values = {name: _comparable(each) for name, each in runs.items()}
    first = next(iter(values.values()))
    # As text, because 1, 1.0 and true are equal but not the same.
    shared = {
        key: value
        for key, value in first.items()
        if all(key in other and json.dumps(other[key]) == json.dumps(value) for other in values.values())
    }
    own = {name: {key: value for key, value in each.items() if key not in shared} for name, each in values.items()}
    return {
        "shared": shared,
        "runs": {name: {"values": own[name], "outputs": each.outputs} for name, each in runs.items()},
    }


def _comparable(run: Record) -> dict[str, Any]:
    return {key: value for key, value in run.values.items() if is_compared(key)}
