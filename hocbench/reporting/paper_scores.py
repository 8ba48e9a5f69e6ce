"""The published scores; apart from the layout, which tables without scores have too and so do not depend on these."""

import pandas as pd

from hocbench.reporting.layout import read_published


def read_results(dataset: str) -> pd.DataFrame:
    """Read the published scores of a dataset: method, target, metric, value, status and note."""
    table = read_published("results.csv")
    return table[table["dataset"] == dataset]
