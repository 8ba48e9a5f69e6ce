"""From measured steps to the cost of a plan: arithmetic alone, so that it can be tested without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hocbench.cost.sizes import Sizes
from hocbench.experiment.plan import Run
from hocbench.experiment.spec import RunSpec, canonical_json
from hocbench.windows import batches, evaluation_items, training_items


@dataclass(frozen=True)
class Seconds:
    """Duration in CPU seconds, of all threads of one process, and in seconds by the clock."""

    cpu: float
    wall: float

    def __sub__(self, other: "Seconds") -> "Seconds":
        return Seconds(self.cpu - other.cpu, self.wall - other.wall)


@dataclass(frozen=True)
class RunCost:
    """What one run will take, start-up included.

    Attributes
    ----------
    run, steps : Run, int
        Which one, and its training steps.
    cpu_s, wall_s : float
        CPU seconds of all processes, and seconds by the clock: times the processes they are GPU seconds.
    """

    run: Run
    steps: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Measured:
    """Seconds of a training step, of predicting an image or window, both by kind, and of loading what a run needs."""

    steps: Mapping[str, Seconds]
    items: Mapping[str, Seconds]
    start: Seconds


def as_built(run: Run) -> RunSpec:
    """Return a run's spec as if it built its network itself: what it starts from has the same layers."""
    network, temporal, ancestor = run.spec.network, run.spec.temporal, run.parent
    while ancestor is not None and network is None:
        network = ancestor.spec.network
        temporal = temporal or (ancestor.spec.temporal if run.spec.order == 3 else None)
        ancestor = ancestor.parent
    return run.spec.model_copy(update={"network": network, "temporal": temporal, "parent": None})


def step_kind(spec: RunSpec) -> str:
    """Name what the cost of a training step depends on, from a spec of `as_built`."""
    training, steps = spec.training, spec.training.steps
    names = {"precision", "accumulation", "recompute", "mirror", "augmentation", "gradient_clip"}
    kind = {
        "prediction": evaluation_kind(spec),
        "trained": "time" if spec.stage == "temporal" else "all",
        "penalty": training.lasso.method if training.lasso else None,
        "processes": spec.processes,
        "batch_size": training.batch_size,
        "steps": steps.model_dump(mode="json", include=names) if steps else None,
    }
    return canonical_json(kind)


def evaluation_kind(spec: RunSpec) -> str:
    """Name what the cost of a prediction depends on, from a spec of `as_built`."""
    kind = {"order": spec.order, "threads": spec.threads, "size": spec.data.crop.size, "length": spec.clip_length}
    # What the weights in time begin with costs nothing.
    kind |= spec.model_dump(mode="json", include={"network", "temporal"}, exclude={"temporal": {"init"}})
    return canonical_json(kind)


def distinct_steps(runs: Sequence[Run]) -> dict[str, RunSpec]:
    """Pick one run for each kind of training step."""
    return {step_kind(spec): spec for run in runs if run.spec.training.steps for spec in [as_built(run)]}


def distinct_evaluations(runs: Sequence[Run]) -> dict[str, RunSpec]:
    """Pick one run for each kind of prediction."""
    return {evaluation_kind(spec): spec for run in runs for spec in (as_built(run), *_scored_first(run))}


def _scored_first(run: Run) -> list[RunSpec]:
    """Name the network that a stage scores before it begins: a temporal one that for images, on its own crops."""
    if run.spec.stage != "temporal" or run.parent is None:
        return []
    return [as_built(run.parent).model_copy(update={"data": run.spec.data})]


def predicted_items(run: Run, sizes: Sizes) -> float:
    """Count the images or windows that a run predicts: validations, final predictions, statistics of BatchNorm."""
    spec, training = run.spec, run.spec.training
    window = training.clip_length, training.frame_step or 1
    validation, test = (evaluation_items(sizes.parts[part], *window) for part in ("validation", "test"))
    total = (training.epochs + 2) * validation + test
    if training.reestimation_batches is None or training.batch_size is None:
        return total
    # As `hocbench.training`: once where the scale of activations changed, after the temporal stage, and after each
    # epoch of LASSO.
    passes = int(spec.rescales) + int(spec.stage == "temporal" and training.epochs > 0)
    passes += training.epochs if training.lasso else 0
    reestimation = min(training.reestimation_batches, _steps_per_epoch(run, sizes))
    return total + passes * reestimation * training.batch_size


def _steps_per_epoch(run: Run, sizes: Sizes) -> int:
    training = run.spec.training
    if training.batch_size is None:
        return 0
    limit = training.steps.clips if training.steps else None
    items = training_items(sizes.parts["train"], training.clip_length, training.frame_step or 1, limit)
    return batches(items, training.batch_size)


def extrapolate(runs: Sequence[Run], sizes: Mapping[str, Sizes], measured: Measured) -> list[RunCost]:
    """Add up what each run of a plan will take, from its sizes by run id and all kinds of the plan, measured."""
    return [_cost(run, sizes[run.id], measured) for run in runs]


def _cost(run: Run, sizes: Sizes, measured: Measured) -> RunCost:
    processes, spec = run.spec.processes, as_built(run)
    steps = run.spec.training.epochs * _steps_per_epoch(run, sizes)
    parts: list[tuple[float, Seconds]] = []
    if steps:
        parts.append((steps, measured.steps[step_kind(spec)]))
    # Processes share predictions, and each has a share of every batch.
    parts.append((predicted_items(run, sizes) / processes, measured.items[evaluation_kind(spec)]))
    for first in _scored_first(run):
        images = evaluation_items(sizes.parts["validation"], None)
        parts.append((images / processes, measured.items[evaluation_kind(first)]))
    cpu = sum(count * seconds.cpu for count, seconds in parts) + measured.start.cpu
    wall = sum(count * seconds.wall for count, seconds in parts) + measured.start.wall
    return RunCost(run, steps, processes * cpu, wall)
