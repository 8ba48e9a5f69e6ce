"""Which instructions the numerical libraries use: by default those that every CPU of x86-64-v3 has.

PyTorch, oneDNN, MKL and OpenBLAS choose by the CPU that they find, and so round differently on another one. They read
the variables below when they are loaded. With all of them, steps of training are the same bytes on AMD and Intel; MKL
promises that of CPUs of several makers in its mode COMPATIBLE alone. Still chosen by the CPU are square roots
(`torch.sqrt`, which approximates), and nothing else that training needs: see `hocbench.training.losses`.
"""

import os
import platform
from pathlib import Path

PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",
}
# These choose instructions too, and are left to who sets them.
OTHERS = ("MKL_ENABLE_INSTRUCTIONS", "ONEDNN_DEFAULT_FPMATH_MODE", "NPY_DISABLE_CPU_FEATURES", "OPENCV_CPU_DISABLE")
MACHINES = {"x86_64", "AMD64"}
# OpenBLAS would ask for instructions that are not there; the others look first.
NEEDED = {"avx2", "fma"}
_ours: list[str] = []  # variables that this module has set


def make_portable() -> None:
    """Ask for portable arithmetic in this process and those that it starts; to be called before numpy is imported.

    A variable that is set already stays, so that others can be tried. A CPU without the instructions is left alone.
    """
    if has_instructions():
        free = [name for name in PORTABLE if name not in os.environ]
        os.environ |= {name: PORTABLE[name] for name in free}
        _ours.extend(free)


def make_native() -> None:
    """Undo `make_portable`; to be called before torch is imported. What somebody else has set stays."""
    while _ours:
        os.environ.pop(_ours.pop(), None)


def asked() -> dict[str, str]:
    """Return the variables that are set, for manifests."""
    return {name: os.environ[name] for name in (*PORTABLE, *OTHERS) if name in os.environ}


def has_instructions() -> bool:
    """Whether this CPU is of x86-64-v3 (AVX2 and FMA), as all Intel CPUs since 2013 and AMD's since 2015 are."""
    if platform.machine() not in MACHINES:
        return False
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return set(flags) >= NEEDED
