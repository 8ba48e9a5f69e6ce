"""Why two runs may differ: their manifests compared, the likeliest reasons first."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hocbench.experiment.spec import is_neutral
from hocbench.runs.record import Record, read_record

# A digest is known by its first digits.
DIGEST_LENGTH, SHOWN_DIGITS = 64, 12
SEEDS = ("spec.root_seed", "spec.key.seed", "spec.split.seed", "spec.data.synthetic.seed")
SOFTWARE = tuple(
    f"environment.{key}" for key in ("python", "packages", "c_library", "torch.version", "torch.cuda", "torch.cudnn")
)
PARENT = ("inputs.parent", "inputs.parent_weights")
MACHINE = ("environment", "processors", "device", "threads", "processes", "spec.determinism")
DETERMINISM = ("deterministic", "nondeterministic")


@dataclass(frozen=True)
class Group:
    """A kind of reason.

    Attributes
    ----------
    name, meaning : str
        What it is called, and how it makes outputs differ.
    keys : tuple of str
        Keys of the flattened manifest, with all keys below them; the longest one that fits a key decides.
    expected : bool
        Whether every run has such keys.
    """

    name: str
    meaning: str
    keys: tuple[str, ...]
    expected: bool = True


# In the order in which they should be looked at.
GROUPS = (
    Group("parameters", "another experiment was asked for", ("spec",)),
    Group("seeds", "other random numbers: first weights, order of batches, augmentation, splits", SEEDS),
    Group("data", "other crops, or other frames of them", ("inputs", "frames", "frames_without_crop", "label")),
    Group("parent run", "training began with another network; compare the two parents in the same way", PARENT),
    Group("code", "sources that training depends on were edited", ("code",)),
    Group("batches", "gradients and BatchNorm statistics come from other parts of a batch", ("batch",)),
    Group(
        "implementations of layers",
        "factors were multiplied in another order, which rounds differently",
        ("paths",),
        False,
    ),
    Group("software", "another version may compute the same formula with another rounding", SOFTWARE),
    Group("machine", "sums are taken in another order, and training makes such roundings grow", MACHINE),
    Group("determinism", "without it, sums are taken in an order that changes from run to run", DETERMINISM),
    Group("interruptions", "a stopped run goes on from its checkpoint, which should change nothing", ("attempts",)),
    Group("other", "recorded by a version of hocbench that knows more than this one", ("",), False),
)
# What names a run, says something twice, or is a result.
IGNORED = (
    *("run", "spec.run", "spec.parent", "spec.threads", "spec.processes", "files", "revision", "sources"),
    "recovered_epoch",
)


@dataclass(frozen=True)
class Difference:
    """One key whose values differ; None where a manifest does not record it, else the value as it is shown."""

    key: str
    a: str | None
    b: str | None

    @property
    def certain(self) -> bool:
        """Whether both manifests record it."""
        return self.a is not None and self.b is not None

    @property
    def shown(self) -> tuple[str, str]:
        """Both values, for people."""
        return self.a or "not recorded", self.b or "not recorded"


@dataclass(frozen=True)
class Comparison:
    """What two manifests say of each other.

    Attributes
    ----------
    a, b : Record
        The manifests.
    outputs : dict of str to bool or None
        By output file: whether it is equal, None if a manifest does not record it.
    reasons : tuple of (Group, tuple of Difference)
        The likeliest group first; in a group, what both record comes first.
    equal, unrecorded : tuple of str
        Names of the groups in which all is equal, and of those that neither manifest records.
    """

    a: Record
    b: Record
    outputs: dict[str, bool | None]
    reasons: tuple[tuple[Group, tuple[Difference, ...]], ...]
    equal: tuple[str, ...]
    unrecorded: tuple[str, ...]

    @property
    def differ(self) -> bool:
        """Whether an output is known to differ."""
        return False in self.outputs.values()

    @property
    def same_outputs(self) -> bool:
        """Whether outputs are recorded, and all of them are equal."""
        return bool(self.outputs) and all(self.outputs.values())

    @property
    def certain(self) -> bool:
        """Whether anything else differs that both record."""
        return any(difference.certain for _, differences in self.reasons for difference in differences)


def compare(a: Path, b: Path) -> Comparison:
    """Compare what two runs, by directory or manifest.json, recorded; see `hocbench.runs.record.read_record`."""
    return compare_records(read_record(a), read_record(b))


def compare_records(first: Record, second: Record) -> Comparison:
    """Compare two manifests that have been read; see `compare`."""
    by_group: dict[str, list[str]] = {group.name: [] for group in GROUPS}
    for key in dict.fromkeys((*first.values, *second.values)):
        if is_compared(key):
            by_group[_group_of(key).name].append(key)
    reasons = [(group, _differences(by_group[group.name], first, second)) for group in GROUPS]
    return Comparison(
        a=first,
        b=second,
        outputs=_compare_outputs(first.outputs, second.outputs),
        reasons=tuple((group, differences) for group, differences in reasons if differences),
        equal=tuple(group.name for group, differences in reasons if by_group[group.name] and not differences),
        unrecorded=tuple(group.name for group in GROUPS if group.expected and not by_group[group.name]),
    )


def is_compared(key: str) -> bool:
    """Whether a key of a flattened manifest can explain anything."""
    return not any(_below(key, ignored) for ignored in IGNORED)


def _below(key: str, start: str) -> bool:
    return not start or key == start or key.startswith(start + ".")


def _group_of(key: str) -> Group:
    fitting = [(len(start), group) for group in GROUPS for start in group.keys if _below(key, start)]
    return max(fitting, key=lambda pair: pair[0])[1]


def _differences(keys: Iterable[str], a: Record, b: Record) -> tuple[Difference, ...]:
    differences = []
    for key in keys:
        recorded = key in a.values, key in b.values
        # A layer that only one of the networks has shows nothing of the order of its computation.
        if not all(recorded) and _below(key, "paths"):
            continue
        # A parameter that one of them was recorded before.
        if not all(recorded) and _below(key, "spec") and is_neutral(key[5:], (a.values | b.values)[key]):
            continue
        if not all(recorded) or a.values[key] != b.values[key]:
            name = key.removeprefix("spec.").removeprefix("environment.")
            texts = [_text(record.values[key]) if key in record.values else None for record in (a, b)]
            differences.append(Difference(name, *texts))
    return tuple(sorted(differences, key=lambda difference: not difference.certain))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, str) and value.isprintable() and value.strip():
        digest = len(value) == DIGEST_LENGTH and all(digit in "0123456789abcdef" for digit in value)
        return value[:SHOWN_DIGITS] + "..." if digest else value
    return "none" if value is None else json.dumps(value)


def _compare_outputs(a: dict[str, str], b: dict[str, str]) -> dict[str, bool | None]:
    names = sorted(a.keys() | b.keys())
    return {name: a[name] == b[name] if name in a and name in b else None for name in names}


def describe(comparison: Comparison) -> str:
    """Render a comparison as plain text: the verdict, the reasons, and what cannot be the cause."""
    changed = [
        f"{side.path}: {name} is no longer the file that the manifest records; copy it back or run it again"
        for side in (comparison.a, comparison.b)
        for name in side.changed
    ]
    parts = [
        [f"A  {comparison.a.path}", f"B  {comparison.b.path}"],
        [_verdict(comparison.outputs), *changed],
        _reasons(comparison),
        _remaining(comparison),
        _rest(comparison),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _verdict(outputs: dict[str, bool | None]) -> str:
    differing, equal, unknown = ([n for n, same in outputs.items() if same is kind] for kind in (False, True, None))
    if not differing and not equal:
        return "Outputs cannot be compared: their hashes are not recorded in both manifests."
    text = f"Outputs differ: {', '.join(differing)}" if differing else f"Outputs identical: {', '.join(equal)}"
    text += f"; equal: {', '.join(equal)}" if differing and equal else ""
    return text + (f"; not recorded in both: {', '.join(unknown)}" if unknown else "") + "."


def _reasons(comparison: Comparison) -> list[str]:
    if not comparison.reasons:
        return [] if comparison.differ else ["Nothing that they record differs."]
    if not comparison.differ:
        lines = ["These differences made no difference:" if True in comparison.outputs.values() else "What differs:"]
    elif comparison.certain:
        lines = ["What may explain it, the likeliest first:"]
    else:
        lines = ["What only one of them records, and may explain it:"]
    for number, (group, differences) in enumerate(comparison.reasons, 1):
        lines.append(f"{number}. {group.name}: {group.meaning}")
        lines += [f"   {difference.key}: {' -> '.join(difference.shown)}" for difference in differences]
    return lines


def _doubts(comparison: Comparison) -> list[str]:
    """Name what changes from run to run, as far as the manifests tell."""
    lines = []
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        if side.values.get("deterministic") is False:
            lines.append(f"- deterministic mode was off in {name}")
        operations = side.values.get("nondeterministic")
        if operations or (operations is None and not comparison.certain):
            known = "not recorded" if operations is None else _text(operations)
            lines.append(f"- operations of {name} without a deterministic implementation: {known}")
    return lines


def _remaining(comparison: Comparison) -> list[str]:
    if not comparison.differ:
        return []
    doubts = _doubts(comparison)
    if comparison.certain:
        return ["Besides, this may change from run to run:", *doubts] if doubts else []
    return [
        "Nothing that both manifests record differs. What remains:",
        *doubts,
        "- input files that were changed after their hashes were taken",
        "- an error of memory or processor; run both again: the one that comes out differently had it",
    ]


def _rest(comparison: Comparison) -> list[str]:
    lines = []
    doubtful = comparison.differ and _doubts(comparison)
    equal = [name for name in comparison.equal if not (doubtful and name == "determinism")]
    if equal:
        lines.append(f"{'Equal, so not the cause' if comparison.differ else 'Equal'}: {', '.join(equal)}.")
    if comparison.unrecorded:
        lines.append(f"Recorded by neither: {', '.join(comparison.unrecorded)}.")
    return lines
