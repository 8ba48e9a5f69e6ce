"""Names of files as copies spell them: in another case, Unicode form or with other separators, or marked as a copy."""

import re
import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

SEPARATORS = re.compile(r"[\s_\-]+")
# What file managers add to the name of a second copy: "(1)", " - Copy", " copy 2", "_copy", " - Kopie (2)".
COPY = re.compile(r"(?:\s*\(\d+\)|[\s_\-]+(?:copy|kopie|copie|copia)(?:[\s_\-]*\d+)?)+$", re.IGNORECASE)
MAYBE_COPY = re.compile(r"\(|cop|kopi", re.IGNORECASE)
COPY_OF = re.compile(r"^(?:copy of|kopie von|copie de)\s+", re.IGNORECASE)
SHOWN = 3


def canonical(name: str) -> str:
    """Spell a name so that case, Unicode form and the kind of separator make no difference."""
    # Casefolding can undo a composition, so it comes between two of them.
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    return SEPARATORS.sub("_", folded.strip())


def without_copy_mark(name: str) -> str:
    """Remove the mark of a second copy from a name, before its extension if it has one: ``"1 (2).jpg"``."""
    if not MAYBE_COPY.search(name):
        return name  # most of a million names
    stem, dot, extension = name.rpartition(".")
    if not stem:
        stem, dot, extension = name, "", ""
    stem = COPY_OF.sub("", COPY.sub("", stem)) or stem
    return f"{stem}{dot}{COPY.sub('', extension) if dot else ''}"


def folder_name(part: str) -> str:
    """Spell the name of a folder, or of an archive in its place, without the mark of a second copy; see `canonical`."""
    return canonical(without_copy_mark(part[:-4] if part.lower().endswith(".zip") else part))


def near_names(name: str, names: Iterable[str]) -> list[str]:
    """Return up to `SHOWN` names that look like one, the likeliest first."""
    spelled: dict[str, str] = {}
    for candidate in names:
        spelled.setdefault(canonical(candidate), candidate)
    return [spelled[key] for key in get_close_matches(canonical(name), spelled, SHOWN, 0.6)]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Propose near names, as the end of a sentence; empty if there are none."""
    near = near_names(name, names)
    return f"; did you mean {' or '.join(near)}?" if near else ""
