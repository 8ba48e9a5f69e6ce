"""What verdicts are called where people read."""

# Told apart without colour.
SYMBOLS = {
    "reproduced": "✔",
    "better than published": "✔",
    "holds on synthetic data": "✔",
    "not reproduced": "✘",
    "does not hold on synthetic data": "✘",
    "inconclusive": "?",
    "not run": "–",
}


def sign(verdict: str) -> str:
    """Return the symbol of a verdict, a dot for one that is not known."""
    return SYMBOLS.get(verdict, "•")


def verdict_text(verdict: str) -> str:
    """Return a verdict with the symbol that tells it apart without colour."""
    return f"{SYMBOLS[verdict]} {verdict}"
