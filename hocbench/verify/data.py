"""Data compared with those of the reference, by their hashes; see `hocbench.datasets.hashes`."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hocbench.arithmetic import MACHINES, has_instructions
from hocbench.datasets.hashes import Hashes

WITHOUT = {"DEFAULT", "NO AVX"}  # what torch says of a CPU without AVX2


@dataclass(frozen=True)
class DataRow:
    """One file of a data set, or all rendered ones.

    Attributes
    ----------
    dataset, what : str
        Which.
    same : bool or None
        Whether it is equal; None where the reference or this machine does not have it.
    """

    dataset: str
    what: str
    same: bool | None


def compare_hashes(reference: Hashes, here: Hashes) -> list[DataRow]:
    """Compare the data of two machines, in the order of the reference, then what is only here.

    Parameters
    ----------
    reference, here : dict of str to dict
        From `hocbench.datasets.hashes.read_hashes`.
    """
    rows = []
    for dataset in dict.fromkeys((*reference, *here)):
        there, own = reference.get(dataset, {}), here.get(dataset, {})
        for what in dict.fromkeys((*there, *own)):
            same = there[what] == own[what] if what in there and what in own else None
            rows.append(DataRow(dataset, what, same))
    return rows


def unpromised(recorded: Mapping[str, Any] | None = None) -> str:
    """Say why data need not be the same bytes as elsewhere; empty on a CPU of x86-64-v3, where they are.

    Parameters
    ----------
    recorded : mapping or None
        Flattened manifest of a run, see `hocbench.runs.record.Record`; None asks this machine.
    """
    if recorded is None:
        machine, enough = platform.machine(), has_instructions()
    else:
        machine = str(recorded.get("environment.machine"))
        # Torch looks for AVX2 and FMA itself, unless it is asked for less.
        asked = recorded.get("environment.instructions.ATEN_CPU_CAPABILITY")
        capability = recorded.get("environment.torch.cpu_capability")
        enough = machine in MACHINES and (asked is not None or capability not in WITHOUT)
    why = "no AVX2" if machine in MACHINES else machine
    return "" if enough else f"bytes are not promised on this CPU ({why})"
