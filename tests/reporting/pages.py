"""Writes all tables of an evaluation and reads them again."""

import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

from hocbench.evaluation.files import write_seal
from hocbench.experiment.description import META, RowKey, read_description
from hocbench.experiment.methods import METHODS
from hocbench.files.checksums import read_sealed
from hocbench.network_tables.write import write_counts
from hocbench.reporting.tables import write_tables

CP = ("cp", "same")
EXPECTED = (
    RowKey("affectnet", "static_dense"),
    RowKey("affectnet", "static", *CP),
    RowKey("affectnet", "lasso", *CP, lasso=0.05),
    RowKey("affectnet", "lasso", *CP, lasso=0.1),
    RowKey("sewa", "joint", *CP, lasso=0.05),
    RowKey("sewa", "scratch_dense"),
    RowKey("sewa", "joint", "cp", "0.22"),
    RowKey("sewa", "untrained", *CP),
    RowKey("sewa", "static", *CP),
    RowKey("sewa", "static_smoothed", *CP),
    RowKey("afew_va", "inflated"),
    RowKey("afew_va", "scratch", "cp", "8"),
)
DATASETS = ("affectnet", "sewa", "afew_va")
VOID = {"meta"}


class Page(HTMLParser):
    """Reads the cells of all tables and insists that each tag is closed in its place."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tables, self.text = [], [], text
        self.tags = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data.replace("\xa0", " ")


def description_of(evaluation, rows=EXPECTED, **changes):
    """Return the description of an evaluation; rows are those that have to be shown, and changes are of its fields."""
    return replace(read_description(evaluation), rows=tuple(rows), **changes)


def described(evaluation, folder, **changes):
    """Copy an evaluation and change its description."""
    shutil.copytree(evaluation, folder)
    description = replace(read_description(evaluation), **changes)
    (folder / META).write_text(description.text() + "\n")
    write_seal(read_sealed(folder / "files.json")["files"], folder)
    return folder


def write(evaluation, out, rows=EXPECTED, **changes):
    """Write all tables; rows are those that have to be shown, and changes are of the description."""
    copy = described(evaluation, out.with_name(f"{out.name}-evaluation"), rows=tuple(rows), **changes)
    write_tables(copy, out)
    write_counts(copy, out)
    return out


def read(out, name):
    return (out / f"{name}.md").read_text()


def tables_of(page):
    """Cells of each table of a Markdown page, the header first, which all lines have as many of."""
    blocks = re.findall(r"(?:^\|.*\n?)+", page, re.MULTILINE)
    rows = [[_cells(line) for line in block.splitlines()] for block in blocks]
    for table in rows:
        assert set(table[1]) == {"---"}
        assert {len(cells) for cells in table} == {len(table[0])}
    return [[table[0], *table[2:]] for table in rows]


def _cells(line):
    start, *cells, end = re.split(r"(?<!\\)\|", line)
    assert start == end == ""
    return [cell.strip() for cell in cells]


def caption(page):
    return page.split("\n\n")[1]


def column(table, title):
    place = table[0].index(title)
    return [cells[place] for cells in table[1:]]


def cells_of(table, name, **where):
    """Scores of the one row of a method, by its id."""
    method = METHODS[name].named("cp")
    chosen = [cells for cells in table[1:] if dict(zip(table[0], cells, strict=True)).items() >= where.items()]
    (found,) = [cells for cells in chosen if cells[table[0].index("method")] == method]
    return dict(zip(table[0], found, strict=True))


def number(cell):
    """Mean, low, high and spread of a cell; None for what it does not show."""
    found = re.fullmatch(r"(-?[\d.]+)(?: \[(-?[\d.]+), (-?[\d.]+)\])?(?: ± ([\d.]+))?", cell)
    return [None if text is None else float(text) for text in found.groups()]
