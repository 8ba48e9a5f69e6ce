"""The one place that turns parameters into runs: what is trained, under which id, and from what it starts."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hocbench.config.load import is_rendered
from hocbench.config.params import AfewVa, AffectNet, Experiment, Params, Sewa
from hocbench.errors import ParameterError

VIDEO_DATASETS = ("sewa", "afew_va", "sewa_control")
VIDEO_STAGES = ("frames", "temporal", "joint", "inflated", "scratch")


@dataclass(frozen=True)
class Axes:
    """What distinguishes one run from another.

    Attributes
    ----------
    dataset, stage, kind : str
        kind is "cp", "dense", "inflated" or "2plus1d".
    order : int
        2 for images, 3 for clips.
    rank : "same", number or None
        None where nothing is factorized.
    lasso : float
        LASSO weight.
    fold, seed, epochs : int
        Cross-validation fold, training seed, epochs of this stage.
    variant : str
        What an experiment changed; "" for the plain networks.
    """

    dataset: str
    stage: str
    kind: str
    order: int
    rank: str | float | int | None
    lasso: float
    fold: int
    seed: int
    epochs: int
    variant: str = ""

    def spelled(self) -> dict[str, Any]:
        """Return the axes as plain values; without a variant there is none, so that experiments rename no other run."""
        return {key: value for key, value in vars(self).items() if key != "variant" or value}


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes
    ----------
    id : str
        Slug of the axes that differ from the default, and 8 digits of the hash of all that defines the run.
    axes : Axes
        Where it stands in the experiment.
    spec : dict
        The resolved parameters, plain values for JSON.
    parent : Run or None
        The run whose network it starts from.
    """

    id: str
    axes: Axes
    spec: dict[str, Any]
    parent: "Run | None"

    @property
    def method(self) -> str:
        """Name of the row of a table."""
        return method_name(self.axes.stage, self.axes.kind, self.axes.epochs, self.axes.dataset)


def method_name(stage: str, kind: str, epochs: int, dataset: str) -> str:
    """Name the row of a table that a run belongs to."""
    if stage == "static":
        return f"{'CP' if kind == 'cp' else 'dense'} 2-D, static"
    if stage == "temporal":
        return "CP 3-D, temporal factors trained" if epochs else "CP 3-D, transducted, untrained"
    if stage == "joint":
        return "CP 3-D, temporal then joint" if kind == "cp" else "dense 2-D inflated to 3-D"
    if stage == "scratch":
        return {"cp": "CP 3-D", "dense": "dense 3-D", "2plus1d": "dense (2+1)-D"}[kind] + " from scratch"
    return {"lasso": "CP 2-D, LASSO", "frames": "CP 2-D, fine-tuned on frames (reference)"}[stage]


def smoothed_name(method: str) -> str:
    """Name the row of a method whose outputs are averaged over time."""
    return f"{method.removesuffix(' (reference)')} + moving average"


def is_smoothed(dataset: str, stage: str, kind: str, lasso: float) -> bool:
    """Tell whether a run also gives a row with its outputs averaged over time: the 2-D CP networks on video."""
    return dataset in VIDEO_DATASETS and stage in ("static", "frames") and kind == "cp" and lasso == 0


def make_plan(params: Params) -> list[Run]:
    """List all runs, each after the one it starts from and each once.

    Parameters
    ----------
    params : Params
        Checked parameters.

    Returns
    -------
    list of Run
        In a fixed order that depends on the parameters only.
    """
    runs: dict[str, Run] = {}
    planner = _Planner(params, runs)
    for seed in params.datasets.affectnet.seeds:
        planner.static(seed, "dense", None)
        for rank in params.sweep.rank:
            for lasso in params.sweep.lasso:
                planner.image_network(seed, rank, lasso)
    for name in params.datasets.present():
        if name in VIDEO_DATASETS:
            for fold in getattr(params.datasets, name).folds:
                for seed in getattr(params.datasets, name).seeds:
                    planner.video(name, fold, seed)
    for experiment in params.experiments:
        _Planner(changed(params, experiment), runs, experiment.variant).experiment(experiment)
    return list(runs.values())


def changed(params: Params, experiment: Experiment) -> Params:
    """Return the parameters with what an experiment changes."""
    temporal = {"kernel_size": experiment.kernel_size, "init": experiment.init}
    network = {"inner_activation": experiment.inner_activation}
    factor = experiment.epochs_factor or 1
    longer = {
        name: stage.model_copy(update={"epochs": factor * stage.epochs})
        for name, stage in params.training.stages
        if name in VIDEO_STAGES
    }
    training: dict[str, Any] = {"stages": params.training.stages.model_copy(update=longer)}
    if experiment.clips is not None:
        training["clips"] = experiment.clips
    update = {
        "temporal": params.temporal.model_copy(update=_given(temporal)),
        "network": params.network.model_copy(update=_given(network)),
        "training": params.training.model_copy(update=training),
    }
    return params.model_copy(update=update)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


class _Planner:
    def __init__(self, params: Params, runs: dict[str, Run], variant: str = "") -> None:
        self.params, self.runs, self.variant = params, runs, variant

    def static(self, seed: int, kind: str, rank: Any) -> Run:
        return self._add("affectnet", "static", kind, rank, seed=seed)

    def image_network(self, seed: int, rank: Any, lasso: float) -> Run:
        network = self.static(seed, "cp", rank)
        if lasso == 0:
            return network
        if self.params.training.stages.lasso.warm_start:
            smaller = [weight for weight in self.params.sweep.lasso if weight < lasso]
            network = self.image_network(seed, rank, max(smaller, default=0))
        return self._add("affectnet", "lasso", "cp", rank, seed=seed, lasso=lasso, parent=network)

    def video(self, name: str, fold: int, seed: int) -> None:
        dataset: Sewa | AfewVa = getattr(self.params.datasets, name)
        where: dict[str, Any] = {"fold": fold, "seed": seed}
        for rank in self.params.sweep.rank:
            self.video_run("static", name, rank, **where)
            for rival in ("frames", "untrained"):
                if rival in dataset.rivals:
                    self.video_run(rival, name, rank, **where)
            for lasso in self.params.sweep.lasso if dataset.lasso else [0]:
                self.video_run("joint", name, rank, **where, lasso=lasso)
            if "scratch_cp" in dataset.rivals:
                self.video_run("scratch_cp", name, rank, **where)
        for rival in ("static_dense", "inflated", "scratch_dense", "scratch_2plus1d"):
            if rival in dataset.rivals:
                self.video_run(rival, name, None, **where)

    def experiment(self, experiment: Experiment) -> None:
        """Plan the runs of an experiment at the first rank of the sweep."""
        dataset: Sewa | AfewVa = getattr(self.params.datasets, experiment.dataset)
        seeds = dataset.seeds if experiment.seeds is None else experiment.seeds
        for fold in dataset.folds:
            for seed in seeds:
                for what in experiment.runs:
                    self.video_run(what, experiment.dataset, self.params.sweep.rank[0], fold=fold, seed=seed)

    def video_run(self, what: str, name: str, rank: Any, *, lasso: float = 0, **where: Any) -> Run:
        """Plan a run on video, and all that it starts from."""
        seed = where["seed"]
        if what in ("static_dense", "inflated"):
            dense = self.static(seed, "dense", None)
            if what == "inflated":
                return self._add(name, "joint", "inflated", None, **where, order=3, parent=dense)
            return self._add(name, "static", "dense", None, **where, epochs=0, parent=dense)
        if what.startswith("scratch_"):
            kind = what.removeprefix("scratch_")
            return self._add(name, "scratch", kind, rank if kind == "cp" else None, **where, order=3)
        network = self.image_network(seed, rank, lasso)
        if what == "static":
            return self._add(name, "static", "cp", rank, **where, epochs=0, parent=network)
        if what == "frames":
            return self._add(name, "frames", "cp", rank, **where, parent=network)
        video: dict[str, Any] = where | {"order": 3, "lasso": lasso}
        if what == "untrained":
            return self._add(name, "temporal", "cp", rank, **video, epochs=0, parent=network)
        temporal = self._add(name, "temporal", "cp", rank, **video, parent=network)
        return temporal if what == "temporal" else self._add(name, "joint", "cp", rank, **video, parent=temporal)

    def _add(
        self,
        dataset: str,
        stage: str,
        kind: str,
        rank: Any,
        *,
        seed: int,
        fold: int = 0,
        lasso: float = 0.0,
        order: int = 2,
        epochs: int | None = None,
        parent: Run | None = None,
    ) -> Run:
        settings = getattr(self.params.training.stages, "inflated" if kind == "inflated" else stage)
        epochs = settings.epochs if epochs is None else epochs
        axes = Axes(dataset, stage, kind, order, rank, float(lasso), fold, seed, epochs)
        # Where a LASSO run starts is said by its parent.
        dumped = settings.model_dump(mode="json", exclude={"warm_start"})
        run = self._run(axes, dumped, parent)
        if self.variant and run.id not in self.runs:
            run = self._run(replace(axes, variant=self.variant), dumped, parent)
        return self.runs.setdefault(run.id, run)

    def _run(self, axes: Axes, settings: dict[str, Any], parent: Run | None) -> Run:
        spec = self._spec(axes, settings, parent)
        digest = hashlib.sha256(canonical_json(spec).encode()).hexdigest()[:8]
        run_id = f"{_slug(axes)}-{digest}"
        spec["run"] = run_id
        return Run(run_id, axes, spec, parent)

    def _spec(self, axes: Axes, settings: dict[str, Any], parent: Run | None) -> dict[str, Any]:
        params = self.params
        training = params.training.model_dump(mode="json", exclude={"stages", "clips"}) | settings
        training |= {"epochs": axes.epochs}
        if axes.order == 2:
            # An image is no window; what is never read must not make it another run.
            del training["clip_length"], training["frame_step"]
        if params.training.clips is not None and axes.dataset in VIDEO_DATASETS and axes.epochs:
            training["clips"] = params.training.clips
        settings_of = getattr(params.datasets, axes.dataset)
        spec = {
            "profile": params.profile,
            "axes": axes.spelled(),
            "network": _network(params, axes),
            "split": split_protocol(settings_of),
            "data": _data(settings_of),
            "training": training,
            "root_seed": params.seed,
            "threads": params.threads,
            "determinism": params.determinism,
            "processes": params.processes,
            "parent": parent.id if parent else None,
        }
        if axes.order == 3:
            spec["temporal"] = params.temporal.model_dump(mode="json")
        return spec


def _data(dataset: AffectNet | Sewa | AfewVa) -> dict[str, Any]:
    """Describe the data of a run: not by the folder that they lie in, and by how they are drawn only if they are."""
    values = dataset.model_dump(mode="json")
    described = {"crop": values["crop"]}
    if is_rendered(dataset.root):
        described["synthetic"] = values["synthetic"]
    if values["exclude"]:
        described["exclude"] = values["exclude"]
    return described


def _network(params: Params, axes: Axes) -> dict[str, Any]:
    """Describe the network that a run builds; an inflated one begins as a dense one for images."""
    network = params.network.model_dump(mode="json") | {"rank": axes.rank}
    network["kind"] = "dense" if axes.kind == "inflated" else axes.kind
    if axes.kind != "cp":
        del network["inner_activation"]
    return network


def split_protocol(dataset: AffectNet | Sewa | AfewVa) -> dict[str, Any]:
    """Spell out the split of a dataset's section; that by a list holds its hash, so that another list is another run.

    Raises
    ------
    ParameterError
        If the list cannot be read.
    """
    protocol: dict[str, Any] = dataset.split.model_dump(mode="json")
    if protocol["kind"] == "file":
        try:
            protocol["sha256"] = hashlib.sha256(Path(protocol["path"]).read_bytes()).hexdigest()
        except OSError as error:
            raise ParameterError(
                f"split list {protocol['path']} cannot be read ({error.strerror}); check split.path"
            ) from None
    return protocol


def canonical_json(value: Any) -> str:
    """Write plain values in the one form that is hashed and handed to jobs."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _slug(axes: Axes) -> str:
    parts = [axes.stage]
    if axes.kind != "cp":
        parts.append(axes.kind)
    if axes.stage == "temporal" and axes.epochs == 0:
        parts.append("untrained")
    if axes.rank not in (None, "same"):
        # An int is a number of components and a float a multiple, so 2 and 2.0 must not look alike.
        parts.append(f"rank{axes.rank}" if isinstance(axes.rank, int) else f"rank{axes.rank:g}x")
    if axes.lasso:
        parts.append(f"lasso{axes.lasso:g}")
    if axes.variant:
        parts.append(axes.variant.replace("+", "-"))
    if axes.fold:
        parts.append(f"fold{axes.fold}")
    if axes.seed:
        parts.append(f"seed{axes.seed}")
    return "-".join(parts)


def expected_rows(runs: list[Run]) -> list[dict[str, Any]]:
    """List the rows that the tables must show, present or missing, without seeds and folds."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        axes = run.axes
        row = {"dataset": axes.dataset, "method": run.method, "rank": axes.rank, "lasso": axes.lasso}
        row["variant"] = axes.variant
        rows.setdefault(canonical_json(row), row)
        if is_smoothed(axes.dataset, axes.stage, axes.kind, axes.lasso):
            smoothed = row | {"method": smoothed_name(run.method)}
            rows.setdefault(canonical_json(smoothed), smoothed)
    return list(rows.values())
