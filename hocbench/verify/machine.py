"""On what machines runs were made, and the bytes that then have to be the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hocbench.arithmetic import PORTABLE
from hocbench.verify.laboratory import Laboratory, Runs
from hocbench.verify.runs import PROCESSORS, Pairing
from hocbench.verify.tables import EXEMPT

CPU, ARITHMETIC = "CPU type", "arithmetic"
# What a machine is, in the words of a report, and what tells it.
SETTING = {
    CPU: ("environment.processor", PROCESSORS),
    "CPU instructions": ("environment.torch.cpu_capability",),
    ARITHMETIC: (),
    "device": ("device",),
    "threads": ("threads",),
    "processes": ("processes",),
    "torch": ("environment.torch.version",),
    "numpy": ("environment.packages.numpy",),
}
ASKED = "environment.instructions."


@dataclass(frozen=True)
class Bytes:
    """Files compared byte by byte.

    Attributes
    ----------
    setting : dict of str to (list of str, list of str)
        What the machines are: values in the reference, and here.
    recorded : bool
        Whether the reference records its machine.
    portable : bool
        Whether all runs, there and here, used instructions that every CPU with AVX2 has.
    files : dict of str to bool or None
        Whether a file is equal; None where it is not here. Empty if bytes cannot be compared.
    """

    setting: dict[str, tuple[list[str], list[str]]]
    recorded: bool
    portable: bool
    files: dict[str, bool | None]

    @property
    def certain(self) -> bool:
        """Whether bytes have to be equal: one CPU type, the same versions, and as many threads."""
        return self.recorded and all(len(a) <= 1 and a == b for a, b in self.setting.values())

    @property
    def comparable(self) -> bool:
        """Whether bytes should be equal: that, or portable arithmetic on another CPU type."""
        alike = all(len(a) <= 1 and a == b for what, (a, b) in self.setting.items() if what != CPU)
        return self.certain or (self.recorded and self.portable and alike)

    @property
    def broken(self) -> bool:
        """Whether bytes differ that have to be equal; what the runs wrote, since tables are compared as numbers."""
        return self.certain and any(equal is False for name, equal in self.files.items() if name.startswith("runs/"))


def compare_bytes(reference: Laboratory, here: Laboratory, pairing: Pairing) -> Bytes:
    """Compare the files that hold no times, and what paired runs wrote, if machines should write them alike."""
    a, b = settings(reference.runs), settings(here.runs)
    portable = all(is_portable(run.values) for run in (*reference.runs.values(), *here.runs.values()))
    compared = Bytes({what: (a[what], b[what]) for what in SETTING}, bool(reference.runs), portable, {})
    if not compared.comparable:
        return compared
    for path in reference.files:
        if path.stem not in EXEMPT:
            name = path.relative_to(reference.folder)
            other = here.folder / name
            compared.files[name.as_posix()] = path.read_bytes() == other.read_bytes() if other.is_file() else None
    for run, comparison in pairing.comparisons.items():
        compared.files[f"runs/{run}"] = not comparison.differ
    return compared


def is_portable(values: Mapping[str, Any]) -> bool:
    """Whether a run, by its flattened manifest, used instructions of every CPU with AVX2, and no others."""
    asked = all(values.get(ASKED + name) == value for name, value in PORTABLE.items())
    return asked and values.get("device") == "cpu" and values.get("environment.torch.cpu_capability") == "AVX2"


def settings(runs: Runs) -> dict[str, list[str]]:
    """Describe on what machines runs were made: the words of `SETTING`, and all values of each."""
    values = {what: values_of(runs, *keys) for what, keys in SETTING.items()}
    return values | {ARITHMETIC: sorted({_arithmetic(run.values) for run in runs.values()})}


def values_of(runs: Runs, *keys: str) -> list[str]:
    """Collect, as text, what the manifests of runs have under some keys; lists count by their items."""
    values = [run.values.get(key) for run in runs.values() for key in keys]
    items = (item for value in values for item in (value if isinstance(value, list) else [value]))
    return sorted({str(item) for item in items if item is not None})


def _arithmetic(values: Mapping[str, Any]) -> str:
    if is_portable(values):
        return "portable"
    asked = [f"{key.removeprefix(ASKED)}={value}" for key, value in sorted(values.items()) if key.startswith(ASKED)]
    return " ".join(asked) or "native"
