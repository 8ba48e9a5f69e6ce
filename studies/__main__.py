"""``python -m studies``: measure hocbench itself.

Heavy packages are imported inside the commands that need them.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hocbench.cli.start import start

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def speed(
    out: Path,
    scale: Annotated[str, typer.Option(help="paper, small or tiny; the bars are about paper")] = "paper",
    threads: Annotated[list[int] | None, typer.Option(help="of the CPU; may be given more than once")] = None,
    rounds: Annotated[int, typer.Option(help="runs of each step, in turn")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Measure speed and memory against other implementations: OUT/speed.csv, bars.csv, speed.md and speed.png."""
    from hocbench.malloc import keep_freed_memory
    from studies.speed.run import Options, run_benchmark

    keep_freed_memory()  # for every method alike, as in training
    outcomes = run_benchmark(out, Options(scale, tuple(threads or [1]), rounds, device))
    counts = Counter(outcome.status for outcome in outcomes)
    sys.stdout.write(f"{out}: bars " + ", ".join(f"{count} {status}" for status, count in counts.items()) + "\n")


@app.command()
def data(out: Path, scale: Annotated[str, typer.Option(help="full or tiny")] = "full") -> None:
    """Measure index, crops, store and detectors on SYNTHETIC data: OUT/data.csv and OUT/data.md."""
    from studies.data.run import run_data_benchmark

    run_data_benchmark(out, scale)
    sys.stdout.write((out / "data.md").read_text(encoding="utf-8"))


@app.command()
def coverage(
    out: Path,
    draws: Annotated[int, typer.Option(help="simulated test sets of each size")] = 2000,
    seed: Annotated[int, typer.Option(help="root seed")] = 0,
    processes: Annotated[int, typer.Option(help="processes; they change no number")] = 1,
) -> None:
    """Simulate test sets with known scores: OUT/coverage.csv, coverage.md, coverage.png and coverage.pdf."""
    from hocbench.config.base import Count, Seed, check_values
    from studies.coverage.report import write_coverage

    for name, value, kind in (("draws", draws, Count), ("processes", processes, Count), ("seed", seed, Seed)):
        check_values(kind, value, f"--{name}")
    table = write_coverage(out, draws, seed, processes)
    sys.stdout.write(f"{out}: {len(table)} figures from {draws:,} test sets of each size\n")


def main() -> None:
    """Run the command line."""
    start(app, "studies")


if __name__ == "__main__":
    main()
