"""Gathers what a report is made of, and notes precisely what is not there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench import paths
from hocbench.errors import HocbenchError, ReportError
from hocbench.evaluation.files import SEAL, read_table
from hocbench.experiment.description import KEY_COLUMNS, META, Description, read_description
from hocbench.files.checksums import check_beside
from hocbench.reporting.html.drawings import Drawing, read_drawing
from hocbench.reporting.html.laboratories import Recorded, read_recorded
from hocbench.reporting.html.ledger import Ledger, read_ledger
from hocbench.reporting.html.runs import FINISHED, UNKNOWN, Rows, RunRecord, read_run_record, rows_of, run_names
from hocbench.reporting.margins import MARGINS_NEED
from hocbench.reporting.pages import Page, read_page
from hocbench.reporting.text import dataset_title

# Tables of the claims: what is to say if one is absent, and the columns that it has to have.
CLAIM_TABLES = {
    "claims": ("no verdict on the claims yet", {"claim", "verdict"}),
    "evidence": ("no evidence beside the verdicts", {"claim"}),
    "margins": ("nothing on what the verdicts hang on", MARGINS_NEED),
}


@dataclass(frozen=True)
class Sources:
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
class Material:
    """What a report is made of.

    Attributes
    ----------
    profile : str
        Name of the profile.
    description : Description
        Datasets and methods; those of hocbench itself without an evaluation.
    tables : dict
        Name of a file of the evaluation → table, only those that could be read.
    claims, evidence, margins : DataFrame
        All columns as text; empty if nobody has judged the claims yet.
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
    rows : Rows
        Rows of the tables with their runs.
    recorded : Recorded
        Other laboratories.
    gaps : list of Gap
        What is missing.
    """

    profile: str
    description: Description = UNKNOWN
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    claims: pd.DataFrame = field(default_factory=pd.DataFrame)
    evidence: pd.DataFrame = field(default_factory=pd.DataFrame)
    margins: pd.DataFrame = field(default_factory=pd.DataFrame)
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
        return [run.manifest for run in self.runs.values() if run.state == FINISHED]

    @property
    def labels(self) -> dict[str, set[str]]:
        """Dataset → "synthetic" or "real", as its runs, its tables and its files say."""
        found: dict[str, set[str]] = {}
        for manifest in self.manifests:
            found.setdefault(str(manifest["spec"]["key"].get("dataset")), set()).add(str(manifest.get("label")))
        for name in ("costs.csv", "intervals.csv"):
            table = self.tables.get(name, pd.DataFrame())
            if {"dataset", "label"} <= set(table.columns):
                for dataset, label in table[["dataset", "label"]].drop_duplicates().itertuples(index=False):
                    found.setdefault(str(dataset), set()).add(str(label))
        for ledger in self.ledgers:
            if ledger.label:
                found.setdefault(ledger.dataset, set()).add(ledger.label)
        return {name: found[name] for name in self.in_order(found)}

    def name_of(self, dataset: str) -> str:
        """Return the name of a dataset as one reads it, "" where none is needed."""
        return dataset_title(dataset, self.description) if dataset else ""

    def in_order(self, datasets: Iterable[str]) -> list[str]:
        """Sort names of datasets as everywhere, unknown ones last."""
        order = list(self.description.datasets)
        return sorted(datasets, key=lambda name: (order.index(name) if name in order else len(order), name))


def gather(sources: Sources) -> Material:
    """Read what there is about a profile.

    Parameters
    ----------
    sources : Sources
        Folders; only the results have to be there, and nothing in them.

    Returns
    -------
    Material
        With a gap for everything that is absent or damaged.

    Raises
    ------
    ReportError
        If there is no folder of results.
    """
    if not sources.results.is_dir():
        raise ReportError(f"no folder of results at {sources.results}; give results/PROFILE of a reproduction")
    found = Material(sources.results.resolve().name)
    _read_evaluation(sources.results / "evaluation", found)
    _read_claims(sources.results / "claims", found)
    _read_pages(sources.results / "tables", found)
    _read_drawings(sources.results / "figures", found)
    _read_speed(sources.results / "speed", found)
    _read_runs(sources, found)
    datasets = {name.partition("/")[0] for name in found.runs}
    if sources.prepared.is_dir():
        datasets |= {path.name for path in sources.prepared.iterdir() if path.is_dir()}
    for dataset in found.in_order(datasets):
        ledger = read_ledger(sources.prepared / dataset, dataset)
        found.ledgers.append(ledger)
        found.gaps += [Gap(f"Data of {dataset}", problem) for problem in ledger.problems]
    found.recorded = read_recorded(sources.reference, found.manifests)
    if found.recorded.fault:
        found.gaps.append(Gap("Laboratories", found.recorded.fault))
    return found


def _read_evaluation(folder: Path, found: Material) -> None:
    if not folder.is_dir():
        found.gaps.append(Gap("Evaluation", f"no folder {folder}; run `hocbench evaluate`"))
        return
    absent = tuple(name for name in paths.EVALUATION_FILES if not (folder / name).is_file())
    if absent:
        found.gaps.append(Gap("Evaluation", f"files absent from {folder}", absent))
    if (folder / META).is_file():
        try:
            found.description = read_description(folder)
        except HocbenchError as error:
            found.gaps.append(Gap("Evaluation", str(error)))
    for path in sorted(folder.glob("*.csv")):
        try:
            found.tables[path.name] = read_table(path)
        except (HocbenchError, ValueError, OSError) as error:
            found.gaps.append(Gap("Evaluation", f"{path} cannot be read: {error}"))
    for path in sorted(folder.glob("*.parquet")):
        try:
            check_beside(path, SEAL)
        except HocbenchError as error:
            found.gaps.append(Gap("Evaluation", str(error)))


def _read_claims(folder: Path, found: Material) -> None:
    for name, (what, needed) in CLAIM_TABLES.items():
        path = folder / f"{name}.csv"
        if not path.is_file():
            found.gaps.append(Gap("Verdicts", f"{what}: {path} is absent; run `hocbench claims`"))
            continue
        try:
            check_beside(path, "claims.json")
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
        except (HocbenchError, ValueError, OSError) as error:
            found.gaps.append(Gap("Verdicts", f"{path} cannot be read: {error}"))
            continue
        lacking = needed - set(table.columns)
        if lacking:
            found.gaps.append(Gap("Verdicts", f"{path} has no column {', '.join(sorted(lacking))}"))
        else:
            setattr(found, name, table)
    if len(found.claims) and len(found.evidence):
        unknown = set(found.evidence["claim"]) - set(found.claims["claim"])
        for claim in sorted(unknown):
            found.gaps.append(Gap("Verdicts", f"there is evidence about claim {claim}, but no verdict on it"))


def _read_pages(folder: Path, found: Material) -> None:
    known = paths.all_tables(found.description.datasets.values())
    for name in [*known, *sorted({path.stem for path in folder.glob("*.json")} - set(known))]:
        try:
            found.pages[name] = read_page(folder / f"{name}.json")
        except HocbenchError as error:
            found.gaps.append(Gap(f"Table {name}", str(error)))


def _read_drawings(folder: Path, found: Material) -> None:
    names = [*paths.FIGURES, *sorted({path.stem for path in folder.glob("*.png")} - set(paths.FIGURES))]
    for name in names:
        drawing, problems = read_drawing(folder / f"{name}.png")
        found.gaps += [Gap(f"Figure {name}", problem) for problem in problems]
        if drawing:
            found.drawings.append(drawing)


def _read_speed(folder: Path, found: Material) -> None:
    page = folder / "speed.json"
    if not page.is_file():
        return
    try:
        found.speed_page = read_page(page)
    except HocbenchError as error:
        found.gaps.append(Gap("Speed", str(error)))
    # It has no caption; the page says what was measured.
    found.speed_drawing, problems = read_drawing(folder / "speed.png")
    if found.speed_drawing is None:
        found.gaps += [Gap("Speed", problem) for problem in problems]


def _read_runs(sources: Sources, found: Material) -> None:
    columns = set(KEY_COLUMNS)
    costs, intervals = (found.tables.get(name, pd.DataFrame()) for name in ("costs.csv", "intervals.csv"))
    whole = (columns | {"run"}) <= set(costs.columns)
    evaluated = [f"{d}/{r}" for d, r in zip(costs["dataset"], costs["run"], strict=True)] if whole else []
    if whole:
        empty = pd.DataFrame(columns=[*columns])
        found.rows = rows_of(costs, intervals if columns <= set(intervals.columns) else empty, found.description)
    for name in run_names(sources.results, sources.logs, sources.planned, evaluated):
        found.runs[name] = read_run_record(name, sources.results, sources.logs, sources.tracking)
    _note_runs(sources, found, evaluated)


def _note_runs(sources: Sources, found: Material, evaluated: Sequence[str]) -> None:
    runs = found.runs.values()
    profiles = sorted({str(manifest["spec"].get("profile")) for manifest in found.manifests})
    if len(profiles) == 1:
        (found.profile,) = profiles
    elif profiles:
        found.gaps.append(Gap("Runs", f"they are of several profiles: {', '.join(profiles)}"))
    for state in sorted({run.state for run in runs} - {FINISHED}):
        named = tuple(f"{run.name}: {run.note}" for run in runs if run.state == state)
        found.gaps.append(Gap("Runs", f"{len(named)} of {len(runs)} {state}", named))
    if evaluated:
        unscored = tuple(run.name for run in runs if run.state == FINISHED and run.name not in evaluated)
        if unscored:
            found.gaps.append(Gap("Evaluation", "finished runs that are not in it; run `hocbench evaluate`", unscored))
        others = tuple(sorted(set(evaluated) - set(sources.planned))) if sources.planned else ()
        if others:
            found.gaps.append(Gap("Evaluation", "runs in it that the parameters no longer ask for", others))
    elif not runs:
        found.gaps.append(Gap("Runs", f"none in {sources.results / 'runs'}, and no log of one in {sources.logs}"))
    untracked = [run for run in runs if run.state == FINISHED and run.link is None]
    if untracked:
        found.gaps.append(Gap("MLflow", f"{len(untracked)} of {len(runs)} runs are not tracked; nothing depends on it"))
