"""From measured steps to the cost of a plan: arithmetic alone, so that it can be tested without a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hocbench.cost.sizes import Sizes
from hocbench.experiment.plan import Run
from hocbench.experiment.spec import RunSpec, canonical_json
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


def as_built(run: Run) -> RunSpec:
    """Return what a run is told as if it built its network itself: what it starts from has the same layers.

    Parameters
    ----------
    run : Run
        With all that it starts from.
    """
    network, temporal, ancestor = run.spec.network, run.spec.temporal, run.parent
    while ancestor is not None and network is None:
        network = ancestor.spec.network
        temporal = temporal or (ancestor.spec.temporal if run.spec.order == 3 else None)
        ancestor = ancestor.parent
    return run.spec.model_copy(update={"network": network, "temporal": temporal, "parent": None})


def step_kind(spec: RunSpec) -> str:
    """Name what the cost of a training step depends on, out of what a run is told; see `as_built`."""
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
    """Name what the cost of a prediction depends on, out of what a run is told; see `as_built`."""
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
