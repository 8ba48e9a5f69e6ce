"""`hocbench plan --cost`: count, measure, extrapolate, and say it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from hocbench.cost.hours import (
    Measured,
    RunCost,
    distinct_evaluations,
    distinct_steps,
    extrapolate,
)
from hocbench.cost.sizes import Sizes, part_sizes
from hocbench.cost.steps import measure_evaluation, measure_start, measure_step
from hocbench.experiment.plan import Run
from hocbench.reporting.cost import show_hours
from hocbench.runs.environment import environment
from hocbench.terminal import progress


@dataclass(frozen=True)
class Estimate:
    """What a plan will cost on this machine.

    Attributes
    ----------
    costs : list of RunCost
        One per run, in the order of the plan.
    sources : dict of str to str
        Where the sizes of each dataset are from.
    measured : Measured
        What the costs are extrapolated from.
    jobs : int
        Runs that fit on this machine at once.
    on_gpu : bool
        Whether the steps ran on a GPU.
    """

    costs: list[RunCost]
    sources: dict[str, str]
    measured: Measured
    jobs: int
    on_gpu: bool


def estimate(runs: Sequence[Run]) -> Estimate:
    """Measure each kind of step of a plan once and extrapolate to its runs.

    Parameters
    ----------
    runs : sequence of Run
        From `hocbench.experiment.plan.make_plan`; one at least.

    Raises
    ------
    ParameterError
        See `hocbench.cost.sizes.part_sizes`.
    """
    sizes = _sizes(runs)
    steps = {name: measure_step(spec) for name, spec in progress(distinct_steps(runs).items(), "training steps")}
    evaluations = progress(distinct_evaluations(runs).items(), "predictions")
    measured = Measured(steps, {name: measure_evaluation(spec) for name, spec in evaluations}, measure_start())
    sources = {run.axes.dataset: sizes[run.id].source for run in runs}
    gpus, processes = torch.cuda.device_count(), runs[0].spec["processes"]
    units, each = (gpus, processes) if gpus else (environment()["cpus"], processes * runs[0].spec["threads"])
    costs = extrapolate(runs, sizes, measured)
    return Estimate(costs, sources, measured, max(1, units // each), bool(gpus))


def _sizes(runs: Sequence[Run]) -> dict[str, Sizes]:
    """Count by dataset and fold, each once."""
    known: dict[tuple[str, int], Sizes] = {}
    for run in runs:
        where = run.axes.dataset, run.axes.fold
        if where not in known:
            known[where] = part_sizes(run.spec)
    return {run.id: known[run.axes.dataset, run.axes.fold] for run in runs}


def estimate_table(result: Estimate) -> Table:
    """Lay the costs out by dataset and method, with a total."""
    unit = "GPU" if result.on_gpu else "CPU"
    header = ["dataset", "method", "rank", "LASSO", "runs", "steps of a run", f"{unit} hours of a run", f"{unit} hours"]
    table = Table(*header, title=f"Estimated cost of {len(result.costs)} runs", show_footer=False)
    groups: dict[tuple[str, str, str, str], list[RunCost]] = {}
    for cost in result.costs:
        axes = cost.run.axes
        row = axes.dataset, cost.run.method, "-" if axes.rank is None else str(axes.rank), f"{axes.lasso:g}"
        groups.setdefault(row, []).append(cost)
    for row, own in groups.items():
        total = sum(hours(cost, result.on_gpu) for cost in own)
        steps = round(sum(cost.steps for cost in own) / len(own))
        table.add_row(*row, str(len(own)), f"{steps:,}", show_hours(total / len(own)), show_hours(total))
    table.add_section()
    everything = sum(hours(cost, result.on_gpu) for cost in result.costs)
    table.add_row("all", "", "", "", str(len(result.costs)), "", "", show_hours(everything))
    return table


def hours(cost: RunCost, on_gpu: bool) -> float:
    """Return GPU hours of a run, or CPU hours."""
    return (cost.wall_s * cost.run.spec["processes"] if on_gpu else cost.cpu_s) / 3600


def estimate_notes(result: Estimate) -> list[str]:
    """Say what the estimate rests on, a line each."""
    about, spec = environment(), result.costs[0].run.spec
    elapsed = sum(_quiet_s(cost, result.on_gpu) for cost in result.costs) / 3600 / result.jobs
    device = about["torch"]["gpu"] if result.on_gpu else about["processor"]
    start = result.measured.start
    lines = [
        f"An estimate from {len(result.measured.steps)} kinds of training steps and {len(result.measured.items)} of "
        f"predictions measured on this machine just now: {device}, {spec['threads']} thread(s) and "
        f"{spec['processes']} process(es) per run, load {os.getloadavg()[0]:.1f}.",
        f"With {result.jobs} job(s) at once on this machine and nothing else on it: {show_hours(elapsed)} hours, or "
        "more where runs wait for those that they start from. Rendering, cropping, scoring and tables are not in it.",
        f"Each run starts with {start.cpu:.1f} CPU seconds of loading. Networks behind LASSO are counted with all "
        "components, so they may take less.",
    ]
    return lines + [f"{dataset}: sizes from {source}" for dataset, source in result.sources.items()]


def _quiet_s(cost: RunCost, on_gpu: bool) -> float:
    """Return the seconds by the clock that a run takes where no other job stands in its way."""
    spec = cost.run.spec
    return cost.wall_s if on_gpu else cost.cpu_s / (spec["processes"] * spec["threads"])
