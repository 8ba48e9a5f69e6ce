"""Tables as rows of text, and pages as files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from markdown_it import MarkdownIt

from hocbench.files.checksums import hashes_of, sealed
from hocbench.files.write import write_text

STATUS_NOTE = "Status: P stated by the authors, S from a secondary source, U unverified recollection."
SPECIAL = re.compile(r"[\\`*_\[\]<>&~]")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain dictionaries."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def escape(text: str) -> str:
    r"""Write a name from data so that Markdown shows it as it is; `markdown_table` does the same for pipes.

    >>> escape("a_b <i>")
    'a\\_b \\<i\\>'
    """
    return SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def markdown_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def to_html(page: str, title: str) -> str:
    """Render a page in Markdown as an HTML document; HTML inside it is shown as text."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(page)
    style = (
        "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;font-size:12px}"
        "td,th{border-bottom:1px solid #ccc;padding:3px 8px;text-align:left;white-space:nowrap}"
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style>{body}</html>\n"
    )


def write_page(stem: Path, page: str, table: pd.DataFrame, latex: str | None = None) -> None:
    """Write a table as files, last its seal.

    Parameters
    ----------
    stem : Path
        Their common name without suffix.
    page : str
        In Markdown, for ``.md`` and ``.html``.
    table : DataFrame
        For ``.csv``, with ten significant digits as in the tables of an evaluation.
    latex : str, optional
        For ``.tex``.
    """
    csv = table.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    texts = {"md": page, "html": to_html(page, stem.name), "csv": csv}
    if latex is not None:
        texts["tex"] = latex
    for suffix, text in texts.items():
        write_text(text, stem.with_suffix(f".{suffix}"))
    names = [stem.with_suffix(f".{suffix}").name for suffix in texts]
    write_text(sealed({"files": hashes_of(stem.parent, names)}), stem.with_suffix(".json"))
