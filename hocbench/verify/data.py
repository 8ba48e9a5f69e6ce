"""Data compared with those of the reference, by their hashes; see `hocbench.datasets.hashes`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hocbench.arithmetic import MACHINES
from hocbench.datasets.hashes import Hashes

WITHOUT = {"DEFAULT", "NO AVX"}  # what torch says of a CPU without AVX2


@dataclass(frozen=True)
class DataRow:
    """One file of a data set, or all rendered ones; ``same`` is None where one side does not have it."""

    dataset: str
    what: str
    same: bool | None


def compare_hashes(reference: Hashes, here: Hashes) -> list[DataRow]:
    """Compare the data of two machines, in the order of the reference, then what is only here."""
    rows = []
    for dataset in dict.fromkeys((*reference, *here)):
        a, b = reference.get(dataset, {}), here.get(dataset, {})
        for what in dict.fromkeys((*a, *b)):
            rows.append(DataRow(dataset, what, a[what] == b[what] if what in a and what in b else None))
    return rows


def unpromised(recorded: Mapping[str, Any]) -> str:
    """Explain why data need not be the same bytes as elsewhere; empty on a CPU of x86-64-v3, where they are.

    ``recorded`` is the flattened manifest of a run, see `hocbench.runs.record.Record`.
    """
    machine = str(recorded.get("environment.machine"))
    if machine not in MACHINES:
        return f"bytes are not promised on this CPU ({machine})"
    # Torch looks for AVX2 and FMA itself, unless it is asked for less.
    asked = recorded.get("environment.instructions.ATEN_CPU_CAPABILITY")
    capability = recorded.get("environment.torch.cpu_capability")
    return "bytes are not promised on this CPU (no AVX2)" if asked is None and capability in WITHOUT else ""
