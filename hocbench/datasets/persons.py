"""Persons whose name is spelled in several ways: one person must not be in two parts of a split."""

import re
import unicodedata
from typing import Any

import pandas as pd

NO_LETTER = re.compile(r"[\W_]+")


def unite_spellings(subjects: pd.Series, clips: pd.Series) -> tuple[pd.Series, dict[str, Any]]:
    """Unite the spellings of each person's name; returns the subjects of all frames, and notes.

    Names that differ by case, blanks, punctuation or Unicode form are one person's, who keeps the spelling of most
    clips. Names that differ by accents, or by where words are divided, may be two persons': they are noted for the
    user to decide. Where the subject is the clip itself, nobody is named.
    """
    table = pd.DataFrame({"subject": subjects, "clip": clips}).drop_duplicates()
    named = table.loc[table["subject"] != table["clip"], "subject"]
    counts = named.value_counts()
    # The most frequent spelling first, then by the alphabet.
    spellings = sorted(counts.index, key=lambda name: (-int(counts[name]), name))
    first: dict[str, str] = {}
    united = {name: first.setdefault(_key(name), name) for name in spellings}
    alike: dict[str, list[str]] = {}
    for name in sorted(first.values()):
        alike.setdefault(_skeleton(name), []).append(name)
    changed = {name: spelling for name, spelling in united.items() if name != spelling}
    notes = {
        "persons_in_several_spellings": [f"{name!a} = {spelling!a}" for name, spelling in sorted(changed.items())],
        "persons_who_may_be_one": [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1],
    }
    return subjects.replace(changed) if changed else subjects, {key: value for key, value in notes.items() if value}


def _key(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return NO_LETTER.sub(" ", folded).strip() or folded


def _skeleton(name: str) -> str:
    """Remove accents and blanks; digits distinguish persons, so blanks between them stay."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", _key(name)) if not unicodedata.combining(letter))
    return re.sub(r"(?<=\D) | (?=\D)", "", plain)
