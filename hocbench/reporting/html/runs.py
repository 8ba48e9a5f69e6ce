"""What is known about each run: its directory, its log, its place in MLflow, and the rows of tables that it is in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.errors import HocbenchError
from hocbench.experiment.description import KEY_COLUMNS, Description, RowKey
from hocbench.experiment.methods import METHODS
from hocbench.experiment.records import BUILT_IN
from hocbench.paths import RUN_FILES
from hocbench.reporting.markdown import records
from hocbench.runs.manifest import is_finished, manifest_values
from hocbench.tracking.links import Link, read_link
from hocbench.tracking.outbox import FOLDER as OUTBOX

FINISHED, UNFINISHED, ABSENT, DAMAGED = "finished", "not finished", "absent", "damaged"
LONGEST_LINE = 300
LOCAL = "http://127.0.0.1:5000"  # where `make mlflow` serves a store that is a file
# What is known of an experiment without an evaluation.
UNKNOWN = Description("", 0, "", "", (), {}, BUILT_IN, METHODS, ())


@dataclass(frozen=True)
class RunRecord:
    """One run: whether it is finished, why not, and what is there of it.

    Attributes
    ----------
    dataset, id : str
        Where it belongs, and its run id.
    state, note : str
        `FINISHED`, `UNFINISHED`, `ABSENT` or `DAMAGED`; why, if it is not finished.
    manifest : dict
        Of a finished run, otherwise empty.
    log : Path
        Where it is, or would be.
    job : (float, float) or None
        Seconds and MiB of its job.
    link : Link or None
        Its place in MLflow.
    waiting : bool
        Whether something is kept for MLflow that was not delivered.
    """

    dataset: str
    id: str
    state: str
    note: str
    manifest: dict[str, Any]
    log: Path
    job: tuple[float, float] | None
    link: Link | None
    waiting: bool

    @property
    def name(self) -> str:
        """Dataset and run id."""
        return f"{self.dataset}/{self.id}"

    @property
    def finished(self) -> bool:
        """Whether it is."""
        return self.state == FINISHED

    @property
    def key(self) -> dict[str, Any]:
        """Its key, of a finished run."""
        return self.manifest["spec"]["key"] if self.finished else {}

    @property
    def parent(self) -> str:
        """Name of the run that it starts from, "" for none."""
        return str((self.manifest.get("inputs") or {}).get("parent") or "")

    @property
    def address(self) -> str:
        """Its page in MLflow, "" without one."""
        return (self.link.address or LOCAL) + self.link.page if self.link else ""


@dataclass(frozen=True)
class Rows:
    """The rows of the tables.

    Attributes
    ----------
    runs : dict
        Row → names of its runs.
    same : dict
        Row of smoothed outputs → row whose runs gave them.
    anchors : dict
        Row → id of the place that lists its runs.
    """

    runs: dict[RowKey, list[str]] = field(default_factory=dict)
    same: dict[RowKey, RowKey] = field(default_factory=dict)
    anchors: dict[RowKey, str] = field(default_factory=dict)


def rows_of(costs: pd.DataFrame, intervals: pd.DataFrame, description: Description) -> Rows:
    """Find the runs behind each row of the tables, in the order of the tables' files.

    Parameters
    ----------
    costs, intervals : DataFrame
        ``costs.csv``, a row per run, and ``intervals.csv``, which also has the rows of smoothed outputs; may be empty.
    description : Description
        Datasets and methods.
    """
    rows = Rows()
    for record in records(costs):
        rows.runs.setdefault(RowKey.read(record), []).append(f"{record['dataset']}/{record['run']}")
    for record in records(intervals[[*KEY_COLUMNS]].drop_duplicates()):
        row = RowKey.read(record)
        method = description.methods.get(row.method)
        averaged = replace(row, method=method.averages if method else "")
        if averaged in rows.runs:
            rows.same[row] = averaged
    # Those of no table are never linked to; a number each keeps names from data out of the ids.
    rows.anchors.update((row, f"row-{place}") for place, row in enumerate([*rows.runs, *rows.same], 1))
    return rows


def run_names(results: Path, logs: Path, planned: Sequence[str], evaluated: Sequence[str]) -> list[str]:
    """Name all runs that belong to a profile.

    Without a plan these are all that left a directory or a log; with one, what else lies there is of other parameters.
    """
    left = [f"{path.parent.name}/{path.name}" for path in (results / "runs").glob("*/*") if path.is_dir()]
    left += [f"{path.parent.name}/{path.stem}" for path in (logs / "fit").glob("*/*.log")]
    return sorted({*planned, *evaluated, *([] if planned else left)})


def read_run_record(name: str, results: Path, logs: Path, tracking: Path) -> RunRecord:
    """Gather what is there about a run, `name` being its dataset and id; the folders are those of `Inputs`."""
    dataset, _, run = name.partition("/")
    directory, log = results / "runs" / dataset / run, logs / "fit" / dataset / f"{run}.log"
    state, note, manifest = _state(directory, log)
    job = _job(logs / "benchmark" / "fit" / dataset / f"{run}.tsv")
    waiting = (tracking / OUTBOX / f"{dataset}.{run}.jsonl").is_file()
    return RunRecord(dataset, run, state, note, manifest, log, job, read_link(tracking, name), waiting)


def _state(directory: Path, log: Path) -> tuple[str, str, dict[str, Any]]:
    if not is_finished(directory):
        last = _last_line(log)
        if not directory.is_dir() and last is None:
            return ABSENT, "no directory and no log", {}
        where = "its directory has no manifest.json" if directory.is_dir() else "it has no directory"
        return UNFINISHED, where + (f"; its log ends: {last}" if last else "; it has no log"), {}
    lacking = [name for name in RUN_FILES if not (directory / name).is_file()]
    if lacking:
        return DAMAGED, f"its directory lacks {', '.join(lacking)}; delete it and fit again", {}
    try:
        with manifest_values(directory) as manifest:
            manifest["spec"]["key"].items()
    except HocbenchError as error:
        return DAMAGED, str(error), {}
    return FINISHED, "", manifest


def _last_line(log: Path) -> str | None:
    try:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return None
    return lines[-1].strip()[:LONGEST_LINE] if lines else "(it is empty)"


def _job(benchmark: Path) -> tuple[float, float] | None:
    """Seconds and MiB that Snakemake measured."""
    try:
        table = pd.read_csv(benchmark, sep="\t")
        return float(table["s"].iloc[-1]), float(table["max_rss"].iloc[-1])
    except (OSError, ValueError, KeyError, IndexError):
        return None


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object without a seal, or return None."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
