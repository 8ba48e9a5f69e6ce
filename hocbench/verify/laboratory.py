"""What a laboratory has sent, or a reference holds: tables, and what its runs were, checked against its seal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hocbench.errors import VerifyError
from hocbench.experiment.description import META, Description, read_description
from hocbench.files.checksums import file_hash, read_sealed
from hocbench.runs.record import Record
from hocbench.verify.cells import Row, read_rows

MANIFESTS = "manifests.json"
MORE = "laboratories"  # folder in a reference that holds those beside its own
OWN = "reference"  # name of its own
ABOUT = f"evaluation/{META}"
Runs = dict[str, Record]  # by "dataset/run id"


@dataclass(frozen=True)
class Laboratory:
    """One finished reproduction in small form; see `hocbench.verify.record`.

    Attributes
    ----------
    folder, name : Path, str
        Where it lies, and what it is called.
    runs : dict of str to Record
        What its manifests say; empty where tables were recorded without them.
    copies : dict of str to str
        sha256 of its tables, by path below its folder.
    data : dict
        Hashes of its data; empty where none were recorded.
    revisions : list of dict
        Of the code that trained: commit, dirty, diff.
    """

    folder: Path
    name: str
    runs: Runs = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    revisions: list[dict[str, Any]] = field(default_factory=list)

    def rows(self, name: str) -> list[Row]:
        """Read a table; no rows where there is none.

        Raises
        ------
        VerifyError
            If it is not the recorded one, or no table.
        """
        self.check(name)
        path = self.folder / name
        return read_rows(path) if path.is_file() else []

    def check(self, name: str) -> None:
        """Refuse a table that is not the recorded one, if it was recorded.

        Raises
        ------
        VerifyError
            If it is absent, or has another hash.
        """
        path = self.folder / name
        if name in self.copies and (not path.is_file() or file_hash(path) != self.copies[name]):
            what = "is not the one that was recorded" if path.is_file() else "is not there"
            raise VerifyError(
                f"{path} {what} (see {MANIFESTS}); get it again from who recorded it, or in a clone with `git restore "
                f"{path}`"
            )

    def description(self) -> Description:
        """Read what its tables are about.

        Raises
        ------
        VerifyError
            If it is not the recorded one.
        EvaluationError
            If there is none, or it cannot be read.
        """
        self.check(ABOUT)
        return read_description((self.folder / ABOUT).parent)

    @property
    def outputs(self) -> dict[str, dict[str, str]]:
        """Hashes of what the runs wrote: equal for the same laboratory, and for one that computes the same bytes."""
        return {name: run.outputs for name, run in sorted(self.runs.items())}


def read_laboratory(folder: Path) -> Laboratory:
    """Read what `hocbench.verify.record` wrote, or a folder of result tables alone.

    Parameters
    ----------
    folder : Path
        Tables are read when they are asked for.

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
        found = {name: Record(path, shared | run["values"], dict(run["outputs"]), ()) for name, run in runs.items()}
        revisions = list(values.get("revision", {}).get("training", []))
        name, data = str(values.get("laboratory", folder.name)), dict(values.get("data", {}))
        return Laboratory(folder, name, found, dict(values["copies"]), data, revisions)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise VerifyError(f"{path} is no record of runs ({error!r}); write it again with `hocbench record`") from None


def read_laboratories(reference: Path) -> list[Laboratory]:
    """Read all laboratories of a reference, its own first.

    Raises
    ------
    VerifyError, DamageError
        See `read_laboratory`.
    """
    more = sorted(path.parent for path in (reference / MORE).glob(f"*/{MANIFESTS}"))
    return distinct([read_laboratory(reference), *map(read_laboratory, more)])


def distinct(laboratories: Sequence[Laboratory]) -> list[Laboratory]:
    """Leave out repetitions: who has computed the same bytes as another one says nothing new."""
    kept: dict[str, Laboratory] = {}
    for each in laboratories:
        kept.setdefault(_bytes_of(each) if each.runs else each.name, each)
    return list(kept.values())


def _bytes_of(laboratory: Laboratory) -> str:
    """Return what all runs wrote, whatever they are called: native and portable runs have other names."""
    runs = [(name.split("/")[0], sorted(run.outputs.items())) for name, run in laboratory.runs.items()]
    return repr(sorted(runs))
