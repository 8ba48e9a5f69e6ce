"""Gathers what a report is made of, and notes precisely what is not there."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench import paths
from hocbench.claims.evidence import EVIDENCE_COLUMNS
from hocbench.claims.margins import MARGIN_COLUMNS
from hocbench.claims.verdicts import CLAIM_COLUMNS
from hocbench.errors import HocbenchError, ReportError
from hocbench.evaluation.files import SEAL, read_table
from hocbench.experiment.description import KEY_COLUMNS, META, Description, read_description
from hocbench.files.checksums import check_beside
from hocbench.reporting.html.drawings import Drawing, read_drawing
from hocbench.reporting.html.laboratories import Recorded, read_recorded
from hocbench.reporting.html.ledger import Ledger, read_ledger
from hocbench.reporting.html.runs import FINISHED, UNKNOWN, Rows, RunRecord, read_run_record, rows_of, run_names
from hocbench.reporting.markdown import records
from hocbench.reporting.pages import Page, read_page
from hocbench.reporting.text import SYMBOLS, dataset_title

# Tables of the claims: what is said if one is absent, and the columns that it has to have.
CLAIM_TABLES = {
    "claims": ("no verdict on the claims yet", {*CLAIM_COLUMNS, "by_seed"}),
    "evidence": ("no evidence beside the verdicts", {*EVIDENCE_COLUMNS}),
    "margins": ("nothing on what the verdicts hang on", {*MARGIN_COLUMNS}),
}
NUMBERS = ("value", "low", "high", "p_holm", "tolerance_low", "tolerance_high", "published", "lasso", "n_seeds")


@dataclass(frozen=True)
class Inputs:
    """Where a report takes its content from.

    Attributes
    ----------
    results, prepared, logs, tracking : Path
        Folders of a profile's results, of its datasets, of its logs, and of our own files about MLflow.
    planned : sequence of str
        Dataset and run id of all runs that the parameters ask for; empty if nobody knows.
    reference : Path or None
        Folder of recorded laboratories; it need not be there, or be of the same parameters.
    """

    results: Path
    prepared: Path
    logs: Path
    tracking: Path
    planned: Sequence[str] = ()
    reference: Path | None = None


@dataclass(frozen=True)
class Gap:
    """Something that is missing: what, why or what to do, and where there are many, their names."""

    what: str
    why: str
    items: tuple[str, ...] = ()


@dataclass
class ReportData:
    """What a report is made of; without an evaluation, datasets and methods are those of hocbench itself.

    Attributes
    ----------
    profile : str
        Name of the profile.
    description : Description
        Datasets and methods.
    tables : dict
        Name of a file of the evaluation → table, only those that could be read.
    claims, evidence, margins : DataFrame
        Empty if nobody has judged the claims yet.
    pages : dict
        Name of a table → its page.
    drawings : list of Drawing
        The figures.
    speed_page, speed_drawing : Page, Drawing or None
        Of the speed benchmark, which is no part of a reproduction.
    ledgers : list of Ledger
        One per dataset.
    runs : dict
        Dataset and run id → what is known about the run.
    rows, recorded : Rows, Recorded
        Rows of the tables with their runs; other laboratories.
    gaps : list of Gap
        What is missing.
    """

    profile: str
    description: Description = UNKNOWN
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    claims: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=[*CLAIM_COLUMNS, "by_seed"]))
    evidence: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=EVIDENCE_COLUMNS))
    margins: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=MARGIN_COLUMNS))
    pages: dict[str, Page] = field(default_factory=dict)
    drawings: list[Drawing] = field(default_factory=list)
    speed_page: Page | None = None
    speed_drawing: Drawing | None = None
    ledgers: list[Ledger] = field(default_factory=list)
    runs: dict[str, RunRecord] = field(default_factory=dict)
    rows: Rows = field(default_factory=Rows)
    recorded: Recorded = field(default_factory=Recorded)
    gaps: list[Gap] = field(default_factory=list)

    @property
    def manifests(self) -> list[dict[str, Any]]:
        """Those of the finished runs."""
        return [run.manifest for run in self.runs.values() if run.finished]

    @property
    def labels(self) -> dict[str, set[str]]:
        """Dataset → "synthetic" or "real", as its runs, its tables and its files say."""
        labels: dict[str, set[str]] = {}
        for manifest in self.manifests:
            labels.setdefault(str(manifest["spec"]["key"].get("dataset")), set()).add(str(manifest.get("label")))
        for name in ("costs.csv", "intervals.csv"):
            for row in records(self.tables.get(name, pd.DataFrame())):
                labels.setdefault(row["dataset"], set()).update({row["label"]} if "label" in row else ())
        for ledger in self.ledgers:
            if ledger.label:
                labels.setdefault(ledger.dataset, set()).add(ledger.label)
        return {name: labels[name] for name in self.in_order(labels)}

    @property
    def verdict_counts(self) -> dict[str, int]:
        """Number of claims by verdict, in the order of the verdicts."""
        verdicts = list(self.claims["verdict"])
        return {
            name: verdicts.count(name) for name in [*SYMBOLS, *sorted({*verdicts} - {*SYMBOLS})] if name in verdicts
        }

    def note(self, what: str, why: str, items: Iterable[str] = ()) -> None:
        """Note that something is missing; see `Gap`."""
        self.gaps.append(Gap(what, why, tuple(items)))

    @contextmanager
    def noting(self, what: str, lead: str = "") -> Iterator[None]:
        """Note what cannot be read inside the block."""
        try:
            yield
        except (HocbenchError, OSError, ValueError) as error:
            self.note(what, f"{lead}{error}")

    def labelled(self, label: str) -> list[str]:
        """Return the titles of the datasets that are "synthetic" or "real"."""
        return [self.name_of(name) for name, labels in self.labels.items() if label in labels]

    def name_of(self, dataset: str) -> str:
        """Return the name of a dataset as one reads it, "" where none is needed."""
        return dataset_title(dataset, self.description) if dataset else ""

    def in_order(self, datasets: Iterable[str]) -> list[str]:
        """Sort names of datasets as everywhere, unknown ones last."""
        order = list(self.description.datasets)
        return sorted(datasets, key=lambda name: (order.index(name) if name in order else len(order), name))


def gather(inputs: Inputs) -> ReportData:
    """Read what there is about a profile.

    Parameters
    ----------
    inputs : Inputs
        Folders; only the results have to be there, and nothing in them.

    Returns
    -------
    ReportData
        With a gap for everything that is absent or damaged.

    Raises
    ------
    ReportError
        If there is no folder of results.
    """
    if not inputs.results.is_dir():
        raise ReportError(f"no folder of results at {inputs.results}; give results/PROFILE of a reproduction")
    data = ReportData(inputs.results.resolve().name)
    _read_evaluation(inputs.results / "evaluation", data)
    _read_claims(inputs.results / "claims", data)
    _read_pages(inputs.results / "tables", data)
    _read_drawings(inputs.results / "figures", data)
    _read_speed(inputs.results / "speed", data)
    _read_runs(inputs, data)
    datasets = {name.partition("/")[0] for name in data.runs}
    if inputs.prepared.is_dir():
        datasets |= {path.name for path in inputs.prepared.iterdir() if path.is_dir()}
    for dataset in data.in_order(datasets):
        ledger = read_ledger(inputs.prepared / dataset, dataset)
        data.ledgers.append(ledger)
        for problem in ledger.problems:
            data.note(f"Data of {dataset}", problem)
    data.recorded = read_recorded(inputs.reference, data.manifests)
    if data.recorded.fault:
        data.note("Laboratories", data.recorded.fault)
    return data


def _read_evaluation(folder: Path, data: ReportData) -> None:
    if not folder.is_dir():
        data.note("Evaluation", f"no folder {folder}; run `hocbench evaluate`")
        return
    absent = [name for name in paths.EVALUATION_FILES if not (folder / name).is_file()]
    if absent:
        data.note("Evaluation", f"files absent from {folder}", absent)
    if META not in absent:
        with data.noting("Evaluation"):
            data.description = read_description(folder)
    for path in sorted(folder.glob("*.csv")):
        with data.noting("Evaluation", f"{path} cannot be read: "):
            data.tables[path.name] = read_table(path)
    for path in sorted(folder.glob("*.parquet")):
        with data.noting("Evaluation"):
            check_beside(path, SEAL)


def _read_claims(folder: Path, data: ReportData) -> None:
    for name, (absence, needed) in CLAIM_TABLES.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            data.note("Verdicts", f"{absence}: {path} is absent; run `hocbench claims`")
            continue
        with data.noting("Verdicts", f"{path} cannot be read: "):
            check_beside(path, "claims.json")
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            numbers = [column for column in NUMBERS if column in table]
            table[numbers] = table[numbers].apply(pd.to_numeric)
            lacking = needed - set(table.columns)
            if lacking:
                data.note("Verdicts", f"{path} has no column {', '.join(sorted(lacking))}")
            else:
                setattr(data, name, table)
    if len(data.claims):
        for claim in sorted(set(data.evidence["claim"]) - set(data.claims["claim"])):
            data.note("Verdicts", f"there is evidence about claim {claim}, but no verdict on it")


def _read_pages(folder: Path, data: ReportData) -> None:
    known = paths.all_tables(data.description.datasets.values())
    for name in [*known, *sorted({path.stem for path in folder.glob("*.json")} - set(known))]:
        with data.noting(f"Table {name}"):
            data.pages[name] = read_page(folder / f"{name}.json")


def _read_drawings(folder: Path, data: ReportData) -> None:
    for name in [*paths.FIGURES, *sorted({path.stem for path in folder.glob("*.png")} - set(paths.FIGURES))]:
        drawing, problems = read_drawing(folder / f"{name}.png")
        for problem in problems:
            data.note(f"Figure {name}", problem)
        data.drawings += [drawing] if drawing else []


def _read_speed(folder: Path, data: ReportData) -> None:
    if not (folder / "speed.json").is_file():
        return
    with data.noting("Speed"):
        data.speed_page = read_page(folder / "speed.json")
    # It has no caption; the page says what was measured.
    data.speed_drawing, problems = read_drawing(folder / "speed.png")
    if data.speed_drawing is None:
        data.note("Speed", "; ".join(problems))


def _read_runs(inputs: Inputs, data: ReportData) -> None:
    costs = data.tables.get("costs.csv", pd.DataFrame(columns=[*KEY_COLUMNS, "run"]))
    intervals = data.tables.get("intervals.csv", pd.DataFrame(columns=[*KEY_COLUMNS]))
    data.rows = rows_of(costs, intervals, data.description)
    evaluated = [name for names in data.rows.runs.values() for name in names]
    for name in run_names(inputs.results, inputs.logs, inputs.planned, evaluated):
        data.runs[name] = read_run_record(name, inputs.results, inputs.logs, inputs.tracking)
    runs, finished = data.runs.values(), [run for run in data.runs.values() if run.finished]
    profiles = sorted({str(manifest["spec"].get("profile")) for manifest in data.manifests})
    if len(profiles) == 1:
        (data.profile,) = profiles
    elif profiles:
        data.note("Runs", f"they are of several profiles: {', '.join(profiles)}")
    for state in sorted({run.state for run in runs} - {FINISHED}):
        named = [f"{run.name}: {run.note}" for run in runs if run.state == state]
        data.note("Runs", f"{len(named)} of {len(runs)} {state}", named)
    if evaluated:
        unscored = [run.name for run in finished if run.name not in evaluated]
        if unscored:
            data.note("Evaluation", "finished runs that are not in it; run `hocbench evaluate`", unscored)
        others = sorted(set(evaluated) - set(inputs.planned)) if inputs.planned else []
        if others:
            data.note("Evaluation", "runs in it that the parameters no longer ask for", others)
    elif not runs:
        data.note("Runs", f"none in {inputs.results / 'runs'}, and no log of one in {inputs.logs}")
    untracked = sum(run.link is None for run in finished)
    if untracked:
        data.note("MLflow", f"{untracked} of {len(runs)} runs are not tracked; nothing depends on it")
