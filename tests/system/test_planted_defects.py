"""Defects planted one by one into a reproduction on another machine: each is called different, and nothing else is.

One computer is several laboratories by the instructions that its libraries are allowed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hocbench.verify import record
from hocbench.verify import verify as compare
from hocbench.verify.compare import DIFFERENT, MISSING
from hocbench.verify.tables import TABLES
from tests.system.planted import DEFECTS, ROOT

pytestmark = pytest.mark.system
NATIVE = {"MKL_CBWR": "AUTO", "ONEDNN_MAX_CPU_ISA": "ALL"}
# A CPU without them stops at the first one; it then is the laboratory "avx2" twice, which counts once.
WIDEST = "avx512" if "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split() else "avx2"
LABORATORIES = {
    "portable": {},
    "native": NATIVE | {"ATEN_CPU_CAPABILITY": WIDEST},
    "avx2": NATIVE | {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse": NATIVE | {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "threads": {"THREADS": "2"},
}
ELSEWHERE = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX", "ONEDNN_MAX_CPU_ISA": "AVX"}


def reproduce(folder, instructions, *options):
    environment = os.environ | instructions | {"HOCBENCH_TRACKING": "off", "PYTHONPATH": str(ROOT)}
    threads = environment.pop("THREADS", "1")
    overlays = ROOT / "params" / "tiny.yaml", ROOT / "tests" / "system" / "planted.yaml"
    command = [sys.executable, "-m", "tests.system.planted", str(folder), *map(str, overlays)]
    command += ["--threads", threads, *options]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "results" / "tiny"


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratories")
    for name, instructions in LABORATORIES.items():
        results = reproduce(folder / name, instructions)
        own = name == "portable"
        place = folder / "reference" if own else folder / "reference" / "laboratories" / name
        record(results, place, "reference" if own else name)
    return folder / "reference"


def shown_in(found):
    """Name what shows a defect, the first first."""
    tables = [
        table.name
        for table in TABLES
        if any(c.table == table.name and c.outcome in (DIFFERENT, MISSING) for c in found.cells)
    ]
    return [*["data"] * (not found.data_agree), *["conclusions"] * (not found.conclusions_agree), *tables]


def test_an_undisturbed_machine_reproduces_the_reference(reference, tmp_path):
    found = compare(reproduce(tmp_path / "elsewhere", ELSEWHERE), reference)
    assert not found.bytes.comparable
    assert shown_in(found) == []
    assert found.reproduced and not found.faults


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_called_different(reference, tmp_path, name):
    found = compare(reproduce(tmp_path / "elsewhere", ELSEWHERE, "--defect", name), reference)
    places = shown_in(found)
    sys.stdout.write(f"{name}: {', '.join(places)}\n")
    assert not found.reproduced
    assert DEFECTS[name][1] in places
