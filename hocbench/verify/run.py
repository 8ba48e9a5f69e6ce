"""A reproduction verified: data, conclusions, scores and bytes compared with the reference, nothing written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import HocbenchError, VerifyError
from hocbench.runs.diff import Comparison
from hocbench.verify.cells import Row
from hocbench.verify.compare import (
    DIFFERENT,
    MISSING,
    Cell,
    Expected,
    Key,
    check_choices,
    compare_rows,
    rows_by_key,
    settle,
)
from hocbench.verify.conclusions import Conclusion, compare_differences, compare_verdicts
from hocbench.verify.data import DataRow, compare_hashes, unpromised
from hocbench.verify.laboratory import MANIFESTS, Laboratory, Runs, read_laboratories, read_laboratory, read_results
from hocbench.verify.machine import Bytes, compare_bytes
from hocbench.verify.merge import other_experiment
from hocbench.verify.runs import Causes, Pairing, pair_runs
from hocbench.verify.spread import Spreads
from hocbench.verify.tables import CLAIMS, TABLES, Table, is_headline

LABELS = {"synthetic", "real"}
NAMED = 5  # runs that are named in one message
# A whole verification of an undisturbed run calls a score different with at most this probability, together. Headlines
# count one by one; the other cells of a method if most of them are off.
HEADLINES, OTHERS = 0.02, 0.03


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes
    ----------
    results, reference : Path
        The folders that were compared.
    laboratories : list of str
        Those of the reference, its own first.
    left_out : list of str
        Why others in its folder are of another experiment.
    data : list of DataRow
        Files of the data; empty where one side has not recorded them.
    unpromised : str
        Why the data need not be the same bytes on this machine; empty if they have to be.
    conclusions : list of Conclusion
        Verdicts and differences.
    cells : list of Cell
        Of all tables.
    faults : list of str
        The user's mistakes: what is damaged, unfinished, or of other parameters.
    causes : Causes
        To be asked for the likely cause of a cell.
    bytes : Bytes
        See there.
    revisions : tuple of list of dict
        Of the code that trained: the reference's, and here.
    labels : list of str
        "synthetic" or "real": what the data are.
    """

    results: Path
    reference: Path
    laboratories: list[str]
    left_out: list[str]
    data: list[DataRow]
    unpromised: str
    conclusions: list[Conclusion]
    cells: list[Cell]
    faults: list[str]
    causes: Causes
    bytes: Bytes
    revisions: tuple[list[dict[str, Any]], list[dict[str, Any]]]
    labels: list[str]

    def count(self, *outcomes: str) -> int:
        """Count the cells with one of these outcomes."""
        return sum(cell.outcome in outcomes for cell in self.cells)

    @property
    def data_agree(self) -> bool:
        """Whether no file of the data differs that has to be the same."""
        return bool(self.unpromised) or all(row.same for row in self.data)

    @property
    def conclusions_agree(self) -> bool:
        """Whether no verdict and no difference contradicts all laboratories."""
        return all(each.agrees for each in self.conclusions)

    @property
    def scores_agree(self) -> bool:
        """Whether every cell of the reference is here, and such as another machine would give it."""
        return not self.count(DIFFERENT, MISSING)

    @property
    def reproduced(self) -> bool:
        """Whether this machine reproduces the reference."""
        return self.data_agree and self.conclusions_agree and self.scores_agree and not self.bytes.broken


def verify(results: Path, reference: Path) -> Verification:
    """Compare a finished reproduction with the reference.

    Parameters
    ----------
    results : Path
        ``results/<profile>``, or what `hocbench.verify.record` made of it.
    reference : Path
        Folder that `hocbench.verify.record` wrote, or one of result tables alone; in its folder ``laboratories``,
        other laboratories.

    Returns
    -------
    Verification
        What is damaged or unfinished is in its faults, and the rest is compared all the same.

    Raises
    ------
    VerifyError
        If there is nothing to compare: no tables, another profile, or no run in common.
    """
    laboratories, left_out = _laboratories(reference)
    own = laboratories[0]
    costs = [laboratory.costs() for laboratory in laboratories]
    here, faults = (read_laboratory(results), []) if (results / MANIFESTS).is_file() else read_results(results)
    costs_here = here.costs()
    _check_profiles(results, here.runs, own.runs)
    pairings = [
        pair_runs(list(rows), list(costs_here), laboratory.runs, here.runs)
        for laboratory, rows in zip(laboratories, costs, strict=True)
    ]
    faults += _run_faults(pairings[0], reference, bool(own.runs))
    if not costs[0].keys() & costs_here.keys() and (pairings[0].parameters or not pairings[0].pairs):
        raise VerifyError("\n".join([f"{results} is another experiment than {reference}:", *faults]))
    causes = Causes([*costs_here.values(), *(costs[0][name] for name in pairings[0].missing)], pairings[0])
    tables = _Tables(here, laboratories, causes, pairings)
    return Verification(
        results=results,
        reference=reference,
        laboratories=[laboratory.name for laboratory in laboratories],
        left_out=left_out,
        data=compare_hashes(own.data, here.data) if own.data and here.data else [],
        unpromised=next(filter(None, (unpromised(run.values) for run in here.runs.values())), ""),
        conclusions=tables.conclusions(),
        cells=tables.cells(),
        faults=faults + tables.faults,
        causes=causes,
        bytes=compare_bytes(results, own, here.runs, pairings[0]),
        revisions=(own.revisions, here.revisions),
        labels=sorted(tables.labels),
    )


def _laboratories(reference: Path) -> tuple[list[Laboratory], list[str]]:
    """Read those of one experiment, and say why others are left out: they may be older than the reference itself."""
    own, *others = read_laboratories(reference)
    kept, left_out = [own], []
    for each in others:
        pairing = pair_runs(list(own.runs), list(each.runs), own.runs, each.runs)
        why = next(other_experiment(own, each, pairing), "")
        if why:
            left_out.append(f"{each.name} is left out: {why}")
        else:
            kept.append(each)
    return kept, left_out


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
    """All tables of the laboratories and of a folder; what cannot be read is noted, and the rest compared."""

    def __init__(
        self, here: Laboratory, laboratories: Sequence[Laboratory], causes: Causes, pairings: Sequence[Pairing]
    ) -> None:
        self._laboratory, self._laboratories, self._causes = here, laboratories, causes
        self._same = [_same_outputs(pairing.comparisons) for pairing in pairings]
        self.faults: list[str] = []
        self.labels: set[str] = set()
        self._here: dict[str, list[Row]] = {}
        self._there: dict[str, list[list[Row]]] = {}
        for table in (*TABLES, CLAIMS):
            self._read(table)

    def _read(self, table: Table) -> None:
        try:
            there = [each.rows(table.path) for each in self._laboratories]
            here = self._laboratory.rows(table.path)
            # Rows that cannot be told apart are found here, while the table can still be left out.
            [rows_by_key(table, rows, "") for rows in (*there, here)]
        except HocbenchError as error:
            self.faults.append(str(error))
            return
        # A claim without data has a label of its own.
        self.labels.update({row.get("label", "") for row in (*there[0], *here)} & LABELS)
        self._there[table.name], self._here[table.name] = there, here

    def cells(self) -> list[Cell]:
        read = [table for table in TABLES if table.name in self._here]
        spreads = {table.name: Spreads(table, self._there[table.name]) for table in read}
        varying = [(table, cell) for table in read for cell in spreads[table.name].varying]
        headlines = sum(is_headline(table, *cell) for table, cell in varying)
        blocks = len({(table.name, table.block(key)) for table, (key, _) in varying})
        levels = OTHERS / max(blocks, 1), HEADLINES / max(headlines, 1)
        names = [each.name for each in self._laboratories]
        cells: list[Cell] = []
        for table in read:
            there = [rows_by_key(table, rows, "") for rows in self._there[table.name]]
            expected = Expected(table, names, there, spreads[table.name], self._twin(table), *levels)
            here = self._here[table.name]
            found = settle(expected, compare_rows(expected, rows_by_key(table, here, "")))
            cells += check_choices(found, here) if table.name == "windows" else found
        return cells

    def _twin(self, table: Table) -> Callable[[Key], int | None]:
        def same(key: Key) -> int | None:
            keys = table.named(key)
            # A trend begins with another method: that of LASSO with the network that has none.
            runs = self._causes.runs({"dataset": keys["dataset"]} if "axis" in keys else keys)
            return next((i for i, equal in enumerate(self._same) if runs and runs.keys() <= equal), None)

        return same

    def conclusions(self) -> list[Conclusion]:
        found: list[Conclusion] = []
        if CLAIMS.name in self._here:
            found += compare_verdicts(self._there[CLAIMS.name], self._here[CLAIMS.name])
        if "differences" in self._here:
            found += compare_differences(self._there["differences"], self._here["differences"])
        return found


def _same_outputs(comparisons: dict[str, Comparison]) -> set[str]:
    """Name the runs here whose outputs are all those of the laboratory's."""
    return {name for name, each in comparisons.items() if each.outputs and all(each.outputs.values())}
