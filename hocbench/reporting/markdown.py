"""Tables as rows of text, and pages as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt

from hocbench.datasets.contract import write_text
from hocbench.seals import hashes_of, sealed

STATUS_NOTE = "Status: P stated by the authors, S from a secondary source, U unverified recollection."


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write_page(stem: Path, page: str, table: pd.DataFrame) -> None:
    """Write ``stem.md`` and ``stem.html`` with a page in Markdown, ``stem.csv`` with its table, and last the seal."""
    write_text(page, stem.with_suffix(".md"))
    body = MarkdownIt("commonmark").enable("table").render(page)
    style = (
        "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;font-size:12px}"
        "td,th{border-bottom:1px solid #ccc;padding:3px 8px;text-align:left;white-space:nowrap}"
    )
    write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{stem.name}</title>'
        f"<style>{style}</style>{body}</html>\n",
        stem.with_suffix(".html"),
    )
    write_text(table.to_csv(index=False, float_format="%.10g", lineterminator="\n"), stem.with_suffix(".csv"))
    names = [stem.with_suffix(suffix).name for suffix in (".md", ".html", ".csv")]
    write_text(sealed({"files": hashes_of(stem.parent, names)}), stem.with_suffix(".json"))
