"""The runs behind each row of the tables."""

from dataclasses import dataclass
from functools import partial

from hocbench.reporting.html.inputs import ReportData
from hocbench.reporting.html.runs import LOCAL, RunRecord
from hocbench.reporting.text import row_name


@dataclass(frozen=True)
class RowRuns:
    """A row of the tables: its name, the id of its place, its runs, or the place of those whose outputs it averages."""

    title: str
    anchor: str
    runs: list[RunRecord]
    origin: str = ""


@dataclass(frozen=True)
class Group:
    """The rows of one dataset, and the number of its runs."""

    title: str
    count: int
    rows: list[RowRuns]


def run_groups(data: ReportData) -> list[Group]:
    """List the runs of each dataset by the rows of the tables, those of no table last."""
    table, groups = data.rows, []
    placed = {run for runs in table.runs.values() for run in runs}
    name = partial(row_name, description=data.description, several_ranks=True)
    for dataset in data.in_order({run.dataset for run in data.runs.values()}):
        rows = [
            RowRuns(name(row), table.anchors[row], [data.runs[run] for run in runs])
            for row, runs in table.runs.items()
            if row.dataset == dataset
        ]
        left = [run for run in data.runs.values() if run.dataset == dataset and run.name not in placed]
        rows += [RowRuns("In no table", "", left)] if left else []
        count = len({run.id for row in rows for run in row.runs})
        rows += [
            RowRuns(name(row), table.anchors[row], [], table.anchors[origin])
            for row, origin in table.same.items()
            if row.dataset == dataset
        ]
        groups.append(Group(data.name_of(dataset), count, rows))
    return groups


def mlflow_note(data: ReportData) -> str:
    """Write where the runs are to be found in MLflow."""
    links = [run.link for run in data.runs.values() if run.link]
    if not links:
        return "No run is known to MLflow."
    remote = sorted({link.address for link in links if link.address})
    if remote:
        return f"MLflow: the runs are on {', '.join(remote)}."
    return f"MLflow: the links open while `make mlflow` serves its pages at {LOCAL}."
