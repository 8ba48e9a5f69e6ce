"""Fills in the report and writes the file."""

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from hocbench.files.write import write_text
from hocbench.reporting.html.inputs import Inputs, ReportData, gather
from hocbench.reporting.html.laboratories import laboratory_page
from hocbench.reporting.html.provenance import CROPS_HEADER, crop_rows, manifest_rows, parameter_table
from hocbench.reporting.html.render import TEMPLATES, render
from hocbench.reporting.html.run_list import mlflow_note, run_groups
from hocbench.reporting.html.verdicts import judged_claims, shown_margins
from hocbench.reporting.margins import MARGIN_HEADER, MARGIN_NOTE, SINCE_NOTE
from hocbench.reporting.markdown import STATUS_NOTE

COST = "cost"  # table with a section of its own


def write_report(inputs: Inputs, out: Path) -> ReportData:
    """Write the report on a profile: one file, which loads nothing from anywhere.

    The same files give the same bytes; the report holds no date of its own.

    Parameters
    ----------
    inputs : Inputs
        Where it takes its content from; whatever is missing there is named in the report.
    out : Path
        The HTML file.

    Returns
    -------
    ReportData
        What the report is made of, and what is missing.

    Raises
    ------
    ReportError
        If there is no folder of results.
    """
    data = gather(inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(page(data), out)
    return data


def page(data: ReportData) -> str:
    """Write the whole page, whose policy lets a browser load nothing, run no script and use no style but its own."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return render(
        "report.html",
        data=data,
        style=Markup(style),
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        summary=_summary(data),
        claims=judged_claims(data),
        margins=shown_margins(data),
        margin_header=MARGIN_HEADER,
        margin_note=MARGIN_NOTE,
        since_note=SINCE_NOTE,
        status_note=STATUS_NOTE,
        laboratories=laboratory_page(data.recorded, data.claims, data.tables.get("intervals.csv", pd.DataFrame())),
        tables=[page for name, page in data.pages.items() if name != COST],
        crops_header=CROPS_HEADER,
        crops=crop_rows(data),
        manifest=manifest_rows(data),
        parameters=parameter_table(data),
        mlflow_note=mlflow_note(data),
        groups=run_groups(data),
    )


def _summary(data: ReportData) -> list[tuple[str, str]]:
    """List what the report is about, in a few lines."""
    data_seeds: dict[str, set[str]] = {}
    specs = [manifest["spec"] for manifest in data.manifests]
    for spec in specs:
        synthetic = (spec.get("data") or {}).get("synthetic") or {}
        if "seed" in synthetic:
            data_seeds.setdefault(str(spec["key"].get("dataset")), set()).add(str(synthetic["seed"]))
    seeds, folds = ({str(spec["key"].get(name)) for spec in specs} for name in ("seed", "fold"))
    costs = data.tables.get("costs.csv", pd.DataFrame(columns=["seed", "fold"]))
    seeds, folds = seeds | {*costs["seed"].astype(str)}, folds | {*costs["fold"].astype(str)}
    drawn = "; ".join(f"{data.name_of(name)} {_listed(data_seeds[name])}" for name in data.in_order(data_seeds))
    known = data.description
    ranks = f"{', '.join(known.ranks)}; verdicts, and scores without a rank of their own, are of rank {known.rank}"
    return [
        ("Profile", data.profile),
        ("Runs", f"{len(data.manifests)} finished of {len(data.runs)}"),
        ("Datasets", ", ".join(map(data.name_of, data.labels)) or "none"),
        *([("Ranks", ranks)] if len(known.ranks) > 1 else []),
        ("Data seeds", drawn or "not known"),
        ("Training seeds", _listed(seeds) or "not known"),
        ("Folds", _listed(folds) or "not known"),
    ]


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(values, key=lambda text: (len(text), text)))
