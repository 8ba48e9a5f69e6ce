"""From measured steps to the cost of a plan: arithmetic alone, so that it can be tested without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hocbench.cost.sizes import Sizes
from hocbench.experiment.plan import Run, canonical_json
from hocbench.windows import batches, evaluation_items, training_items


@dataclass(frozen=True)
class Seconds:
    """Duration of something, by two clocks.

    Attributes
    ----------
    cpu : float
        CPU seconds, of all threads of one process.
    wall : float
        Seconds by the clock.
    """

    cpu: float
    wall: float

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.cpu - other.cpu, self.wall - other.wall)


@dataclass(frozen=True)
class RunCost:
    """What one run will take, start-up included.

    Attributes
    ----------
    run : Run
        Which one.
    steps : int
        Training steps.
    cpu_s : float
        CPU seconds of all processes.
    wall_s : float
        Seconds by the clock; times the processes they are GPU seconds where there are GPUs.
    """

    run: Run
    steps: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine.

    Attributes
    ----------
    steps, items : mapping
        Seconds of a training step, and of predicting an image or window, by their kind.
    start : Seconds
        Of loading what a run needs.
    """

    steps: Mapping[str, Seconds]
    items: Mapping[str, Seconds]
    start: Seconds


def step_kind(spec: dict[str, Any]) -> str:
    """Name what the cost of a training step depends on, out of a run's slice."""
    axes, training = spec["axes"], spec["training"]
    names = ("batch_size", "precision", "accumulation", "recompute", "mirror", "augmentation", "gradient_clip")
    kind = {
        "prediction": evaluation_kind(spec),
        "trained": "time" if axes["stage"] == "temporal" else "all",
        "penalty": training["method"] if axes["stage"] == "lasso" else None,
        "processes": spec["processes"],
    }
    return canonical_json(kind | {name: training[name] for name in names})


def evaluation_kind(spec: dict[str, Any]) -> str:
    """Name what the cost of a prediction depends on, out of a run's slice."""
    order, kind = spec["axes"]["order"], {"network": spec["network"], "size": spec["data"]["crop"]["size"]}
    kind |= {"order": order, "threads": spec["threads"]}
    if order == 3:
        kind |= {"temporal": spec["temporal"], "clip_length": spec["training"]["clip_length"]}
    return canonical_json(kind)


def distinct_steps(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Pick one run's slice for each kind of training step."""
    return {step_kind(run.spec): run.spec for run in runs if run.axes.epochs}


def distinct_evaluations(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Pick one run's slice for each kind of prediction."""
    return {evaluation_kind(spec): spec for run in runs for spec in (run.spec, *_scored_first(run))}


def _scored_first(run: Run) -> list[dict[str, Any]]:
    """Name the network that a stage scores before it begins: a temporal one that for images, on its own crops."""
    if run.axes.stage != "temporal" or run.parent is None:
        return []
    return [run.parent.spec | {"data": run.spec["data"]}]


def predicted_items(run: Run, sizes: Sizes) -> float:
    """Count the images or windows that a run predicts: validations, final predictions, statistics of BatchNorm."""
    axes, options = run.axes, run.spec["training"]
    validation, test = (evaluation_items(sizes.parts[part], axes.order, options) for part in ("validation", "test"))
    total = (axes.epochs + 2) * validation + test
    # As `hocbench.training`: once where the scale of activations changed, after the temporal stage, and after each
    # epoch of LASSO.
    passes = int(axes.stage in ("lasso", "temporal") or axes.kind == "inflated")
    passes += int(axes.stage == "temporal" and axes.epochs > 0) + (axes.epochs if axes.stage == "lasso" else 0)
    reestimation = min(options["reestimation_batches"], _steps_per_epoch(run, sizes))
    return total + passes * reestimation * options["batch_size"]


def _steps_per_epoch(run: Run, sizes: Sizes) -> int:
    options = run.spec["training"]
    return batches(training_items(sizes.parts["train"], run.axes.order, options), options)


def extrapolate(runs: Sequence[Run], sizes: Mapping[str, Sizes], measured: Measured) -> list[RunCost]:
    """Add up what each run of a plan will take.

    Parameters
    ----------
    runs : sequence of Run
        The plan.
    sizes : mapping of str to Sizes
        By run id.
    measured : Measured
        With all kinds of the plan.
    """
    return [_cost(run, sizes[run.id], measured) for run in runs]


def _cost(run: Run, sizes: Sizes, measured: Measured) -> RunCost:
    processes, steps = run.spec["processes"], run.axes.epochs * _steps_per_epoch(run, sizes)
    parts: list[tuple[float, Seconds]] = []
    if steps:
        parts.append((steps, measured.steps[step_kind(run.spec)]))
    # Processes share predictions, and each has a share of every batch.
    parts.append((predicted_items(run, sizes) / processes, measured.items[evaluation_kind(run.spec)]))
    for spec in _scored_first(run):
        images = evaluation_items(sizes.parts["validation"], 2, run.spec["training"])
        parts.append((images / processes, measured.items[evaluation_kind(spec)]))
    cpu = sum(count * seconds.cpu for count, seconds in parts) + measured.start.cpu
    wall = sum(count * seconds.wall for count, seconds in parts) + measured.start.wall
    return RunCost(run, steps, processes * cpu, wall)
