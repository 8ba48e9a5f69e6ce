"""From measured steps to the cost of a plan: arithmetic alone, so that it can be tested without a network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hocbench.cost.sizes import Clips, Sizes, evaluation_items, training_items
from hocbench.experiment.plan import Run, canonical_json


@dataclass(frozen=True)
class Seconds:
    """Median duration of something.

    Attributes
    ----------
    cpu : float
        CPU seconds, of all threads of one process.
    wall : float
        Seconds by the clock.
    """

    cpu: float
    wall: float


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
        Seconds of a training step, and of predicting an image or window, by `key` of their kind.
    start : Seconds
        Of loading what a run needs.
    """

    steps: Mapping[str, Seconds]
    items: Mapping[str, Seconds]
    start: Seconds


def step_kind(spec: dict[str, Any]) -> dict[str, Any]:
    """Pick out of a run's slice what the cost of its training step depends on."""
    axes, training = spec["axes"], spec["training"]
    names = ("batch_size", "precision", "accumulation", "recompute", "mirror", "augmentation", "gradient_clip")
    return evaluation_kind(spec) | {
        "trained": "time" if axes["stage"] == "temporal" else "all",
        "penalty": training["method"] if axes["stage"] == "lasso" else None,
        "processes": spec["processes"],
        **{name: training[name] for name in names},
    }


def evaluation_kind(spec: dict[str, Any]) -> dict[str, Any]:
    """Pick out of a run's slice what the cost of a prediction depends on."""
    axes = spec["axes"]
    kind = {"network": spec["network"], "order": axes["order"], "size": spec["data"]["crop"]["size"]}
    kind |= {"threads": spec["threads"]}
    if axes["order"] == 3:
        kind |= {"temporal": spec["temporal"], "clip_length": spec["training"]["clip_length"]}
    return kind


def key(kind: Mapping[str, Any]) -> str:
    """Name a kind of step, the same name for equal kinds."""
    return canonical_json(kind)


def distinct_steps(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Pick one run's slice for each kind of training step, by `key`."""
    return _distinct([run.spec for run in runs if run.axes.epochs], step_kind)


def distinct_evaluations(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Pick one run's slice for each kind of prediction, by `key`."""
    # A temporal stage also scores the network for images that it starts from.
    images = [_on(run.parent.spec, run.spec) for run in runs if run.axes.stage == "temporal" and run.parent]
    return _distinct([run.spec for run in runs] + images, evaluation_kind)


def _distinct(specs: Sequence[dict[str, Any]], kind: Callable[[dict[str, Any]], Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for spec in specs:
        found.setdefault(key(kind(spec)), spec)
    return found


def _on(parent: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Let a network look at another dataset's crops."""
    return parent | {"data": spec["data"]}


def steps_per_epoch(clips: Clips, order: int, options: Mapping[str, Any]) -> int:
    """Count the batches of an epoch; see `hocbench.training.data.steps_per_epoch`."""
    return max(1, int(training_items(clips, order, options)) // options["batch_size"])


def predicted_items(run: Run, sizes: Sizes) -> float:
    """Count the images or windows that a run predicts: validations, final predictions, statistics of BatchNorm."""
    axes, options = run.axes, run.spec["training"]
    validation, test = (evaluation_items(sizes.parts[part], axes.order, options) for part in ("validation", "test"))
    total = (axes.epochs + 2) * validation + test
    # As `hocbench.training`: once where the scale of activations changed, after the temporal stage, and after each
    # epoch of LASSO.
    passes = int(axes.stage in ("lasso", "temporal") or axes.kind == "inflated")
    passes += int(axes.stage == "temporal" and axes.epochs > 0) + (axes.epochs if axes.stage == "lasso" else 0)
    batches = min(options["reestimation_batches"], steps_per_epoch(sizes.parts["train"], axes.order, options))
    return total + passes * batches * options["batch_size"]


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
    axes, options, processes = run.axes, run.spec["training"], run.spec["processes"]
    steps = axes.epochs * steps_per_epoch(sizes.parts["train"], axes.order, options)
    parts: list[tuple[float, Seconds]] = []
    if steps:
        parts.append((steps, measured.steps[key(step_kind(run.spec))]))
    # Processes share predictions, and each has a share of every batch.
    parts.append((predicted_items(run, sizes) / processes, measured.items[key(evaluation_kind(run.spec))]))
    if axes.stage == "temporal" and run.parent is not None:
        # The network for images is scored on the same frames first.
        images = evaluation_items(sizes.parts["validation"], 2, options)
        parts.append((images / processes, measured.items[key(evaluation_kind(_on(run.parent.spec, run.spec)))]))
    cpu = sum(count * each.cpu for count, each in parts) + measured.start.cpu
    wall = sum(count * each.wall for count, each in parts) + measured.start.wall
    return RunCost(run, steps, processes * cpu, wall)
