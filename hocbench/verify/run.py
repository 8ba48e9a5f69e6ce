"""A reproduction verified: tables, runs and bytes compared with the reference, nothing written."""

from dataclasses import dataclass, replace
from pathlib import Path

from hocbench.errors import HocbenchError, VerifyError
from hocbench.seals import check_beside
from hocbench.verify.cells import Row, read_rows
from hocbench.verify.compare import DIFFERENT, MISSING, Cell, compare_rows
from hocbench.verify.laboratory import MANIFESTS, Laboratory, Runs, read_laboratory
from hocbench.verify.record import read_costs, read_runs, recorded_files
from hocbench.verify.runs import Causes, Pairing, pair_runs, settings
from hocbench.verify.spread import measure
from hocbench.verify.tables import EXEMPT, INTERVALS, SEALS, TABLES

LABELS = {"synthetic", "real"}
NAMED = 5  # runs that are named in one message


@dataclass(frozen=True)
class Bytes:
    """Files compared byte by byte.

    Attributes
    ----------
    setting : dict of str to (list of str, list of str)
        What the machines are: values in the reference, and here.
    recorded : bool
        Whether the reference records its machine.
    files : dict of str to bool or None
        Whether a file is equal; None where it is not here. Empty if bytes cannot be compared.
    """

    setting: dict[str, tuple[list[str], list[str]]]
    recorded: bool
    files: dict[str, bool | None]

    @property
    def comparable(self) -> bool:
        """Whether bytes have to be equal: one CPU type, and as many threads."""
        return self.recorded and all(len(a) <= 1 and a == b for a, b in self.setting.values())


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes
    ----------
    results, reference : Path
        The folders that were compared.
    cells : list of Cell
        Of all tables.
    faults : list of str
        The user's mistakes: what is damaged, unfinished, or of other parameters.
    causes : Causes
        To be asked for the likely cause of a cell.
    bytes : Bytes
        See there.
    labels : list of str
        "synthetic" or "real": what the data are.
    """

    results: Path
    reference: Path
    cells: list[Cell]
    faults: list[str]
    causes: Causes
    bytes: Bytes
    labels: list[str]

    def count(self, *outcomes: str) -> int:
        """Count the cells with one of these outcomes."""
        return sum(cell.outcome in outcomes for cell in self.cells)

    @property
    def reproduced(self) -> bool:
        """Whether every cell of the reference is here, identical or within tolerance."""
        return not self.count(DIFFERENT, MISSING)


def verify(results: Path, reference: Path) -> Verification:
    """Compare a finished reproduction with the reference.

    Parameters
    ----------
    results : Path
        ``results/<profile>``.
    reference : Path
        Folder that `hocbench.verify.record` wrote, or one of result tables alone.

    Returns
    -------
    Verification
        What is damaged or unfinished is in its faults, and the rest is compared all the same.

    Raises
    ------
    VerifyError
        If there is nothing to compare: no tables, another profile, or no run in common.
    """
    laboratory = read_laboratory(reference)
    recorded = laboratory.runs
    laboratory.check("evaluation/costs.csv")
    there, here = read_costs(reference), read_costs(results)
    own, faults = read_runs(results, here)
    _check_profiles(results, own, recorded)
    pairing = pair_runs(list(there), list(here), recorded, own)
    faults += _run_faults(pairing, reference, bool(recorded))
    if not there.keys() & here.keys() and (pairing.parameters or not pairing.pairs):
        raise VerifyError("\n".join([f"{results} is another experiment than {reference}:", *faults]))
    tables = _Tables(results, laboratory)
    cells = tables.compare()
    setting = {what: (values, settings(own)[what]) for what, values in settings(recorded).items()}
    compared = Bytes(setting, bool(recorded), {})
    if compared.comparable:
        compared = replace(compared, files=_compare_bytes(results, reference, pairing))
    causes = Causes([*here.values(), *there.values()], pairing)
    return Verification(results, reference, cells, faults + tables.faults, causes, compared, sorted(tables.labels))


def _check_profiles(results: Path, own: Runs, recorded: Runs) -> None:
    profiles = [sorted({str(run.values.get("spec.profile")) for run in runs.values()}) for runs in (recorded, own)]
    if all(profiles) and profiles[0] != profiles[1]:
        raise VerifyError(
            f"{results} is of profile {', '.join(profiles[1])}, the reference of profile {', '.join(profiles[0])}; "
            "give results of that profile, or with --reference a reference of this one"
        )


def _run_faults(pairing: Pairing, reference: Path, recorded: bool) -> list[str]:
    faults = [
        f"parameter {text} ({len(runs)} runs, the first: {runs[0]}); verify with the parameters of the reference"
        for text, runs in pairing.parameters.items()
    ]
    if pairing.missing:
        faults.append(
            f"missing here: {_listed(pairing.missing)}; give results of the parameters that the reference is of"
        )
    if pairing.extra:
        faults.append(f"not in the reference: {_listed(pairing.extra)}; give results of its parameters")
    if (pairing.missing or pairing.extra) and not recorded:
        faults.append(f"{reference / MANIFESTS} is not there, so the parameters that differ cannot be named")
    return faults


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} runs: {', '.join(names[:NAMED])}{more}"


class _Tables:
    """All tables of two folders; what cannot be read is noted, and the rest compared."""

    def __init__(self, results: Path, reference: Laboratory) -> None:
        self._results, self._reference = results, reference
        self.faults: list[str] = []
        self.labels: set[str] = set()

    def compare(self) -> list[Cell]:
        try:
            intervals = self._reference.rows(f"evaluation/{INTERVALS}.csv")
        except HocbenchError:
            intervals = []  # said where this table itself is compared
        cells: list[Cell] = []
        for table in TABLES:
            try:
                there, here = self._reference.rows(table.path), self._here(table.path)
                # A claim without data has a label of its own.
                self.labels.update({row.get("label", "") for row in (*there, *here)} & LABELS)
                cells += compare_rows(table, there, here, measure(table, there, intervals))
            except HocbenchError as error:
                self.faults.append(str(error))
        return cells

    def _here(self, name: str) -> list[Row]:
        path = self._results / name
        if not path.is_file():
            return []
        check_beside(path, SEALS[path.parent.name])
        return read_rows(path)


def _compare_bytes(results: Path, reference: Path, pairing: Pairing) -> dict[str, bool | None]:
    """Compare the files of the reference that hold no times, and what the runs wrote."""
    tables = [path for path in recorded_files(reference) if path.stem not in EXEMPT]
    files: dict[str, bool | None] = {}
    for path in tables:
        name = path.relative_to(reference)
        other = results / name
        files[name.as_posix()] = path.read_bytes() == other.read_bytes() if other.is_file() else None
    for run, comparison in pairing.comparisons.items():
        files[f"runs/{run}"] = all(same is not False for same in comparison.outputs.values())
    return files
