"""The runs behind each cell of the tables, and where each can be looked at."""

from collections.abc import Sequence
from pathlib import Path

from hocbench.experiment.description import Description, RowKey
from hocbench.reporting.html.elements import Html, details, element, html, prose, section
from hocbench.reporting.html.material import Material
from hocbench.reporting.html.runs import FINISHED, RunRecord

LOCAL = "http://127.0.0.1:5000"  # where `make mlflow` serves a store that is a file


def runs_section(found: Material) -> Html:
    """Write the runs behind each row of the tables, and where each can be looked at."""
    if not found.runs:
        return section("runs", "Runs behind the tables", element("p", "No run is known."))
    note = [
        "All cells of a row of a table come from the same runs; the names of methods in the tables lead here. "
        "Seconds and memory of a job are those that the workflow measured, in the folder benchmark beside the logs.",
        *_mlflow_note(found),
    ]
    placed = {name for names in found.rows.runs.values() for name in names}
    parts = []
    for dataset in found.in_order({run.dataset for run in found.runs.values()}):
        rows: list[tuple[RowKey | None, list[str]]] = [
            (row, names) for row, names in found.rows.runs.items() if row.dataset == dataset
        ]
        left = [run.name for run in found.runs.values() if run.dataset == dataset and run.name not in placed]
        if left:
            rows.append((None, left))
        parts.append(_runs_of(dataset, rows, found))
    return section("runs", "Runs behind the tables", *(element("p", prose(text)) for text in note), *parts)


def _mlflow_note(found: Material) -> list[str]:
    links = [run.link for run in found.runs.values() if run.link]
    if not links:
        return ["No run is known to MLflow."]
    remote = sorted({link.address for link in links if link.address})
    if remote:
        return [f"MLflow: the runs are on {', '.join(remote)}."]
    return [f"MLflow: the links open while `make mlflow` serves its pages at {LOCAL}."]


def _runs_of(dataset: str, rows: Sequence[tuple[RowKey | None, list[str]]], found: Material) -> Html:
    several = any(row and row.ablation for row, _ in rows)
    header = ["run", "state", "seed", "fold", "log", "MLflow", "starts from", "device", "job"]
    bodies = []
    for row, names in rows:
        title: Html | str = "In no table" if row is None else _row_name(row, several, found.description)
        anchor = None if row is None else found.rows.anchors[row]
        head = element("tr", element("th", title, scope="rowgroup", colspan=len(header)), id=anchor)
        lines = [_run_line(found.runs[name]) for name in names]
        bodies.append(element("tbody", head, *lines))
    for row, origin in found.rows.same.items():
        if row.dataset == dataset:
            link = element("a", "the runs whose outputs it averages", href=f"#{found.rows.anchors[origin]}")
            title = html(_row_name(row, several, found.description), ": ", link)
            head = element("tr", element("th", title, scope="rowgroup", colspan=len(header)))
            bodies.append(element("tbody", head, id=found.rows.anchors[row]))
    head = element("thead", element("tr", *(element("th", name, scope="col") for name in header)))
    name, count = found.name_of(dataset), len({name for _, names in rows for name in names})
    whole = element("table", head, *bodies, class_="runs")
    box = element("div", whole, class_="scroll", role="region", aria_label=f"Runs of {name}", tabindex=0)
    return details(f"{name}: {count} runs", box)


def _row_name(row: RowKey, several: bool, description: Description) -> str:
    parts = [description.title(row), f"rank {row.rank}" if row.rank else ""]
    parts.append(f"LASSO {row.lasso:g}" if row.lasso else "")
    if several:
        parts.append(row.ablation or "default network")
    return ", ".join(filter(None, parts))


def _run_line(run: RunRecord) -> Html:
    key = run.manifest.get("spec", {}).get("key", {})
    parent = (run.manifest.get("inputs") or {}).get("parent")
    device = f"{run.manifest.get('device', '-')}, {run.manifest.get('threads', '-')} thread(s)"
    job = "-" if run.job is None else f"{run.job[0]:,.0f} s, {run.job[1]:,.0f} MiB"
    cells: list[str] = [
        run.state if run.state == FINISHED else element("strong", run.state),
        str(key.get("seed", "-")),
        str(key.get("fold", "-")),
        _place(run.log),
        _mlflow(run),
        element("code", str(parent)) if parent else "-",
        device if run.state == FINISHED else "-",
        job,
    ]
    return element("tr", element("th", element("code", run.id), scope="row"), *(element("td", cell) for cell in cells))


def _place(path: Path) -> Html:
    """Write a path; what is not there is said to be absent."""
    return element("code", path.as_posix()) if path.is_file() else html(element("code", path.as_posix()), " (absent)")


def _mlflow(run: RunRecord) -> str:
    if run.link is not None:
        address = (run.link.address or LOCAL) + run.link.page
        shown = element("a", run.link.page.removeprefix("/"), href=address, rel="noopener noreferrer")
        return html(shown, prose(" (not all delivered; run `hocbench mlflow sync`)")) if run.waiting else shown
    return prose("not delivered yet; run `hocbench mlflow sync`") if run.waiting else "not tracked"
