"""Pages as headings, paragraphs and tables whose rows have keys; Markdown, HTML and JSON are renderings of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from hocbench.errors import ReportError
from hocbench.experiment.description import RowKey
from hocbench.files.checksums import hashes_of, read_sealed, sealed
from hocbench.files.write import write_text
from hocbench.reporting.html.render import render
from hocbench.reporting.markdown import markdown_table

METHOD = "method"  # heading of the column that leads from a row to its runs
PAGE = "page"  # key of a page in the seal of its table


@dataclass(frozen=True)
class Heading:
    """A heading below the title of a page, which is of level 1."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells.
    keys : sequence of RowKey or None
        What the rows are of; empty, or None for a row, where nothing was run.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    keys: Sequence[RowKey | None] = ()

    def __post_init__(self) -> None:
        """Refuse keys that belong to no rows, or that no column leads from."""
        if self.keys and (len(self.keys) != len(self.rows) or METHOD not in self.header):
            raise ValueError(f"{len(self.keys)} keys of {len(self.rows)} rows with the columns {self.header}")


Block = str | Heading | Bullets | Table


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes
    ----------
    title : str
        Its first heading.
    blocks : sequence of str, Heading, Bullets or Table
        Text is a paragraph. All texts may have Markdown's marks inside a line; names from data are escaped.
    """

    title: str
    blocks: Sequence[Block]

    def markdown(self) -> str:
        """Write the page in Markdown."""
        return "\n\n".join([f"# {self.title}", *map(_markdown, self.blocks)]) + "\n"

    def html(self, title: str) -> str:
        """Write the page as an HTML document that is called `title`; HTML inside its texts is shown as text."""
        return render("page.html", page=self, title=title)


ADAPTER = TypeAdapter(Page)


def _markdown(block: Block) -> str:
    match block:
        case str():
            return block
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Bullets():
            return "\n".join(f"* {item}" for item in block.items)
        case Table():
            return markdown_table(block.header, block.rows)


def write_page(stem: Path, page: Page, table: pd.DataFrame, latex: str | None = None) -> None:
    """Write a table as files, last its seal, which holds the page too, for the report.

    Parameters
    ----------
    stem : Path
        Their common name without suffix.
    page : Page
        For ``.md`` and ``.html``.
    table : DataFrame
        For ``.csv``, with ten significant digits as in the tables of an evaluation.
    latex : str, optional
        For ``.tex``.
    """
    csv = table.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    texts = {"md": page.markdown(), "html": page.html(stem.name), "csv": csv}
    if latex is not None:
        texts["tex"] = latex
    for suffix, text in texts.items():
        write_text(text, stem.with_suffix(f".{suffix}"))
    names = [stem.with_suffix(f".{suffix}").name for suffix in texts]
    seal = {"files": hashes_of(stem.parent, names), PAGE: ADAPTER.dump_python(page, mode="json")}
    write_text(sealed(seal), stem.with_suffix(".json"))


def read_page(path: Path) -> Page:
    """Read the page in the seal of a table.

    Raises
    ------
    DamageError
        If the file is absent or damaged.
    ReportError
        If there is no page in it.
    """
    values = read_sealed(path)
    try:
        return ADAPTER.validate_python(values.get(PAGE))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, (PAGE, *problem["loc"])))
        raise ReportError(f"{path} holds no page ({where}: {problem['msg']}); write the table again") from None
