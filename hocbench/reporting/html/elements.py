"""HTML as text that cannot be confused with other text: whatever is not `Html` is escaped."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from hocbench.experiment.description import RowKey
from hocbench.reporting.html.render import macro
from hocbench.reporting.pages import Page

VOID = ("img", "meta")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(*parts: str) -> Html:
    """Join parts, escaping those that are no HTML.

    >>> html("a < b, ", element("b", "c"))
    'a &lt; b, <b>c</b>'
    """
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def element(tag: str, /, *children: str, **attributes: str | int | None) -> Html:
    """Write one element.

    Parameters
    ----------
    tag : str
        Its name.
    *children : str
        Its content; what is no `Html` is escaped.
    **attributes : str, int or None
        Escaped as well. An underscore stands for a hyphen, one at the end keeps a name apart from Python's words;
        None leaves the attribute out.

    Returns
    -------
    Html
        Start tag, content and end tag.
    """
    pairs = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    ]
    start = f"<{tag}{''.join(pairs)}>"
    return Html(start if tag in VOID else f"{start}{html(*children)}</{tag}>")


def prose(text: str) -> Html:
    """Write a sentence in which backticks mark what is to be typed.

    >>> prose("run `hocbench report` <again>")
    'run <code>hocbench report</code> &lt;again&gt;'
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return html(text)
    return html(*(element("code", part) if place % 2 else part for place, part in enumerate(parts)))


def section(anchor: str, title: str, *children: str, level: int = 2) -> Html:
    """Write a section with its heading, which links find by `anchor`."""
    heading = element(f"h{level}", title, id=f"{anchor}-title")
    return element("section", heading, *children, id=anchor, aria_labelledby=f"{anchor}-title")


def details(summary: str, *children: str, anchor: str | None = None) -> Html:
    """Write what is folded up; the anchor is inside, so that a link to it unfolds it."""
    return element("details", element("summary", summary), element("div", *children, id=anchor))


def scrolled(label: str, content: str) -> Html:
    """Put something wide into a box of its own that scrolls, for the keyboard too."""
    return element("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def table(label: str, header: Sequence[str], rows: Sequence[Sequence[str]], kind: str | None = None) -> Html:
    """Write a table whose first column names its rows.

    Parameters
    ----------
    label : str
        What the table is about, for those who do not see it.
    header : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells.
    kind : str, optional
        Class of the style.

    Returns
    -------
    Html
        The table, in a box that scrolls.
    """
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    whole = element("table", element("thead", head), element("tbody", *body), class_=kind)
    return scrolled(label, whole)


def page_blocks(page: Page, down: int = 2, anchors: Mapping[RowKey, str] | None = None) -> Html:
    """Write a page without its title, its headings `down` levels lower, its rows linked to the anchors of keys."""
    return Html(macro("macros.html", "page_blocks", page, f"Table: {page.title}", down, anchors or {}))


def facts(pairs: Sequence[tuple[str, str]]) -> Html:
    """Write names and what is to say about each."""
    return element("dl", *(element("div", element("dt", name), element("dd", value)) for name, value in pairs))


def bullets(items: Sequence[str]) -> Html:
    """Write a list."""
    return element("ul", *(element("li", item) for item in items))


def picture(content: bytes, size: tuple[int, int], alt: str) -> Html:
    """Write a PNG picture into the page.

    Parameters
    ----------
    content : bytes
        The file.
    size : (int, int)
        Width and height in pixels, so that nothing moves while the page loads.
    alt : str
        What is to be seen.
    """
    data = base64.b64encode(content).decode("ascii")
    return element("img", src=f"data:image/png;base64,{data}", alt=alt, width=size[0], height=size[1])


def number(value: str) -> str:
    """Shorten a number that is written out in a table; other text stays as it is.

    >>> number("0.0684787608"), number("11184000"), number("5"), number("-0.00021"), number("same"), number("")
    ('0.068', '11,184,000', '5', '-0.00021', 'same', '')
    """
    try:
        found = float(value)
    except ValueError:
        return value
    if found != found or found in (float("inf"), float("-inf")):
        return value
    if found == int(found):
        return f"{found:,.0f}"
    return f"{found:.3f}" if abs(found) >= 0.01 else f"{found:.2g}"
