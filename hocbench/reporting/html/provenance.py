"""Where results come from: data, software, machine and parameters."""

from collections.abc import Iterable
from typing import Any

from hocbench.reporting.html.elements import Html, details, element, number, prose, section, table
from hocbench.reporting.html.ledger import Ledger
from hocbench.reporting.html.material import Material
from hocbench.reporting.markdown import records
from hocbench.runs.record import flat

# Facts of a manifest beside its environment.
FACTS = ("code", "revision", "device", "threads", "processes", "deterministic", "nondeterministic", "label")

USABLE = {True: "usable", False: "not usable", None: "not recorded"}
# Heading and key of crops.json.
CROPS = (
    *(("frames in the index", "frames"), ("with a crop", "usable"), ("of them repaired", "repaired")),
    *(("dropped", "dropped"), ("side of a crop, pixels", "size")),
)
# What tells runs apart, and where a dataset lies, which is nobody's business.
NO_PARAMETERS = ("key.", "run", "parent", "split.path")


def data_section(found: Material) -> Html:
    """Write what became of the frames of each dataset."""
    note = (
        "Frames that could not be used, or whose crop was repaired, by the step that found it. Pictures are left out: "
        "those of real people are not ours to hand on."
    )
    if not found.ledgers:
        return section("data", "Data ledger", element("p", "No dataset is there."))
    header = ("dataset", "data", "check", *(title for title, _ in CROPS))
    rows = [
        [found.name_of(ledger.dataset), ledger.label or "not recorded", USABLE[ledger.usable], *_crops(ledger)]
        for ledger in found.ledgers
    ]
    parts = [
        _ledger(ledger, found.name_of(ledger.dataset), f"data-{place}") for place, ledger in enumerate(found.ledgers, 1)
    ]
    return section("data", "Data ledger", element("p", note), table("All datasets", header, rows), *parts)


def _crops(ledger: Ledger) -> list[str]:
    return [number(str(ledger.crops[key])) if key in ledger.crops else "-" for _, key in CROPS]


def _ledger(ledger: Ledger, title: str, anchor: str) -> Html:
    parts = [element("p", prose(f"Missing: {problem}")) for problem in ledger.problems]
    if ledger.counts is not None and len(ledger.counts):
        counts = ledger.counts.sort_values(["step", "reason", "action"])
        rows = [[row["reason"], row["action"], row["step"], f"{row['frames']:,}"] for row in records(counts)]
        parts.append(table(f"Ledger of {ledger.dataset}", ("reason", "action", "step", "frames"), rows))
    elif ledger.counts is not None:
        parts.append(element("p", "No frame was dropped or repaired."))
    if ledger.parts:
        rows = [
            [fold, part, *(number(str(content.get(key, ""))) for key in ("frames", "clips", "subjects"))]
            for fold, held in ledger.parts.items()
            for part, content in held.items()
        ]
        header = ("fold", "part", "frames", "clips", "subjects")
        parts.append(details("Split", table(f"Split of {ledger.dataset}", header, rows)))
    if ledger.check:
        text = element("pre", ledger.check, tabindex=0, role="region", aria_label=f"Check of {ledger.dataset}")
        parts.append(details("Check of the copy in full", text))
    return section(anchor, title, *parts, level=3)


def manifest_section(found: Material) -> Html:
    """Write the software, the machine and the parameters of the runs."""
    manifests = found.manifests
    if not manifests:
        return section("manifest", "Manifest", element("p", "No manifest of a run is there."))
    values = [
        flat({key: manifest.get(key) for key in FACTS} | {"environment": manifest.get("environment", {})})
        for manifest in manifests
    ]
    keys = list(dict.fromkeys(key for value in values for key in value))
    keys.sort(key=lambda key: (key.startswith("environment."), key))
    rows = [[key.removeprefix("environment."), _distinct(value.get(key) for value in values)] for key in keys]
    return section(
        "manifest",
        "Manifest",
        element("p", f"What the {len(manifests)} finished runs recorded; where they differ, with the number of runs."),
        table("Versions, machine and flags", ("what", "value"), rows),
        section("parameters", "Parameters", *_parameters(found), level=3),
    )


def _parameters(found: Material) -> list[Html]:
    specs: dict[str, list[dict[str, Any]]] = {}
    for manifest in found.manifests:
        values = flat(manifest["spec"])
        values = {k: v for k, v in values.items() if v is not None and not k.startswith(NO_PARAMETERS)}
        specs.setdefault(str(manifest["spec"]["key"].get("dataset")), []).append(values)
    datasets = found.in_order(specs)
    keys = sorted({key for values in specs.values() for value in values for key in value})
    rows = [
        [key, *(_distinct(value[key] for value in specs[name] if key in value) for name in datasets)] for key in keys
    ]
    note = "Of all runs, with their stages; what a dataset or a network does not have is left empty."
    header = ("parameter", *(found.name_of(name) for name in datasets))
    return [element("p", note), table("Parameters", header, rows)]


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
