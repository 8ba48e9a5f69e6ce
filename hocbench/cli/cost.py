"""``hocbench profile`` and ``hocbench plan --cost``: where time goes, and how much a plan will take."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hocbench.cli.output import print_table
from hocbench.errors import ParameterError

if TYPE_CHECKING:
    from hocbench.experiment.plan import Run

MOST_LAYERS = 12  # that are shown


def print_cost(runs: "Sequence[Run]") -> None:
    """Measure the steps of a plan and print what its runs will cost."""
    from hocbench.cost.estimate import estimate, estimate_notes, estimate_table
    from hocbench.malloc import keep_freed_memory

    keep_freed_memory()
    result = estimate(runs)
    print_table(estimate_table(result))
    sys.stdout.write("\n".join(estimate_notes(result)) + "\n")


def profile(
    run: Path,
    crops: Annotated[Path | None, typer.Option(help="folder of the crop store, by default the workflow's")] = None,
    steps: Annotated[int, typer.Option(help="training steps to count")] = 10,
) -> None:
    """Show where the time of a training step of a finished run goes; the run stays as it is."""
    from rich.table import Table

    from hocbench.cost.profile import profile_run
    from hocbench.malloc import keep_freed_memory

    if steps < 1:
        raise ParameterError(f"--steps is {steps}; give 1 or more")
    keep_freed_memory()
    found = profile_run(run, crops, steps)
    total = math.fsum(found.parts_ms.values())
    about = found.setting
    title = f"{about['batch']}; {about['device']}, {about['threads']} thread(s), {about['precision']}"
    parts = Table("part of a step", "ms", "%", title=title)
    for name, value in found.parts_ms.items():
        parts.add_row(name, f"{value:.2f}", f"{100 * value / total:.1f}")
    parts.add_section()
    parts.add_row(f"step, mean of {found.steps}", f"{total:.2f}", "100.0")
    parts.add_row("step, median", f"{found.step_ms:.2f}", "")
    layers = Table("layer", "ms", "% of all layers", title="Forward pass by layer, measured in further steps")
    everything = math.fsum(found.layers_ms.values())
    for name, value in list(found.layers_ms.items())[:MOST_LAYERS]:
        layers.add_row(name, f"{value:.2f}", f"{100 * value / everything:.1f}")
    rest = list(found.layers_ms.values())[MOST_LAYERS:]
    if rest:
        layers.add_row(f"{len(rest)} others", f"{math.fsum(rest):.2f}", f"{100 * math.fsum(rest) / everything:.1f}")
    print_table(parts)
    print_table(layers)
    gpu = f", of the GPU {found.peak_gpu_memory_mib:,.0f} MiB" if found.peak_gpu_memory_mib else ""
    sys.stdout.write(f"peak memory of this process {found.peak_memory_mib:,.0f} MiB{gpu}\n")
    waiting = 100 * found.parts_ms["waiting for data"] / total
    recorded = found.recorded
    sys.stdout.write(
        f"now {found.samples_per_s:.1f} samples/s, {waiting:.1f} % of step time waiting for data; the run itself "
        f"recorded {recorded['samples_per_s']:.1f} samples/s and {100 * recorded['waiting_share']:.1f} %\n"
    )
