"""HTML from templates: whatever they show is escaped, and a name that they do not know is an error."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from hocbench.reporting.text import SYMBOLS

TEMPLATES = Path(__file__).with_name("templates")
# An interval or a spread, which is not to be broken in the middle of a narrow column.
UNBROKEN = re.compile(r"\[[^\[\]]{1,30}\]|± \S+|< \S+")


def render(template: str, **values: Any) -> str:
    """Fill in a template.

    Parameters
    ----------
    template : str
        Name of a file in the folder ``templates``.
    **values
        What it shows; text is escaped unless it is `Markup`.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"marks": marks, "whole": whole, "code": code, "sign": _sign}
    return environment


def _sign(verdict: str) -> str:
    return SYMBOLS.get(verdict, "•")


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink"])


def marks(text: str) -> Markup:
    """Render Markdown's marks inside a line; HTML, links and pictures stay text, since names from data are in it.

    >>> marks("**a** <b> [c](d)")
    Markup('<strong>a</strong> &lt;b&gt; [c](d)')
    """
    return Markup(_parser().renderInline(text))


def whole(text: str) -> str:
    r"""Keep intervals and spreads on one line.

    >>> whole("0.5 [0.4, 0.6]")
    '0.5 [0.4,\xa00.6]'
    """
    return UNBROKEN.sub(lambda match: match[0].replace(" ", "\u00a0"), text)


def code(text: str) -> Markup:
    """Show as code what backticks mark in a text without other marks.

    >>> code("run `hocbench report` <again>")
    Markup('run <code>hocbench report</code> &lt;again&gt;')
    """
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))
