"""What a run is told, picked from the parameters: what its stage reads and nothing else."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hocbench.config.datasets import DatasetEntry
from hocbench.config.load import is_rendered
from hocbench.config.params import Params
from hocbench.config.training import Stage, Training
from hocbench.errors import ParameterError
from hocbench.experiment.methods import IMAGES, Method
from hocbench.experiment.records import Dataset
from hocbench.experiment.spec import (
    DataSpec,
    LassoSpec,
    NetworkSpec,
    RunKey,
    RunSpec,
    StepSpec,
    TemporalSpec,
    TrainingSpec,
)


def make_spec(
    params: Params,
    key: RunKey,
    method: Method,
    parent: str | None,
    trained: bool,
    sources: Mapping[str, str],
    dataset: Dataset,
) -> RunSpec:
    """Pick what a run is told.

    Parameters
    ----------
    params : Params
        All parameters.
    key : RunKey
        Where its rows stand.
    method : Method
        What it is a run of.
    parent : str or None
        Id of the run that it starts from.
    trained : bool
        Whether its weights are moved.
    sources : mapping of str to str
        Hashes of the sources of the user's own networks.
    dataset : Dataset
        What it is trained on.
    """
    entry = params.datasets[key.dataset]
    spec = RunSpec(
        profile=params.profile,
        key=key,
        stage=method.stage,
        order=method.order,
        root_seed=params.seed,
        threads=params.threads,
        processes=params.processes,
        determinism=params.determinism,
        parent=parent,
        split=split_protocol(entry),
        data=_data(entry),
        network=None if parent else _network(params, key, method, sources),
        temporal=_temporal(params, method, method.network in sources),
        training=_training(params.training, key, method, trained, dataset),
        rescales=method.rescales,
        task=dataset.task,
    )
    return spec.model_copy(update={"run": f"{_slug(key)}-{spec.digest}"})


def _network(params: Params, key: RunKey, method: Method, sources: Mapping[str, str]) -> NetworkSpec:
    network, kind = params.network, key.factorization or method.network
    inner = {"inner_activation": network.inner_activation} if kind == "cp" else {}
    return NetworkSpec(
        kind=kind,
        width=network.width,
        stem=network.stem,
        rank=key.rank,
        source=sources.get(kind),
        place=params.networks.get(kind),
        **inner,
    )


def _temporal(params: Params, method: Method, is_own: bool) -> TemporalSpec | None:
    temporal = params.temporal
    if method.stage == "temporal":
        return TemporalSpec(**temporal.model_dump())
    if method.network == "inflated":
        return TemporalSpec(kernel_size=temporal.kernel_size)
    if method.stage == "scratch" and not is_own:
        padding = temporal.padding if method.is_factorized else None
        return TemporalSpec(kernel_size=temporal.kernel_size, padding=padding)
    return None


def _training(training: Training, key: RunKey, method: Method, trained: bool, dataset: Dataset) -> TrainingSpec:
    stage: Stage = getattr(training.stages, method.settings or method.stage)
    values: dict[str, Any] = {"epochs": stage.epochs if trained else 0}
    if not dataset.task.classes:
        values["loss_weights"] = training.loss_weights
    if method.order == 3:
        # An image is no window; what is never read must not make it another run.
        values |= {"clip_length": training.clip_length, "frame_step": training.frame_step}
    if method.rescales:
        values |= {"reestimation_batches": training.reestimation_batches, "batch_size": stage.batch_size}
    if values["epochs"]:
        values |= {"batch_size": stage.batch_size, "steps": _steps(training, dataset, stage)}
    if method.stage == "lasso":
        values["lasso"] = _lasso(key.lasso, stage)
    return TrainingSpec(**values)


def _steps(training: Training, dataset: Dataset, stage: Stage) -> StepSpec:
    shared = training.model_dump(include=set(StepSpec.model_fields))
    if dataset.role == IMAGES:
        del shared["clips"]
    own = {"learning_rate": stage.learning_rate}
    return StepSpec(**shared, **own, stop_at_static=getattr(stage, "stop_at_static", False))


def _lasso(weight: float, stage: Any) -> LassoSpec:
    read = {"subgradient": ("threshold",), "proximal": ("rate_factor", "gradient_limit")}[stage.method]
    return LassoSpec(weight=weight, method=stage.method, **{name: getattr(stage, name) for name in read})


def _data(entry: DatasetEntry) -> DataSpec:
    """Describe the data of a run: not by the folder that they lie in, and by how they are drawn only if they are."""
    synthetic = getattr(entry, "synthetic", None) if is_rendered(entry.root) else None
    drawn = synthetic.model_dump(mode="json") if synthetic is not None else None
    return DataSpec(crop=entry.crop, synthetic=drawn, exclude=tuple(entry.exclude))


def split_protocol(entry: DatasetEntry) -> dict[str, Any]:
    """Spell out the split of a dataset's entry; that by a list holds its hash, so that another list is another run.

    Raises
    ------
    ParameterError
        If the list cannot be read.
    """
    protocol: dict[str, Any] = entry.split.model_dump(mode="json")
    if protocol["kind"] == "file":
        try:
            protocol["sha256"] = hashlib.sha256(Path(protocol["path"]).read_bytes()).hexdigest()
        except OSError as error:
            raise ParameterError(
                f"split list {protocol['path']} cannot be read ({error.strerror}); check split.path"
            ) from None
    return protocol


def _slug(key: RunKey) -> str:
    parts = [key.method] + ([key.factorization] if key.factorization not in (None, "cp") else [])
    if key.rank not in (None, "same"):
        # An int is a number of components and a float a multiple, so 2 and 2.0 must not look alike.
        parts.append(f"rank{key.rank}" if isinstance(key.rank, int) else f"rank{key.rank:g}x")
    if key.lasso:
        parts.append(f"lasso{key.lasso:g}")
    if key.ablation:
        parts.append(key.ablation.replace("+", "-"))
    if key.fold:
        parts.append(f"fold{key.fold}")
    if key.seed:
        parts.append(f"seed{key.seed}")
    return "-".join(parts)
