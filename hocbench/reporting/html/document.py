"""A whole page of HTML that loads nothing from anywhere."""

import base64
import hashlib

from hocbench.reporting.html.elements import Html, element
from hocbench.reporting.html.style import STYLE


def document(title: str, *body: str) -> str:
    """Put the parts of a page together.

    Parameters
    ----------
    title : str
        For the browser.
    *body : str
        What it shows.

    Returns
    -------
    str
        HTML. Its policy lets a browser load nothing, run no script and use no style but the one that is in it.
    """
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    shown = element("body", element("div", *body, class_="page"))
    return f"<!doctype html>\n{element('html', head, shown, lang='en')}\n"
