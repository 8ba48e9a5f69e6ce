"""Writes all tables of an evaluation and reads them again."""

import re
from html.parser import HTMLParser

from hocbench.network_tables import write_counts
from hocbench.reporting.tables import write_tables
from tests.reporting.conftest import CP, DENSE, INFLATED, JOINT, SCRATCH, SETTING, SMOOTHED, UNTRAINED, row

EXPECTED = [
    row("affectnet", DENSE, None),
    row("affectnet", CP),
    row("affectnet", "CP 2-D, LASSO", lasso=0.05),
    row("affectnet", "CP 2-D, LASSO", lasso=0.1),
    row("sewa", JOINT, lasso=0.05),
    row("sewa", SCRATCH, None),
    row("sewa", JOINT, rank=0.22),
    row("sewa", UNTRAINED),
    row("sewa", CP),
    row("sewa", SMOOTHED),
    row("afew_va", INFLATED, None),
    row("afew_va", "CP 3-D from scratch", rank=8),
]
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
            self.tables[-1][-1][-1] += data


def write(evaluation, out, expected=EXPECTED, setting=SETTING):
    write_tables(evaluation, out, expected, setting)
    write_counts(evaluation, out, setting)
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


def number(cell):
    """Mean, low, high and spread of a cell; None for what it does not show."""
    found = re.fullmatch(r"(-?[\d.]+)(?: \[(-?[\d.]+), (-?[\d.]+)\])?(?: ± ([\d.]+))?", cell)
    return [None if text is None else float(text) for text in found.groups()]
