"""Hashes of data compared, and on which CPUs they have to be the same."""

import pytest

from hocbench.verify.data import DataRow, compare_hashes, unpromised

MACHINE, CAPABILITY = "environment.machine", "environment.torch.cpu_capability"
ASKED = "environment.instructions.ATEN_CPU_CAPABILITY"


def test_what_is_equal_different_and_only_on_one_side():
    reference = {"sewa": {"crops.npy": "1", "index.json": "2", "splits.csv": "3"}, "afew_va": {"crops.npy": "4"}}
    here = {"sewa": {"crops.npy": "1", "index.json": "9", "rendered files": "5"}, "affectnet": {"crops.npy": "6"}}
    assert compare_hashes(reference, here) == [
        DataRow("sewa", "crops.npy", True),
        DataRow("sewa", "index.json", False),
        DataRow("sewa", "splits.csv", None),
        DataRow("sewa", "rendered files", None),
        DataRow("afew_va", "crops.npy", None),
        DataRow("affectnet", "crops.npy", None),
    ]


@pytest.mark.parametrize(
    ("recorded", "why"),
    [
        ({MACHINE: "x86_64", CAPABILITY: "AVX2", ASKED: "avx2"}, ""),
        ({MACHINE: "x86_64", CAPABILITY: "AVX512"}, ""),
        ({MACHINE: "AMD64", CAPABILITY: "AVX2"}, ""),
        # Somebody asked for less than the CPU has.
        ({MACHINE: "x86_64", CAPABILITY: "DEFAULT", ASKED: "default"}, ""),
        ({MACHINE: "x86_64", CAPABILITY: "DEFAULT"}, "bytes are not promised on this CPU (no AVX2)"),
        ({MACHINE: "aarch64", CAPABILITY: "DEFAULT"}, "bytes are not promised on this CPU (aarch64)"),
        ({MACHINE: "arm64", CAPABILITY: "DEFAULT"}, "bytes are not promised on this CPU (arm64)"),
    ],
)
def test_what_a_manifest_says_of_its_cpu(recorded, why):
    assert unpromised(recorded) == why
