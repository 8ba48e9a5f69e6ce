"""The inventory of a dataset in words."""

from typing import Any

SHOWN_FILES = 10
# Notes of `hocbench.datasets.holdings` and of the adapters; others are called by their key.
WORDS = {
    "left_behind": "left by systems and programs, not part of the data",
    "not_recognised": "not recognised, not read",
    "held_twice": "held twice, the same bytes",
    "read_under_another_name": "found under another name",
    "pictures_not_in_the_json_file": "pictures that the JSON file does not list, not read",
    "pictures_not_in_the_lists": "pictures that neither list names, not read",
    "excluded": "left out by name (exclude)",
    "persons_in_several_spellings": "one person in several spellings, taken as one",
    "persons_who_may_be_one": "WARNING: perhaps one person under two names, taken as two; correct the names",
}
HOW_READ = {
    "to the end": "each read and decoded to its end",
    "headers only": "of which only the headers were read (--quick); damage behind them is not looked for",
}
BAR = 30  # characters of the longest bar of a histogram


def describe_inventory(inventory: dict[str, Any]) -> str:
    """Write an inventory as text for a terminal; the JSON beside it names every file.

    Parameters
    ----------
    inventory : dict
        From `hocbench.datasets.check.check_dataset`, or `refused`.
    """
    verdict = "usable" if inventory["usable"] else "NOT USABLE"
    lines = [f"{inventory['dataset']}: {verdict}", *(f"  {line}" for line in inventory["problems"])]
    if "splits" not in inventory:
        return "\n".join(lines) + "\n"
    if inventory["label"] == "synthetic":
        lines.append("  SYNTHETIC data, no real person in it")
    lines += ["", "layout", *_notes(inventory["layout"])]
    lines += ["", "frames", *_splits(inventory)]
    lines += [f"  {status}: {count:,}" for status, count in inventory["statuses"].items()]
    lines.append(f"  without landmarks: {inventory['landmarks_failed_share']:.2%}")
    lines += [f"  landmarks: {remark}" for remark in inventory["landmarks_remarks"]]
    lines += _named("with most points, or the box, outside the picture", inventory["landmarks_outside"])
    for target, histogram in inventory["labels"].items():
        lines += ["", _range(target, histogram), *_bars(histogram)]
    lines += ["", f"files: {inventory['files']:,}, {HOW_READ[inventory['read']]}"]
    lines += _named("missing", inventory["missing"])
    lines += _named("unreadable", [f"{source} ({why})" for source, why in inventory["unreadable"].items()])
    lines += _named("in two splits or of two subjects", [" = ".join(pair) for pair in inventory["duplicates"]])
    return "\n".join(lines) + "\n"


def _notes(notes: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in notes.items():
        if key == "expressions":
            continue
        what = WORDS.get(key, key.replace("_", " "))
        if isinstance(value, list):
            lines += _named(what, value)
        else:
            lines.append(f"  {what}: {_note(value)}")
    return lines


def _note(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    shown = [f"{name} {count:,}" if isinstance(count, int) else f"{name} {count}" for name, count in value.items()]
    rest = [f"and {len(shown) - SHOWN_FILES:,} more"] if len(shown) > SHOWN_FILES else []
    return ", ".join(shown[:SHOWN_FILES] + rest)


def _splits(inventory: dict[str, Any]) -> list[str]:
    return [
        f"  {split}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items())
        for split, counts in inventory["splits"].items()
    ]


def _range(target: str, histogram: dict[str, Any]) -> str:
    if histogram["min"] is None:
        return f"{target}: no label"
    return f"{target} from {histogram['min']:.3f} to {histogram['max']:.3f}"


def _bars(histogram: dict[str, Any]) -> list[str]:
    edges, counts = histogram["edges"], histogram["counts"]
    most = max(*counts, 1)
    return [
        f"  {low:+.1f} to {high:+.1f} {'█' * round(BAR * count / most):<{BAR}} {count:,}"
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _named(what: str, names: list[str]) -> list[str]:
    lines = [f"  {what}: {len(names):,}", *(f"    {name}" for name in names[:SHOWN_FILES])]
    if len(names) > SHOWN_FILES:
        lines.append(f"    and {len(names) - SHOWN_FILES:,} more; check.json, which --out writes, names all")
    return lines
