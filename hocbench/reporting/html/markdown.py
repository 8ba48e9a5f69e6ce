"""Pages written in Markdown, as parts of a larger page."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from hocbench.reporting.html.elements import Html, scrolled

# Given the heading above a table and one of its rows by the names of the columns, returns the id of what the row is
# made of.
Resolver = Callable[[str, dict[str, str]], str | None]
METHODS = ("method", "our method")  # columns that carry the link
# An interval or a spread, which is not to be broken in the middle of a narrow column.
UNBROKEN = re.compile(r"\[[^\[\]]{1,30}\]|± \S+|< \S+")
ALIGNED = {"text-align:right": "right", "text-align:center": "centre"}


def render(page: str, label: str, level: int = 2, resolve: Resolver | None = None) -> tuple[str, Html]:
    """Render a page in Markdown without HTML, links or pictures of its own: its text holds names from data.

    Parameters
    ----------
    page : str
        Markdown; its first heading is taken off.
    label : str
        Name of the page's tables for those who do not see them, and its title if it has none.
    level : int
        Levels that its other headings move down.
    resolve : callable, optional
        See `Resolver`; rows for which it returns an id link there, from the method's name.

    Returns
    -------
    title : str
        Text of the first heading.
    body : Html
        The rest, each table in a box that scrolls.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "image", "autolink"])
    tokens = parser.parse(page)
    title = label
    if len(tokens) > 2 and tokens[0].type == "heading_open":
        title, tokens = _plain(tokens[1]), tokens[3:]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + level)}"
        elif token.type in ("th_open", "td_open"):
            _tidy(token)
    starts = [place for place, token in enumerate(tokens) if token.type == "table_open"]
    ends = [place + 1 for place, token in enumerate(tokens) if token.type == "table_close"]
    parts, done = [], 0
    for start, end in zip(starts, ends, strict=True):
        parts.append(parser.renderer.render(tokens[done:start], parser.options, {}))
        headings = [_plain(text) for before, text in pairwise(tokens[:start]) if before.type == "heading_open"]
        _link(tokens[start:end], headings[-1] if headings else "", resolve)
        parts.append(scrolled(f"Table: {title}", Html(parser.renderer.render(tokens[start:end], parser.options, {}))))
        done = end
    parts.append(parser.renderer.render(tokens[done:], parser.options, {}))
    return title, Html("".join(parts))


def _plain(token: Token) -> str:
    """Text of a heading without its marks, such as those of code."""
    return "".join(child.content for child in token.children or [])


def _tidy(token: Token) -> None:
    """Say what a heading heads; the page allows no style in a tag, which is how Markdown aligns."""
    style = str(token.attrs.pop("style", ""))
    if style in ALIGNED:
        token.attrSet("class", ALIGNED[style])
    if token.type == "th_open":
        token.attrSet("scope", "col")


def _link(tokens: Sequence[Token], heading: str, resolve: Resolver | None) -> None:
    """Link the rows of one table, mark cells that are missing, and keep intervals whole."""
    header: list[str] = []
    cells: list[tuple[Token, Token]] = []  # of the row: start of the cell, and its text
    for before, token in pairwise(tokens):
        if token.type == "inline" and before.type == "th_open":
            header.append(_plain(token))
        elif token.type == "inline" and before.type == "td_open":
            cells.append((before, token))
        elif token.type == "tr_close":
            row = {name: _plain(text) for name, (_, text) in zip(header, cells, strict=False)}
            for start, text in cells:
                if text.content in ("missing", "failed"):
                    start.attrSet("class", "missing")
                for child in text.children or []:
                    child.content = UNBROKEN.sub(lambda found: found[0].replace(" ", "\u00a0"), child.content)
            anchor = resolve(heading, row) if resolve else None
            for name, (start, text) in zip(header, cells, strict=False):
                if name in METHODS:
                    start.attrSet("class", "method")
                    if anchor:
                        _wrap(text, anchor)
            cells = []


def _wrap(text: Token, anchor: str) -> None:
    start = Token("link_open", "a", 1, attrs={"href": f"#{anchor}"})
    text.children = [start, *(text.children or []), Token("link_close", "a", -1)]
