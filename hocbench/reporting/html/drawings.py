"""Figures as they were drawn, with the text that stands beside them."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import HocbenchError
from hocbench.files.checksums import read_sealed

PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Drawing:
    """A figure as it was drawn: name, title, text beside it, PNG file and its size in pixels."""

    name: str
    title: str
    caption: str
    alt: str
    content: bytes
    size: tuple[int, int]


def read_drawing(path: Path) -> tuple[Drawing | None, list[str]]:
    """Read a picture and the text beside it; return what is wrong as well.

    Parameters
    ----------
    path : Path
        PNG file; ``<name>.json`` beside it holds title, caption and alt text.
    """
    try:
        content = path.read_bytes()
        if content[:8] != PNG or content[12:16] != b"IHDR" or not content.rstrip(b"\0").endswith(b"IEND\xaeB`\x82"):
            return None, [f"{path} is no whole PNG picture; delete it and start again"]
        width, height = struct.unpack(">II", content[16:24])
    except FileNotFoundError:
        return None, [f"{path} is absent"]
    except (OSError, struct.error) as error:
        return None, [f"{path} cannot be read: {error}"]
    name, problems = path.stem, []
    about: dict[str, Any] = {}
    try:
        about = read_sealed(path.with_suffix(".json"))
    except HocbenchError as error:
        problems.append(f"title, caption and description: {error}")
    plain = name.replace("_", " ")
    title, caption = str(about.get("title") or plain.capitalize()), str(about.get("caption") or "")
    alt = str(about.get("alt") or f"Figure “{plain}”; no description of it was recorded.")
    return Drawing(name, title, caption, alt, content, (width, height)), problems
