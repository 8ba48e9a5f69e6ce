"""What a process shares among all libraries, before and after ours; run as a program, it imports all of ours."""

import importlib
import locale
import logging
import multiprocessing
import os
import pkgutil
import random
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pandas as pd
import PIL.Image
import requests  # noqa: F401
import rich.style  # noqa: F401
import tensorly.decomposition
import torch
from PIL import ImageFile

# What a library does when it is imported itself is its own affair: urllib3 adds filters, rich draws a number.
LOGGERS = ("", "PIL", "matplotlib", "fontTools", "accelerate", "torch", "onnxscript", "mlflow", "urllib3", "alembic")


def snapshot() -> dict[str, Any]:
    """Take all that an import or a call must leave alone."""
    kind, keys, *rest = np.random.get_state()
    return {
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "path": list(sys.path),
        "hooks": (sys.excepthook, sys.displayhook, sys.unraisablehook),
        "signals": {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)},
        "locale": locale.setlocale(locale.LC_ALL),
        "timeout": socket.getdefaulttimeout(),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "filters": list(warnings.filters),
        "loggers": {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in LOGGERS},
        "raise": logging.raiseExceptions,
        "random": (random.getstate(), kind, keys.tolist(), rest, torch.get_rng_state().tolist()),
        "numpy": (np.geterr(), np.get_printoptions()),
        "pandas": {name: pd.get_option(name) for name in ("display.precision", "compute.use_numexpr")},
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "dtype": (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled()),
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32),
        "mkldnn": torch.backends.mkldnn.enabled,
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,
        ),
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "opencv": (cv2.getNumThreads(), cv2.useOptimized(), cv2.ocl.useOpenCL()),
        "matplotlib": {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"},
        "backend": matplotlib.rcParams._get_backend_or_none(),
        "pillow": (PIL.Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
        "tensorly": tensorly.get_backend(),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name what differs."""
    return [name for name in before if before[name] != after[name]]


def modules() -> list[str]:
    """List all modules of the package that are no programs."""
    import hocbench

    found = pkgutil.walk_packages(hocbench.__path__, "hocbench.")
    return [module.name for module in found if not module.name.endswith("__main__")]


if __name__ == "__main__":
    start = snapshot()
    for name in modules():
        importlib.import_module(name)
        if found := changes(start, snapshot()):
            sys.exit(f"import {name} changes {', '.join(found)}")
