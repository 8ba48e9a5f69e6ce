"""One finished reproduction: its tables, its runs and its data, in results/PROFILE or recorded in small form."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hocbench import paths
from hocbench.datasets.hashes import Hashes, read_hashes
from hocbench.errors import HocbenchError, VerifyError
from hocbench.experiment.description import META, Description, read_description
from hocbench.files.checksums import check_beside, file_hash, read_sealed
from hocbench.runs.record import Record, read_record
from hocbench.runs.revision import UNKNOWN
from hocbench.verify.cells import Row, by_key, read_rows
from hocbench.verify.tables import SEALS

MANIFESTS = "manifests.json"
MORE = "laboratories"  # folder in a reference that holds those beside its own
OWN = "reference"  # name of its own
# The files that a laboratory is made of, below its folder.
ABOUT = f"evaluation/{META}"
PATTERNS = ("evaluation/*.csv", ABOUT, "evaluation/metrics.json", "tables/*.md", "claims/*.csv", "claims/*.md")
Runs = dict[str, Record]  # by "dataset/run id"


@dataclass(frozen=True)
class Laboratory:
    """One finished reproduction.

    Attributes
    ----------
    folder, name : Path, str
        Where it lies, and what it is called.
    runs : dict of str to Record
        What its manifests say; empty where tables were recorded without them.
    copies : dict of str to str
        sha256 of its tables, by path below its folder, if they were recorded.
    data : dict
        Hashes of its data; empty where none were recorded.
    revisions : list of dict
        Of the code that trained: commit, dirty, diff.
    earlier_code : frozenset of str
        Hashes of training code that, in earlier records, had computed the bytes of all these runs.
    """

    folder: Path
    name: str
    runs: Runs = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    data: Hashes = field(default_factory=dict)
    revisions: list[dict[str, Any]] = field(default_factory=list)
    earlier_code: frozenset[str] = frozenset()

    def rows(self, name: str) -> list[Row]:
        """Read a table, refusing one that is not as it was written; no rows where there is none."""
        self.check(name)
        path = self.folder / name
        return read_rows(path) if path.is_file() else []

    def check(self, name: str) -> None:
        """Refuse a table that is not the recorded one (VerifyError), or does not fit its seal (DamageError)."""
        path = self.folder / name
        if name not in self.copies:
            if path.is_file() and path.parent.name in SEALS:
                check_beside(path, SEALS[path.parent.name])
        elif not path.is_file() or file_hash(path) != self.copies[name]:
            what = "is not the one that was recorded" if path.is_file() else "is not there"
            raise VerifyError(
                f"{path} {what} (see {MANIFESTS}); get it again from who recorded it, or in a clone with `git restore "
                f"{path}`"
            )

    def description(self) -> Description:
        """Read what its tables are about; see `check`, and `hocbench.experiment.description.read_description`."""
        self.check(ABOUT)
        return read_description((self.folder / ABOUT).parent)

    @property
    def files(self) -> list[Path]:
        """Its files, without times and pictures."""
        return [path for pattern in PATTERNS for path in sorted(self.folder.glob(pattern))]

    @property
    def outputs(self) -> dict[str, dict[str, str]]:
        """Hashes of what the runs wrote: equal for the same laboratory, and for one that computes the same bytes."""
        return {name: run.outputs for name, run in sorted(self.runs.items())}

    @cached_property
    def costs(self) -> dict[str, Row]:
        """Rows of the table of costs, by "dataset/run id": what the tables are made of; see `rows`."""
        name = "evaluation/costs.csv"
        if not (self.folder / name).exists() and name not in self.copies:
            raise VerifyError(
                f"{self.folder / name} is not there, so {self.folder} is not a finished reproduction; start the "
                "workflow again, or give the folder results/PROFILE of one"
            )
        rows = by_key(self.rows(name), ("dataset", "run"), str(self.folder / name))
        return {"/".join(key): row for key, row in sorted(rows.items())}


def read_results(results: Path) -> tuple[Laboratory, list[str]]:
    """Read ``results/<profile>``; other runs in its folder, of earlier parameters, are left alone.

    Returns
    -------
    laboratory : Laboratory
        Its runs are those that are whole.
    faults : list of str
        What is wrong with the others, and with the hashes of its data.
    """
    runs, faults, data = {}, [], {}
    for name in Laboratory(results, results.name).costs:
        path = results / "runs" / name
        try:
            runs[name] = read_record(path)
        except HocbenchError as error:
            faults.append(f"run {name} stands in the tables, but {error}")
            continue
        faults += [
            f"{path / file} is no longer the file that its manifest records; delete {path} and start the workflow again"
            for file in runs[name].changed
        ]
    try:
        # None where the workflow was asked for tables alone.
        data = read_hashes(results / paths.DATA_HASHES) if (results / paths.DATA_HASHES).is_file() else {}
    except HocbenchError as error:
        faults.append(str(error))
    revisions = distinct_values([{key: run.values.get(f"revision.{key}") for key in UNKNOWN} for run in runs.values()])
    return Laboratory(results, results.name, runs, {}, data, revisions), faults


def distinct_values(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out repetitions."""
    return [value for place, value in enumerate(values) if value not in values[:place]]


def read_laboratory(folder: Path) -> Laboratory:
    """Read what `hocbench.verify.record` wrote, or a folder of result tables alone; tables are read when asked for.

    Raises
    ------
    VerifyError
        If manifests.json holds something else.
    DamageError
        If it is not as it was written.
    """
    path = folder / MANIFESTS
    if not path.is_file():
        return Laboratory(folder, folder.name)
    values = read_sealed(path)
    try:
        shared, runs = values["shared"], values["runs"]
        records = {name: Record(path, shared | run["values"], dict(run["outputs"]), ()) for name, run in runs.items()}
        revisions = list(values.get("revision", {}).get("training", []))
        name, data = str(values.get("laboratory", folder.name)), dict(values.get("data", {}))
        code = frozenset(map(str, values.get("earlier_code", [])))
        return Laboratory(folder, name, records, dict(values["copies"]), data, revisions, code)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise VerifyError(f"{path} is no record of runs ({error!r}); write it again with `hocbench record`") from None


def folders_of(reference: Path) -> list[Path]:
    """List the folders of all laboratories of a reference, its own first."""
    return [reference, *sorted(path.parent for path in (reference / MORE).glob(f"*/{MANIFESTS}"))]


def read_laboratories(reference: Path) -> list[Laboratory]:
    """Read the laboratories of a reference, its own first: who has computed the bytes of another says nothing new."""
    by_bytes: dict[str, Laboratory] = {}
    for laboratory in map(read_laboratory, folders_of(reference)):
        # Whatever runs are called: native and portable ones have other names.
        outputs = sorted((name.split("/")[0], sorted(run.outputs.items())) for name, run in laboratory.runs.items())
        by_bytes.setdefault(repr(outputs) if outputs else laboratory.name, laboratory)
    return list(by_bytes.values())
