"""The whole benchmark, from options to files."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from hocbench.errors import BenchmarkError
from hocbench.evaluation.files import write_csv
from hocbench.files.staging import staged
from hocbench.reporting.pages import write_page
from hocbench.reporting.style import save, style
from studies.speed.bars import Outcome, evaluate_bars, outcome_table, read_bars
from studies.speed.compaction import measure_compaction
from studies.speed.figure import draw_speed
from studies.speed.layers import measure_layers
from studies.speed.measurements import Measurement, to_table
from studies.speed.memory import measure_memory
from studies.speed.networks import measure_inference, measure_networks
from studies.speed.report import describe_speed
from studies.speed.roofline import measure_machine
from studies.speed.scales import find_scale
from studies.speed.steps import Bench
from studies.speed.temporal import measure_temporal
from studies.speed.timing import DTYPES, Setting

GROUPS: tuple[Callable[[Bench], list[Measurement]], ...] = (
    measure_networks,
    measure_temporal,
    measure_compaction,
    measure_inference,
    measure_memory,
)
UNFINISHED = "speed-unfinished.csv"  # what is measured so far
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What can be asked of the benchmark.

    Attributes
    ----------
    scale : {"paper", "small", "tiny"}
        Sizes; the bars are about "paper".
    threads : tuple of int
        Everything is measured with each of these numbers; on a GPU the first one is taken.
    rounds : int
        Runs of each step after one to warm up; at least 5 for numbers that are to be quoted.
    device : {"auto", "cpu", "cuda"}
        "auto" takes a GPU where there is one.
    """

    scale: str = "paper"
    threads: tuple[int, ...] = (1,)
    rounds: int = 5
    device: str = "auto"


def run_benchmark(out: Path, options: Options | None = None) -> list[Outcome]:
    """Measure everything, judge every bar in every setting, and write bars.csv, and speed as table, page and figure.

    Raises
    ------
    BenchmarkError
        If an option cannot be met, or two ways to compute the same do not agree; what was measured before is in
        `UNFINISHED`, and the files of an earlier benchmark stay.
    """
    options = options or Options()
    settings = resolve_settings(out, options)
    scale = find_scale(options.scale, settings[0].device)
    measurements: list[Measurement] = []
    out.mkdir(parents=True, exist_ok=True)
    for setting in settings:
        with setting.active():
            for rows in _measure(Bench(scale, setting, options.rounds)):
                measurements += rows
                # Should a later group fail, what was measured is there.
                write_csv(to_table(measurements), out / UNFINISHED)
    outcomes = evaluate_bars(read_bars(), measurements if scale.name == "paper" else [], settings)
    with staged(out, "bench") as folder:
        write_csv(outcome_table(outcomes), folder / "bars.csv")
        with style():
            save(draw_speed(measurements, settings), folder / "speed")
        page = describe_speed(scale, options.rounds, settings, measurements, outcomes)
        write_page(folder / "speed", page, to_table(measurements))
    (out / UNFINISHED).unlink(missing_ok=True)
    return outcomes


def resolve_settings(out: Path, options: Options) -> list[Setting]:
    """Check the options and spell out what they ask for: float32 on a CPU, float32 and bfloat16 on a GPU.

    Raises
    ------
    BenchmarkError
        If there is no such device or scale, a number is too small, there are fewer cores than threads, or ``out`` is
        a file.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if out.is_file():
        raise BenchmarkError(f"{out} is a file; give a folder")
    if options.rounds < 1:
        raise BenchmarkError(f"--rounds {options.rounds}: give at least 1, and 5 for numbers that are to be quoted")
    if not options.threads or not all(1 <= threads <= cores for threads in options.threads):
        given = ", ".join(map(str, options.threads)) or "none"
        raise BenchmarkError(f"--threads {given}: give numbers from 1 to {cores}, the cores that this process may use")
    if options.device not in ("auto", "cpu", "cuda"):
        raise BenchmarkError(f"--device {options.device!r}: choose from auto, cpu, cuda")
    gpu = torch.cuda.is_available()
    if options.device == "cuda" and not gpu:
        raise BenchmarkError("--device cuda: torch finds no GPU here; give cpu or auto")
    device = "cuda" if gpu and options.device != "cpu" else "cpu"
    find_scale(options.scale, device)
    if device == "cuda":
        return [Setting(options.threads[0], device, dtype) for dtype in DTYPES]
    return [Setting(threads, device) for threads in dict.fromkeys(options.threads)]


def _measure(bench: Bench) -> Iterator[list[Measurement]]:
    """Measure group by group in one setting."""
    machine, limits = measure_machine(bench.setting, bench.scale.name)
    yield limits

    layers: list[Callable[[Bench], list[Measurement]]]
    layers = [partial(measure_layers, order=order, machine=machine) for order in (2, 3)]
    for group in (*layers, *GROUPS):
        started = time.process_time()
        rows = group(bench)
        log.info("%s, %s: %.0f s of CPU time", bench.setting, rows[0].group, time.process_time() - started)
        yield rows
