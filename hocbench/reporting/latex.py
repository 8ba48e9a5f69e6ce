"""Tables for a two-column paper in LaTeX; they need the package booktabs and nothing else."""

import unicodedata
from collections.abc import Sequence

import pandas as pd

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "]": "{]}", "*": "{*}", "±": r"$\pm$", "×": r"$\times$", "λ": r"$\lambda$",
    "Ψ": r"$\Psi$", "≤": r"$\leq$", "≥": r"$\geq$", "–": "--", "—": "---", "’": "'", "“": "``", "”": "''", '"': "''",
}  # fmt: skip
# Marks of a published number by its status.
MARKS = {"P": "", "S": r"$^\ddagger$", "U": r"$^\dagger$"}
MARK_NOTES = {
    "P": "no mark, stated by the authors",
    "S": MARKS["S"] + "~from a secondary source",
    "U": MARKS["U"] + "~unverified recollection",
}


def escape(text: str) -> str:
    r"""Write text from data so that LaTeX prints it.

    Letters with accents lose them, and what no plain font has is named by its code point, so that every text compiles.

    >>> escape("50 % of a_b"), escape("é")
    ('50 \\% of a\\_b', 'e')
    """
    return "".join(_letter(letter) for letter in " ".join(text.split()))


def _letter(letter: str) -> str:
    if letter in SPECIAL:
        return SPECIAL[letter]
    if letter.isascii():
        return letter if letter.isprintable() else ""
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if part.isascii() and part.isprintable())
    return "".join(SPECIAL.get(part, part) for part in plain) or f"U+{ord(letter):04X}"


def number(value: float) -> str:
    """Write a score with three decimals and, as papers do, without a leading zero.

    >>> number(0.8123), number(-0.5), number(-0.0001), number(1.25)
    ('.812', '$-$.500', '.000', '1.250')
    """
    text = f"{abs(value):.3f}"
    sign = "$-$" if value < 0 and float(text) else ""
    return sign + text.removeprefix("0")


def score_lines(mean: float, low: float, high: float, sd: float, mark: str = "") -> tuple[str, str]:
    """Write a score in two lines: mean ± standard deviation, and its interval; either may lack its second part."""
    spread = "" if pd.isna(sd) else rf"$\pm${number(sd)}"
    interval = "" if pd.isna(low) else rf"{{\tiny[{number(low)}, {number(high)}]}}"
    return number(mean) + spread + hanging(mark), interval


def published_number(value: float, status: str) -> str:
    """Write a published number with the mark of its status."""
    return f"{value:.2f}".removeprefix("0") + hanging(MARKS[status])


def hanging(mark: str) -> str:
    """Let a mark hang over the gap between columns, so that numbers with and without one stand in line."""
    return rf"\rlap{{{mark}}}" if mark else ""


def line(cells: Sequence[str]) -> str:
    """Write one line of a tabular."""
    return " & ".join(cells) + r" \\"


def tabular(columns: str, header: Sequence[str], body: Sequence[str]) -> str:
    """Write a tabular from its lines."""
    rows = [rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", *header, r"\midrule", *body, r"\bottomrule"]
    return "\n".join([*rows, r"\end{tabular}"])


def paragraph(text: str) -> str:
    """Write a paragraph below a tabular."""
    return rf"\parbox{{0.95\textwidth}}{{\centering {text}}}"


def table_star(name: str, caption: str, parts: Sequence[str]) -> str:
    r"""Write a table over both columns of a page.

    Parameters
    ----------
    name : str
        For the label ``tab:hocbench-<name>``.
    caption : str
        In LaTeX.
    parts : sequence of str
        Tabulars and text between them, one below the other.

    Returns
    -------
    str
        To be read with ``\input`` by a document that loads booktabs.
    """
    start = ["% Needs \\usepackage{booktabs}.", r"\begin{table*}[t]", r"\centering"]
    label = rf"\label{{tab:hocbench-{name.replace('_', '-')}}}"
    # Many classes leave no space between a caption and what stands below it.
    size = [r"\vspace{4pt}", "", r"\scriptsize", r"\setlength{\tabcolsep}{2pt}"]
    body = "\n\n\\smallskip\n".join(parts)
    return "\n".join([*start, rf"\caption{{{caption}}}", label, *size, body, r"\end{table*}"]) + "\n"
