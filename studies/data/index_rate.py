"""An AffectNet index of full size, without a single picture."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from hocbench.datasets.layouts import COLUMNS, IMAGES, LISTS
from hocbench.errors import BenchmarkError
from hocbench.seeds import generator

BLOCK_ROWS = 10_000
# Rows that are not kept: uncertain labels and failed landmarks.
UNCERTAIN_SHARE, FAILED_SHARE = 0.2, 0.01


def measure(folder: Path, rows: int) -> tuple[float, float]:
    """Read and write an index in a process of its own: CPU seconds, start of Python included, and peak MiB."""
    root, out = folder / "affectnet", folder / "prepared"
    write_lists(root, rows)
    command = [sys.executable, "-m", "hocbench", "index", "affectnet", str(root), str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    message = process.stderr.read() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchmarkError(f"the index of {rows} rows failed: {message.strip()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_lists(root: Path, rows: int) -> None:
    """Write both lists with random labels, boxes and landmarks."""
    (root / IMAGES).mkdir(parents=True)
    (root / LISTS).mkdir()
    rng = generator(0, use="data benchmark")
    for split, count in (("training", rows - rows // 80), ("validation", rows // 80)):
        with (root / LISTS / f"{split}.csv").open("w", encoding="utf-8", newline="\n") as file:
            file.write(",".join(COLUMNS) + "\n")
            for start in range(0, count, BLOCK_ROWS):
                file.writelines(_rows(split, start, min(BLOCK_ROWS, count - start), rng))


def _rows(split: str, start: int, count: int, rng: np.random.Generator) -> list[str]:
    labels = rng.uniform(-1, 1, (count, 2))
    is_kept = rng.random((count, 2)) > (UNCERTAIN_SHARE, FAILED_SHARE)
    boxes = rng.integers(20, 400, (count, 4))
    points = rng.uniform(20, 400, (count, 136)).round(2)
    lines = []
    for i in range(count):
        number = start + i
        # An expression from 0 to 7 has labels, 9 is called uncertain.
        values, expression = (labels[i], number % 8) if is_kept[i, 0] else ((-2.0, -2.0), 9)
        landmarks = ";".join(map(str, points[i].tolist())) if is_kept[i, 1] else ""
        cells = [f"{number // 1000}/{split}{number:06d}.jpg", *map(str, boxes[i]), landmarks, str(expression)]
        lines.append(",".join([*cells, *(f"{value:.6f}" for value in values)]) + "\n")
    return lines
