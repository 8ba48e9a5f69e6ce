"""What a run was: versions, machine, flags and hashes; never paths, environment variables or secrets."""

import os
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hocbench.arithmetic import asked

PACKAGES = ("torch", "numpy", "pandas", "accelerate", "safetensors", "opencv-python-headless", "av")


def environment() -> dict[str, Any]:
    """Name the software and the machine, by what can change a result; nothing here tells whose machine it is.

    Returns
    -------
    dict
        python, packages (version by name), c_library, processor, machine (such as x86_64), cpus (those that this
        process may use), instructions (see `hocbench.arithmetic.asked`) and, where torch is loaded, torch: version
        with the tag of its build, cuda, cudnn, cpu_capability, gpu and driver, None for what is not there.
    """
    values: dict[str, Any] = {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "c_library": " ".join(platform.libc_ver()).strip(),
        "processor": _processor(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instructions": asked(),
    }
    # A job that only draws or counts has no use for torch and should not wait for it.
    return values | {"torch": _torch_build()} if "torch" in sys.modules else values


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _torch_build() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "driver": _driver(Path("/proc/driver/nvidia/version")) if cuda else None,
    }


def _driver(info: Path) -> str | None:
    """Return the version number alone: the line also names who built the driver, and where."""
    text = info.read_text() if info.is_file() else ""
    match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return match[1] if match else None
