"""The reference in small form: result tables, and what the manifests of its runs say, in one sealed file."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hocbench.errors import VerifyError
from hocbench.files.checksums import FILES, check_file, file_hash, read_sealed, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.runs.diff import is_compared
from hocbench.runs.record import Record
from hocbench.runs.revision import revision
from hocbench.verify.laboratory import MANIFESTS, Laboratory, read_laboratory, read_results
from hocbench.verify.runs import pair_runs
from hocbench.verify.tables import SEALS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def record(results: Path, folder: Path, laboratory: str) -> int:
    """Record a finished reproduction in small form, as the reference or one laboratory more; return its number of runs.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    folder : Path
        To write the tables of evaluation/, tables/ and claims/ into, and last manifests.json; those of an earlier
        record are removed. Only scores and hashes are written: no picture, no prediction and no label of a frame.
    laboratory : str
        What the record is called in tables.

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
    finished, faults = read_results(results)
    if faults:
        raise VerifyError("\n".join(faults))
    _check_whole(results)
    with staged(folder, "record") as place:
        copies = {}
        for path in finished.files:
            to = place / path.relative_to(results)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            copies[path.relative_to(results).as_posix()] = file_hash(to)
        origin = {"laboratory": laboratory, "data": finished.data}
        origin["revision"] = {"training": finished.revisions, "record": revision()}
        origin["earlier_code"] = sorted(_earlier_code(folder, finished))
        write_text(sealed(summarize(finished.runs) | origin | {"copies": copies}), place / MANIFESTS)
    for name in (*SEALS, "tables"):
        for path in (folder / name).rglob("*"):
            if path.is_file() and path.relative_to(folder).as_posix() not in copies:
                path.unlink()
    return len(finished.runs)


def _earlier_code(folder: Path, finished: Laboratory) -> frozenset[str]:
    """Find the training code of the record that is replaced, if it had computed the same bytes in every run.

    Laboratories of that code are then still of the same experiment.
    """
    earlier = read_laboratory(folder)
    pairs = pair_runs(earlier.runs, finished.runs)
    if pairs.missing or pairs.extra or not earlier.runs:
        return frozenset()
    same = all(finished.runs[here].outputs == earlier.runs[there].outputs for here, there in pairs.pairs.items())
    before, now = ({str(run.values.get("code")) for run in runs.values()} for runs in (earlier.runs, finished.runs))
    return (earlier.earlier_code | before) - now if same else frozenset()


def _check_whole(results: Path) -> None:
    """Refuse results that lack a table, or have one that is not as it was written."""
    pages = sorted((results / "tables").glob("*.json"))
    for path in (*(results / folder / name for folder, name in SEALS.items()), *pages):
        # Only the evaluation has to be there; a workflow may have been asked for no more.
        if path.is_file() or path.parent.name == "evaluation":
            for name, expected in read_sealed(path).get(FILES, {}).items():
                check_file(path.with_name(name), expected)


def summarize(runs: Mapping[str, Record]) -> dict[str, Any]:
    """Shorten the manifests of runs, one at least: what all of them share stands once.

    Returns
    -------
    dict
        shared (flattened key to value) and runs: by name, values (what is not shared) and outputs (sha256 by file).
    """
    values = {name: {key: value for key, value in run.values.items() if is_compared(key)} for name, run in runs.items()}
    first = next(iter(values.values()))
    # As text, because 1, 1.0 and true are equal but not the same.
    shared = {
        key: value
        for key, value in first.items()
        if all(key in other and json.dumps(other[key]) == json.dumps(value) for other in values.values())
    }
    rest = {name: {key: value for key, value in run.items() if key not in shared} for name, run in values.items()}
    return {"shared": shared, "runs": {name: {"values": rest[name], "outputs": runs[name].outputs} for name in runs}}
