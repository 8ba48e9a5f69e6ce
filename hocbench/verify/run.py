"""A reproduction verified: data, conclusions, scores and bytes compared with the reference, nothing written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import HocbenchError, VerifyError
from hocbench.verify.cells import Row, listed
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
# A whole verification of an undisturbed run calls a score different with at most this probability, together. Headlines
# count one by one; the other cells of a method if most of them are off.
HEADLINES, OTHERS = 0.02, 0.03


@dataclass(frozen=True)
class Verification:
    """What a comparison with the reference has shown.

    Attributes
    ----------
    laboratories, left_out : list of str
        Those of the reference, its own first, and why others in its folder are of another experiment.
    data : list of DataRow
        Files of the data; empty where one side has not recorded them.
    unpromised : str
        Why the data need not be the same bytes on this machine; empty if they have to be.
    conclusions, cells : list of Conclusion, list of Cell
        Verdicts and differences between methods, and the cells of all tables.
    faults : list of str
        The user's mistakes: what is damaged, unfinished, or of other parameters.
    causes : Causes
        Likely causes of differing cells.
    bytes : Bytes
        Files that the machines should write alike.
    revisions : tuple of list of dict
        Of the code that trained: the reference's, and here.
    labels : list of str
        "synthetic" or "real": what the data are.
    """

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
        return all(conclusion.agrees for conclusion in self.conclusions)

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
    first = laboratories[0]
    here, faults = (read_laboratory(results), []) if (results / MANIFESTS).is_file() else read_results(results)
    pairings = [pair_runs(there.runs, here.runs, there.costs, here.costs) for there in laboratories]
    _check_profiles(results, here.runs, first.runs)
    faults += _run_faults(pairings[0], reference, bool(first.runs))
    if not first.costs.keys() & here.costs.keys() and (pairings[0].parameters or not pairings[0].pairs):
        raise VerifyError("\n".join([f"{results} is another experiment than {reference}:", *faults]))
    causes = Causes([*here.costs.values(), *(first.costs[name] for name in pairings[0].missing)], pairings[0])
    tables = _Tables(here, laboratories, causes, pairings)
    return Verification(
        laboratories=[laboratory.name for laboratory in laboratories],
        left_out=left_out,
        data=compare_hashes(first.data, here.data) if first.data and here.data else [],
        unpromised=next(filter(None, (unpromised(run.values) for run in here.runs.values())), ""),
        conclusions=tables.conclusions(),
        cells=tables.cells(),
        faults=faults + tables.faults,
        causes=causes,
        bytes=compare_bytes(first, here, pairings[0]),
        revisions=(first.revisions, here.revisions),
        labels=sorted(tables.labels),
    )


def _laboratories(reference: Path) -> tuple[list[Laboratory], list[str]]:
    """Read those of one experiment, and say why others are left out: they may be older than the reference itself."""
    first, *others = read_laboratories(reference)
    laboratories, left_out = [first], []
    for other in others:
        pairing = pair_runs(first.runs, other.runs)
        why = next(other_experiment(first, other, pairing), "")
        if why:
            left_out.append(f"{other.name} is left out: {why}")
        else:
            laboratories.append(other)
    return laboratories, left_out


def _check_profiles(results: Path, here: Runs, there: Runs) -> None:
    profiles = [sorted({str(run.values.get("spec.profile")) for run in runs.values()}) for runs in (there, here)]
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
    for what, names, whose in (
        ("missing here", pairing.missing, "the parameters that the reference is of"),
        ("not in the reference", pairing.extra, "its parameters"),
    ):
        if names:
            faults.append(f"{what}: {listed(names)}; give results of {whose}")
    if (pairing.missing or pairing.extra) and not recorded:
        faults.append(f"{reference / MANIFESTS} is not there, so the parameters that differ cannot be named")
    return faults


@dataclass(frozen=True)
class _Rows:
    """One table, in all laboratories and here."""

    table: Table
    there: list[list[Row]]
    here: list[Row]
    there_by_key: list[dict[Key, Row]]
    here_by_key: dict[Key, Row]


class _Tables:
    """All tables of the laboratories and of a reproduction; what cannot be read is noted, and the rest compared."""

    def __init__(
        self, here: Laboratory, laboratories: Sequence[Laboratory], causes: Causes, pairings: Sequence[Pairing]
    ) -> None:
        self._laboratories, self._causes = laboratories, causes
        self._same = [
            {run for run, comparison in pairing.comparisons.items() if comparison.same_outputs} for pairing in pairings
        ]
        self.faults: list[str] = []
        self._read: dict[str, _Rows] = {}
        for table in (*TABLES, CLAIMS):
            try:
                there, rows = [other.rows(table.path) for other in laboratories], here.rows(table.path)
                by_key, *others = (rows_by_key(table, lines, "") for lines in (rows, *there))
            except HocbenchError as error:
                self.faults.append(str(error))
            else:
                self._read[table.name] = _Rows(table, there, rows, others, by_key)

    @property
    def labels(self) -> set[str]:
        """What the data are; a claim without data has a label of its own."""
        rows = (row for read in self._read.values() for row in (*read.there[0], *read.here))
        return {row.get("label", "") for row in rows} & LABELS

    def cells(self) -> list[Cell]:
        read = [rows for name, rows in self._read.items() if name != CLAIMS.name]
        spreads = [Spreads(rows.table, rows.there) for rows in read]
        varying = [(rows.table, cell) for rows, spread in zip(read, spreads, strict=True) for cell in spread.varying]
        headlines = sum(is_headline(table, *cell) for table, cell in varying)
        blocks = len({(table.name, table.block(key)) for table, (key, _) in varying})
        levels = OTHERS / max(blocks, 1), HEADLINES / max(headlines, 1)
        names = [laboratory.name for laboratory in self._laboratories]
        cells: list[Cell] = []
        for rows, spread in zip(read, spreads, strict=True):
            expected = Expected(rows.table, names, rows.there_by_key, spread, self._twin(rows.table), *levels)
            compared = settle(expected, compare_rows(expected, rows.here_by_key))
            cells += check_choices(compared, rows.here) if rows.table.name == "windows" else compared
        return cells

    def _twin(self, table: Table) -> Callable[[Key], int | None]:
        def same(key: Key) -> int | None:
            keys = table.named(key)
            # A trend begins with another method: that of LASSO with the network that has none.
            runs = self._causes.runs({"dataset": keys["dataset"]} if "axis" in keys else keys)
            return next((i for i, equal in enumerate(self._same) if runs and runs.keys() <= equal), None)

        return same

    def conclusions(self) -> list[Conclusion]:
        comparisons = {CLAIMS.name: compare_verdicts, "differences": compare_differences}
        return [
            conclusion
            for name, compare in comparisons.items()
            if name in self._read
            for conclusion in compare(self._read[name].there, self._read[name].here)
        ]
