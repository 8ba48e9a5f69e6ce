"""The reference in small form: result tables, and what the manifests of its runs say, in one sealed file."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hocbench.datasets.contract import write_text
from hocbench.errors import HocbenchError, VerifyError
from hocbench.evaluation.files import check_table
from hocbench.manifest import file_hash
from hocbench.manifest_diff import is_compared
from hocbench.manifest_record import Record, read_record
from hocbench.seals import FILES, check_file, read_sealed, sealed
from hocbench.staging import staged
from hocbench.verify.cells import Row, by_key, read_rows
from hocbench.verify.tables import SEALS

MANIFESTS = "manifests.json"
Runs = dict[str, Record]  # by "dataset/run id"


def record(results: Path, reference: Path) -> int:
    """Take a finished reproduction over as the reference.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    reference : Path
        Folder to write the tables of evaluation/, tables/ and claims/ into, and last manifests.json; those of an
        earlier reference are removed.

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
    if (reference / "runs").exists():
        raise VerifyError(f"{reference} holds runs, so it is no reference; give another folder with --reference")
    runs, faults = read_runs(results, read_costs(results))
    if faults:
        raise VerifyError("\n".join(faults))
    _check_whole(results)
    with staged(reference, "record") as folder:
        copies = {}
        for path in recorded_files(results):
            to = folder / path.relative_to(results)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            copies[path.relative_to(results).as_posix()] = file_hash(to)
        write_text(sealed(summarize(runs) | {"copies": copies}), folder / MANIFESTS)
    for name in (*SEALS, "tables"):
        for path in (reference / name).rglob("*"):
            if path.is_file() and path.relative_to(reference).as_posix() not in copies:
                path.unlink()
    return len(runs)


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
    patterns = ("evaluation/*.csv", "evaluation/metrics.json", "tables/*.md", "claims/*.csv", "claims/*.md")
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


def read_reference(reference: Path) -> tuple[Runs, dict[str, str]]:
    """Read what `record` wrote about the runs of a reference.

    Parameters
    ----------
    reference : Path
        Its folder.

    Returns
    -------
    runs : dict of str to Record
        Empty where the reference was recorded without manifests.
    copies : dict of str to str
        sha256 of its tables, by path below its folder.

    Raises
    ------
    VerifyError
        If the file holds something else.
    DamageError
        If it is not as it was written.
    """
    path = reference / MANIFESTS
    if not path.is_file():
        return {}, {}
    values = read_sealed(path)
    try:
        shared, runs = values["shared"], values["runs"]
        found = {name: Record(path, shared | run["values"], dict(run["outputs"]), ()) for name, run in runs.items()}
        return found, dict(values["copies"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise VerifyError(f"{path} is no record of runs ({error!r}); write it again with `hocbench record`") from None


def check_copy(reference: Path, name: str, copies: Mapping[str, str]) -> None:
    """Refuse a table of the reference that is not the recorded one, if it was recorded.

    Parameters
    ----------
    reference : Path
        Its folder.
    name : str
        Path of the table below it.
    copies : mapping of str to str
        From `read_reference`.

    Raises
    ------
    VerifyError
        If it is absent, or has another hash.
    """
    path = reference / name
    if name in copies and (not path.is_file() or file_hash(path) != copies[name]):
        what = "is not the one that was recorded" if path.is_file() else "is not there"
        raise VerifyError(f"{path} {what} (see {MANIFESTS}); get it back with `git restore {path}`")
