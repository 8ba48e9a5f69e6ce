"""What a copy holds beside what was published of the dataset.

Apart from the check, which data and runs follow from: a corrected published count rewrites pages, and no data.
"""

from importlib.resources import files
from typing import Any

import pandas as pd

CIRCULATING = (
    "the counts per expression that circulate add up to 414,800, one more than the rows; one of ids 0 to 7 is one too "
    "high, probably 1"
)


def compare_counts(inventory: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare the counts of an inventory with the published ones and explain the differences.

    Rows hold what, published, status (P stated by the authors, S from a secondary source), found, difference and
    explanation; there are none of a copy that its adapter cannot read.
    """
    if "splits" not in inventory:
        return []
    with (files("hocbench.published") / "datasets.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file, dtype={"layout": str}, keep_default_na=False)
    layout = inventory["layout"].get("layout", "")
    here = table[(table["dataset"] == inventory["dataset"]) & table["layout"].isin(["", layout])]
    rows = []
    for what, count, status in here[["what", "count", "status"]].itertuples(index=False):
        counted = _count(inventory, what)
        row = {"what": what, "published": int(count), "status": status, "found": counted}
        difference = counted - int(count)
        rows.append(row | {"difference": difference, "explanation": _explain(inventory, what, difference)})
    return rows


def describe_counts(inventory: dict[str, Any]) -> str:
    """Write the comparison as text for a terminal; empty where nothing was published, or counted."""
    lines = [
        f"  {row['what']}: {row['found']:,} found, {row['published']:,} published ({row['status']}); "
        f"{row['explanation']}\n"
        for row in compare_counts(inventory)
    ]
    title = "\npublished counts (P stated by the authors, S from a secondary source)\n"
    return "".join([title, *lines]) if lines else ""


def _count(inventory: dict[str, Any], what: str) -> int:
    splits = inventory["splits"]
    split, _, rest = what.partition(" rows")
    if not rest and not what.endswith("rows"):
        return sum(int(counts[what]) for counts in splits.values())
    if rest.startswith(" of expression "):
        return int(inventory["layout"]["expressions"][split].get(rest.removeprefix(" of expression "), 0))
    return int(splits.get(split, {}).get("labelled" if rest else "frames", 0))


def _explain(inventory: dict[str, Any], what: str, difference: int) -> str:
    if difference == 0:
        return "as published"
    if inventory["label"] == "synthetic":
        return "SYNTHETIC data, whose size params.yaml sets"
    number = what.rpartition("expression ")[2]
    if difference == -1 and number in "01234567":
        return CIRCULATING
    if what == "validation rows" and difference == -1 and inventory["layout"]["layout"].startswith("2021"):
        return "3,999 and 4,000 are both in circulation; the former lacks one image"
    return f"your copy holds {'fewer' if difference < 0 else 'more'}"
