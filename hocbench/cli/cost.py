"""``hocbench profile`` and ``hocbench plan --cost``: where time goes, and how much a plan will take."""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hocbench.cli.output import print_table
from hocbench.errors import ParameterError

if TYPE_CHECKING:
    from rich.table import Table

    from hocbench.cost.estimate import Estimate
    from hocbench.cost.hours import RunCost
    from hocbench.cost.profile import Profile
    from hocbench.experiment.plan import Run

MOST_LAYERS = 12  # that are shown


def print_cost(runs: "Sequence[Run]") -> None:
    """Measure the steps of a plan and print what its runs will cost."""
    from hocbench.cost.estimate import estimate
    from hocbench.malloc import keep_freed_memory

    keep_freed_memory()
    result = estimate(runs)
    print_table(estimate_table(result))
    sys.stdout.write("\n".join(estimate_notes(result)) + "\n")


def estimate_table(result: "Estimate") -> "Table":
    """List the costs of a plan by dataset and method, with a total."""
    from rich.table import Table

    from hocbench.reporting.cost import show_hours

    unit = "GPU" if result.on_gpu else "CPU"
    header = ["dataset", "method", "rank", "LASSO", "runs", "steps of a run", f"{unit} hours of a run", f"{unit} hours"]
    table = Table(*header, title=f"Estimated cost of {len(result.costs)} runs", show_footer=False)
    groups: dict[tuple[str, ...], list[RunCost]] = {}
    for cost in result.costs:
        key = cost.run.key
        rank = "-" if key.rank is None else str(key.rank)
        groups.setdefault((key.dataset, cost.run.title, rank, f"{key.lasso:g}"), []).append(cost)
    for row, costs in groups.items():
        total = sum(map(result.hours, costs))
        steps = round(sum(cost.steps for cost in costs) / len(costs))
        table.add_row(*row, str(len(costs)), f"{steps:,}", show_hours(total / len(costs)), show_hours(total))
    table.add_section()
    total = sum(map(result.hours, result.costs))
    table.add_row("all", "", "", "", str(len(result.costs)), "", "", show_hours(total))
    return table


def estimate_notes(result: "Estimate") -> list[str]:
    """Name what an estimate rests on, a line each."""
    from hocbench.reporting.cost import show_hours
    from hocbench.runs.environment import environment

    machine, spec = environment(), result.costs[0].run.spec
    device = machine["torch"]["gpu"] if result.on_gpu else machine["processor"]
    return [
        f"An estimate from {len(result.measured.steps)} kinds of training steps and {len(result.measured.items)} of "
        f"predictions measured on this machine just now: {device}, {spec.threads} thread(s) and "
        f"{spec.processes} process(es) per run, load {os.getloadavg()[0]:.1f}.",
        f"With {result.jobs} job(s) at once on this machine and nothing else on it: {show_hours(result.elapsed_h)} "
        "hours, or more where runs wait for those that they start from. Rendering, cropping, scoring and tables are "
        "not in it.",
        f"Each run starts with {result.measured.start.cpu:.1f} CPU seconds of loading. Networks after LASSO are "
        "counted with all components, so they may take less.",
        *(f"{dataset}: sizes from {source}" for dataset, source in result.sources.items()),
    ]


def profile(
    run: Path,
    crops: Annotated[Path | None, typer.Option(help="folder of the crop store, by default the workflow's")] = None,
    steps: Annotated[int, typer.Option(help="training steps to count")] = 10,
) -> None:
    """Show where the time of a training step of a finished run goes; the run stays as it is."""
    from hocbench.cost.profile import profile_run
    from hocbench.malloc import keep_freed_memory

    if steps < 1:
        raise ParameterError(f"--steps is {steps}; give 1 or more")
    keep_freed_memory()
    result = profile_run(run, crops, steps)
    for table in _profile_tables(result):
        print_table(table)
    gpu = f", of the GPU {result.peak_gpu_memory_mib:,.0f} MiB" if result.peak_gpu_memory_mib else ""
    waiting = result.parts_ms["waiting for data"] / math.fsum(result.parts_ms.values())
    recorded = result.recorded
    sys.stdout.write(
        f"peak memory of this process {result.peak_memory_mib:,.0f} MiB{gpu}\n"
        f"now {result.samples_per_s:.1f} samples/s, {100 * waiting:.1f} % of step time waiting for data; the run "
        f"itself recorded {recorded['samples_per_s']:.1f} samples/s and {100 * recorded['waiting_share']:.1f} %\n"
    )


def _profile_tables(result: "Profile") -> "Iterator[Table]":
    """List the parts of a step, and the layers that take longest."""
    from rich.table import Table

    setting, total = result.setting, math.fsum(result.parts_ms.values())
    title = f"{setting['batch']}; {setting['device']}, {setting['threads']} thread(s), {setting['precision']}"
    parts = Table("part of a step", "ms", "%", title=title)
    for name, value in result.parts_ms.items():
        parts.add_row(name, f"{value:.2f}", f"{100 * value / total:.1f}")
    parts.add_section()
    parts.add_row(f"step, mean of {result.steps}", f"{total:.2f}", "100.0")
    parts.add_row("step, median", f"{result.step_ms:.2f}", "")
    yield parts
    layers = Table("layer", "ms", "% of all layers", title="Forward pass by layer, measured in further steps")
    everything = math.fsum(result.layers_ms.values())
    rows = list(result.layers_ms.items())
    rest = [value for _, value in rows[MOST_LAYERS:]]
    rows = [*rows[:MOST_LAYERS], *([(f"{len(rest)} others", math.fsum(rest))] if rest else [])]
    for name, value in rows:
        layers.add_row(name, f"{value:.2f}", f"{100 * value / everything:.1f}")
    yield layers
