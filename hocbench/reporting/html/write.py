"""Puts the parts of a report together and writes the file."""

from pathlib import Path

import pandas as pd

from hocbench.files.write import write_text
from hocbench.reporting.html.document import document
from hocbench.reporting.html.elements import element
from hocbench.reporting.html.laboratories import TITLE, laboratories_section
from hocbench.reporting.html.material import Material, Sources, gather
from hocbench.reporting.html.provenance import data_section, manifest_section
from hocbench.reporting.html.run_list import runs_section
from hocbench.reporting.html.sections import (
    banner,
    contents,
    cost_section,
    figures_section,
    summary_section,
    tables_section,
)
from hocbench.reporting.html.verdicts import missing_section, verdicts_section


def write_report(sources: Sources, out: Path) -> Material:
    """Write the report on a profile: one file, which loads nothing from anywhere.

    The same files give the same bytes; the report holds no date of its own.

    Parameters
    ----------
    sources : Sources
        Where it takes its content from; whatever is missing there is named in the report.
    out : Path
        The HTML file.

    Returns
    -------
    Material
        What the report is made of, and what is missing.

    Raises
    ------
    ReportError
        If there is no folder of results.
    """
    found = gather(sources)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(page(found), out)
    return found


def page(found: Material) -> str:
    """Write the whole page.

    Parameters
    ----------
    found : Material
        What it shows.

    Returns
    -------
    str
        See `document`.
    """
    tables, table_entries = tables_section(found)
    figures, figure_entries = figures_section(found)
    intervals = found.tables.get("intervals.csv", pd.DataFrame())
    main = element(
        "main",
        summary_section(found),
        verdicts_section(found),
        laboratories_section(found.recorded, found.claims, intervals),
        tables,
        figures,
        cost_section(found),
        data_section(found),
        manifest_section(found),
        runs_section(found),
        missing_section(found),
    )
    entries = [
        ("summary", "Summary", ()),
        ("verdicts", "Verdicts", ()),
        ("laboratories", TITLE, ()),
        table_entries,
        figure_entries,
        ("cost", "Cost", ()),
        ("data", "Data ledger", ()),
        ("manifest", "Manifest", ()),
        ("runs", "Runs behind the tables", ()),
        ("missing", f"What is missing ({len(found.gaps)})", ()),
    ]
    about = "Factorized Higher-Order CNNs (CVPR 2020), reproduced by hocbench"
    title = f"hocbench report: {found.profile}"
    header = element("header", element("h1", title), element("p", about), banner(found))
    return document(title, header, contents(entries), main)
