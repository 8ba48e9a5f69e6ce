"""Figures as they were drawn, with the text that stands beside them."""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from hocbench.errors import HocbenchError
from hocbench.files.checksums import read_sealed

END = b"IEND\xaeB`\x82"  # of each PNG file


@dataclass(frozen=True)
class Drawing:
    """A figure as it was drawn: name, title, text beside it, PNG file and its size in pixels."""

    name: str
    title: str
    caption: str
    alt: str
    content: bytes
    size: tuple[int, int]

    @property
    def base64(self) -> str:
        """The file as text."""
        return base64.b64encode(self.content).decode("ascii")


def read_drawing(path: Path) -> tuple[Drawing | None, list[str]]:
    """Read a picture and the text beside it; return what is wrong as well.

    Parameters
    ----------
    path : Path
        PNG file; ``<name>.json`` beside it holds title, caption and alt text.
    """
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            image.load()
            size = image.size
        whole = content.endswith(END)  # which Pillow does without
    except FileNotFoundError:
        return None, [f"{path} is absent"]
    except (OSError, SyntaxError, ValueError):
        whole = False
    if not whole:
        return None, [f"{path} is no whole PNG picture; delete it and start again"]
    name, problems = path.stem, []
    texts: dict[str, Any] = {}
    try:
        texts = read_sealed(path.with_suffix(".json"))
    except HocbenchError as error:
        problems.append(f"title, caption and description: {error}")
    plain = name.replace("_", " ")
    title, caption = str(texts.get("title") or plain.capitalize()), str(texts.get("caption") or "")
    alt = str(texts.get("alt") or f"Figure “{plain}”; no description of it was recorded.")
    return Drawing(name, title, caption, alt, content, size), problems
