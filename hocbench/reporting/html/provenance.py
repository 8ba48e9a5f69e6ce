"""Where results come from: data, software, machine and parameters."""

from collections.abc import Iterable
from typing import Any

from hocbench.reporting.html.inputs import ReportData
from hocbench.runs.record import flat

# Facts of a manifest beside its environment.
FACTS = ("code", "revision", "device", "threads", "processes", "deterministic", "nondeterministic", "label")

USABLE = {True: "usable", False: "not usable", None: "not recorded"}
# Heading and key of crops.json.
CROPS = {
    "frames in the index": "frames",
    "with a crop": "usable",
    "of them repaired": "repaired",
    "dropped": "dropped",
    "side of a crop, pixels": "size",
}
CROPS_HEADER = ("dataset", "data", "check", *CROPS)
# What tells runs apart, and where a dataset lies, which is nobody's business.
NO_PARAMETERS = ("key.", "run", "parent", "split.path")


def crop_rows(data: ReportData) -> list[list[str]]:
    """List what became of the frames of each dataset, after `CROPS_HEADER`."""
    return [
        [
            *(data.name_of(ledger.dataset), ledger.label or "not recorded", USABLE[ledger.usable]),
            *(f"{ledger.crops[key]:,}" if key in ledger.crops else "-" for key in CROPS.values()),
        ]
        for ledger in data.ledgers
    ]


def manifest_rows(data: ReportData) -> list[list[str]]:
    """List software, machine and flags of the runs, and their values."""
    values = [
        flat({key: manifest.get(key) for key in FACTS} | {"environment": manifest.get("environment", {})})
        for manifest in data.manifests
    ]
    keys = list(dict.fromkeys(key for value in values for key in value))
    keys.sort(key=lambda key: (key.startswith("environment."), key))
    return [[key.removeprefix("environment."), _distinct(value.get(key) for value in values)] for key in keys]


def parameter_table(data: ReportData) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of all parameters, a column per dataset."""
    specs: dict[str, list[dict[str, Any]]] = {}
    for manifest in data.manifests:
        values = flat(manifest["spec"])
        values = {k: v for k, v in values.items() if v is not None and not k.startswith(NO_PARAMETERS)}
        specs.setdefault(str(manifest["spec"]["key"].get("dataset")), []).append(values)
    datasets = data.in_order(specs)
    keys = sorted({key for values in specs.values() for value in values for key in value})
    rows = [
        [key, *(_distinct(value[key] for value in specs[name] if key in value) for name in datasets)] for key in keys
    ]
    return ["parameter", *map(data.name_of, datasets)], rows


def _distinct(values: Iterable[Any]) -> str:
    """Write the values that there are, with the number of runs if there are several."""
    counts: dict[str, int] = {}
    for value in values:
        if value is None:
            text = "none"
        elif isinstance(value, list):
            text = ", ".join(map(str, value)) or "none"
        else:
            text = str(value)
        counts[text] = counts.get(text, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{text} ({count})" for text, count in sorted(counts.items()))
