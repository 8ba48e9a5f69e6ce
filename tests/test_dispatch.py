"""Data are the same bytes whichever instructions OpenCV, IPP, numpy and OpenBLAS choose of those that a CPU has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from hocbench.arithmetic import has_instructions

pytestmark = pytest.mark.skipif(not has_instructions(), reason="bytes are promised on CPUs with AVX2 alone")
ROOT = Path(__file__).parents[1]
VARIABLES = ("OPENCV_IPP", "OPENCV_CPU_DISABLE", "NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE")
# OpenCV says of a name that this CPU lacks no more than that it lacks it.
OPENCV_512 = "AVX512_SKX,AVX512_CNL,AVX512_CLX,AVX512_ICL"


def numpy_features(*kept):
    """Name what numpy chooses from and this CPU has, but for some."""
    return " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name] and name not in kept)


# Libraries that know nothing of each other are changed together.
SETTINGS = {
    "IPP and OpenBLAS of old CPUs": {"OPENCV_IPP": "sse42", "OPENBLAS_CORETYPE": "Nehalem"},
    "IPP with AVX2, numpy without AVX-512": {
        "OPENCV_IPP": "avx2",
        "NPY_DISABLE_CPU_FEATURES": numpy_features("X86_V3"),
    },
    "IPP with AVX-512, other OpenBLAS": {"OPENCV_IPP": "avx512", "OPENBLAS_CORETYPE": "Zen"},
    "OpenCV without AVX-512": {"OPENCV_CPU_DISABLE": OPENCV_512},
    "OpenCV and numpy without AVX2": {
        "OPENCV_CPU_DISABLE": f"AVX2,{OPENCV_512}",
        "NPY_DISABLE_CPU_FEATURES": numpy_features(),
    },
}


def make(folder, setting, *words):
    free = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment = free | {"PYTHONPATH": str(ROOT)} | {name: value for name, value in setting.items() if value}
    command = [sys.executable, "-m", "tests.data_program", str(folder), *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def differing(a, b):
    return [name for name in a.keys() | b.keys() if a.get(name) != b.get(name)]


@pytest.fixture(scope="module")
def natural(tmp_path_factory):
    made = make(tmp_path_factory.mktemp("natural"), {})
    assert not made["ipp"]
    return made["files"]


def test_all_kinds_of_files_are_compared(natural):
    ends = {Path(name).suffix for name in natural}
    assert ends >= {".jpg", ".avi", ".png", ".parquet", ".npy", ".json", ".csv", ".txt"}
    for name in ("crops.npy", "ledger.csv", "splits.csv", "index.parquet", "frames.parquet", "check.json"):
        assert sum(path.endswith(f"/{name}") for path in natural) == 9, name


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_changes_a_byte(natural, tmp_path, setting):
    assert differing(natural, make(tmp_path, SETTINGS[setting])["files"]) == []


def test_with_ipp_the_bytes_are_others(natural, tmp_path):
    """What the tests above would find if OpenCV were imported as it is."""
    made = make(tmp_path, {"OPENCV_IPP": "sse42"}, "ipp")
    if not made["ipp"]:
        pytest.skip("this build of OpenCV has no IPP")
    found = differing(natural, made["files"])
    # The pictures themselves, and crops with and without landmarks.
    for part in ("rendered/", "landmarks/", "detector/"):
        assert any(name.startswith(part) for name in found), part
