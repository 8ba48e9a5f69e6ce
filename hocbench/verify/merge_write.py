"""Merged laboratories as files: tables, and one page of them for people."""

from pathlib import Path

from hocbench.errors import VerifyError
from hocbench.evaluation.files import write_csv
from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.staging import staged
from hocbench.files.write import write_text
from hocbench.reporting.html.document import document
from hocbench.reporting.html.elements import Html, element, section
from hocbench.reporting.html.markdown import render
from hocbench.reporting.html.sections import contents
from hocbench.verify.laboratory import MANIFESTS
from hocbench.verify.merge import MERGED, Merged
from hocbench.verify.merge_page import Part, parts, synthetic_note
from hocbench.verify.merge_tables import Tables, read_tables

TITLE = "Laboratories together"


def write_merged(merged: Merged, out: Path) -> Tables:
    """Write ``laboratories.csv``, ``scores.csv``, ``differences.csv``, ``verdicts.csv``, the page, and last the seal.

    Parameters
    ----------
    merged : Merged
        From `hocbench.verify.merge.merge`; the same laboratories give the same bytes, in whatever order they came.
    out : Path
        Folder to write; made if need be.

    Returns
    -------
    Tables
        What was written.

    Raises
    ------
    VerifyError
        If the folder is a laboratory itself, or a laboratory lacks a row that another one has.
    """
    if (out / MANIFESTS).exists():
        raise VerifyError(f"{out} is a recorded laboratory; give another folder with --out")
    tables = read_tables(merged)
    written = {name: getattr(tables, name) for name in ("laboratories", "scores", "differences", "verdicts")}
    found = parts(merged, tables)
    with staged(out, "merge") as folder:
        for name, table in written.items():
            write_csv(table, folder / f"{name}.csv")
        write_text(_markdown(tables, found), folder / f"{MERGED}.md")
        write_text(_html(tables, found), folder / f"{MERGED}.html")
        names = [f"{name}.csv" for name in written] + [f"{MERGED}.md", f"{MERGED}.html"]
        write_text(sealed({"files": hashes_of(folder, names)}), folder / f"{MERGED}.json")
    return tables


def _markdown(tables: Tables, found: list[Part]) -> str:
    note = synthetic_note(tables)
    head = [f"# {TITLE}", *([f"**{note}**"] if note else [])]
    return "\n\n".join([*head, *(f"## {part.title}\n\n{part.text}" for part in found)]) + "\n"


def _html(tables: Tables, found: list[Part]) -> str:
    note = synthetic_note(tables)
    banner = element("p", element("strong", note), class_="banner synthetic") if note else Html("")
    sections = [section(part.anchor, part.title, render(part.text, part.title, level=1)[1]) for part in found]
    entries = [(part.anchor, part.title, ()) for part in found]
    header = element("header", element("h1", TITLE), banner)
    return document(f"hocbench: {TITLE.lower()}", header, contents(entries), element("main", *sections))
