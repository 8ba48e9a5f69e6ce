"""What data sets and verdicts are called where people read."""

DATASET_NAMES = {"affectnet": "AffectNet", "sewa": "SEWA", "afew_va": "AFEW-VA", "sewa_control": "SEWA control"}
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
NO_DATASET = "-"


def dataset_name(dataset: str) -> str:
    """Name a data set, or say that none is needed."""
    return DATASET_NAMES.get(dataset, dataset or NO_DATASET)


def verdict_text(verdict: str) -> str:
    """Return a verdict with the symbol that tells it apart without colour."""
    return f"{SYMBOLS[verdict]} {verdict}"
