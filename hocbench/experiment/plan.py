"""The one place that turns parameters into runs: what is trained, under which id, and from what it starts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from hocbench.config.base import Rank
from hocbench.config.params import Ablation, Params
from hocbench.errors import ParameterError
from hocbench.experiment.ablations import changed
from hocbench.experiment.catalog import make_catalog
from hocbench.experiment.description import Description, RowKey
from hocbench.experiment.methods import ALWAYS, CLIPS, IMAGES, Method, find_method
from hocbench.experiment.networks import OwnNetworks, own_networks
from hocbench.experiment.records import Dataset
from hocbench.experiment.run_spec import make_spec
from hocbench.experiment.spec import RunKey, RunSpec


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes
    ----------
    spec : RunSpec
        What it is told.
    method : Method
        What it is a run of.
    parent : Run or None
        The run whose network it starts from.
    """

    spec: RunSpec
    method: Method
    parent: "Run | None"

    @property
    def id(self) -> str:
        """Slug of what differs from the default, and 8 digits of the hash of all that defines the run."""
        return self.spec.run

    @property
    def key(self) -> RunKey:
        """Where its rows stand."""
        return self.spec.key

    @property
    def title(self) -> str:
        """What its rows are called."""
        return self.method.named(self.key.factorization or "")


def main_rank(ranks: list[Rank]) -> Rank:
    """Choose the rank that tables, claims and figures are about: the matched one if it is swept, or else the first.

    >>> main_rank([0.25, 1.0]), main_rank(["same", 0.5]), main_rank([0.22])
    (1.0, 'same', 0.22)
    """
    # A whole number counts components, so 1 is not 1.0.
    matched = [rank for rank in ranks if rank == "same" or (isinstance(rank, float) and rank == 1)]
    return [*matched, *ranks][0]


def make_plan(params: Params) -> list[Run]:
    """List all runs, each after the one it starts from and each once, in an order that the parameters decide.

    Raises
    ------
    ParameterError
        If a method, dataset or network is named that does not exist, or a split list cannot be read.
    """
    runs: dict[str, Run] = {}
    # An ablation changes neither datasets nor networks.
    records = make_catalog(params.datasets), own_networks(params.networks)
    planner = _Planner(params, runs, *records)
    for dataset in planner.of_role(IMAGES):
        planner.images(dataset)
    for dataset in planner.of_role(CLIPS):
        planner.clips(dataset)
    for place, ablation in enumerate(params.ablations):
        _Planner(changed(params, place), runs, *records, ablation.title).ablation(ablation, f"ablations.{place}")
    return list(runs.values())


class _Planner:
    """Adds runs of one set of parameters, those of the sweep or of an ablation."""

    def __init__(
        self,
        params: Params,
        runs: dict[str, Run],
        catalog: dict[str, Dataset],
        networks: OwnNetworks,
        ablation: str = "",
    ) -> None:
        self.params, self.runs, self.name = params, runs, ablation
        self.catalog, self.networks, self.methods = catalog, networks, networks.methods
        self.planned: dict[RunKey, Run] = {}

    def of_role(self, role: str) -> list[Dataset]:
        return [dataset for dataset in self.catalog.values() if dataset.role == role]

    def images(self, dataset: Dataset) -> None:
        """Plan the 2-D networks: the dense one, and of each factorization and rank those of the LASSO sweep."""
        for seed in self.params.datasets[dataset.name].seeds:
            self.add(dataset, "static_dense", seed=seed)
            for factorization, rank in self.swept():
                for lasso in self.weights(factorization):
                    self.add(dataset, "static", factorization, rank, seed=seed, lasso=lasso)

    def clips(self, dataset: Dataset) -> None:
        """Plan what is trained on every dataset of clips, and the baselines that its entry names."""
        entry = self.params.datasets[dataset.name]
        self.check_seeds(dataset)
        key = f"datasets.{dataset.name}.baselines"
        baselines = [find_method(name, self.methods, key) for name in entry.baselines]
        wanted = list(dict.fromkeys([*(self.methods[name] for name in ALWAYS), *baselines]))
        if self.start_of(dataset) is None:
            wanted = [method for method in wanted if method.stage == "scratch"]
        for fold in entry.folds:
            for seed in entry.seeds:
                for factorization, rank in self.swept():
                    for method in wanted:
                        if method.is_factorized:
                            swept = method.id in ("temporal", "joint") and entry.lasso
                            for lasso in self.weights(factorization) if swept else [0.0]:
                                self.add(dataset, method.id, factorization, rank, seed=seed, fold=fold, lasso=lasso)
                for method in wanted:
                    if not method.is_factorized:
                        self.add(dataset, method.id, seed=seed, fold=fold)

    def ablation(self, ablation: Ablation, key: str) -> None:
        """Plan the runs of an ablation at the main rank of the sweep."""
        clips = self.of_role(CLIPS)
        name = ablation.dataset or (clips[0].name if clips else "")
        dataset = self.catalog.get(name)
        if dataset is None or dataset.role != CLIPS:
            what = f"datasets.{name} of clips; add it or name another" if name else "dataset of clips; add one"
            raise ParameterError(f"{key}.dataset: there is no {what}")
        entry = self.params.datasets[name]
        seeds = entry.seeds if ablation.seeds is None else ablation.seeds
        strangers = sorted(set(seeds) - set(entry.seeds))
        if strangers:
            raise ParameterError(
                f"{key}.seeds: {strangers} are not among datasets.{name}.seeds; a change is compared with the plain "
                "network of the same seed: add them there"
            )
        rank, factorization = main_rank(self.params.sweep.rank), self.params.sweep.factorization[0]
        for fold in entry.folds:
            for seed in seeds:
                for method in ablation.methods:
                    found = find_method(method, self.methods, f"{key}.methods")
                    axes = (factorization, rank) if found.is_factorized else (None, None)
                    self.add(dataset, found.id, *axes, seed=seed, fold=fold)

    def swept(self) -> list[tuple[str, Rank]]:
        return [(each, rank) for each in self.params.sweep.factorization for rank in self.params.sweep.rank]

    def weights(self, factorization: str) -> list[float]:
        """List the LASSO weights of a factorization: only CP has weights of components to penalise."""
        return list(self.params.sweep.lasso) if factorization == "cp" else [0.0]

    def start_of(self, dataset: Dataset) -> Dataset | None:
        """Find the dataset whose 2-D networks are transducted: of images, or itself; None if there is none."""
        images, key = self.of_role(IMAGES), f"datasets.{dataset.name}.start"
        wanted = self.params.datasets[dataset.name].start
        if wanted is None:
            if len(images) > 1:
                names = ", ".join(each.name for each in images)
                raise ParameterError(f"{key}: missing, and there are several datasets of images; name one of {names}")
            start = images[0] if images else None
        elif wanted in {dataset.name, *(each.name for each in images)}:
            start = self.catalog[wanted]
        else:
            raise ParameterError(f"{key}: there is no datasets.{wanted} of images; add it or name another")
        if start is not None and start.task != dataset.task:
            raise ParameterError(
                f"{key}: {start.name} predicts {start.task}, {dataset.name} predicts {dataset.task}; name a dataset of "
                f"the same task, or {dataset.name} itself"
            )
        return start

    def learns_images(self, dataset: Dataset) -> bool:
        """Whether 2-D networks are trained on a dataset: on images, or on the frames of its own clips."""
        return dataset.role == IMAGES or self.start_of(dataset) == dataset

    def check_seeds(self, dataset: Dataset) -> None:
        """Refuse training seeds that the networks of images do not have, from which those of clips start."""
        start = self.start_of(dataset)
        if start is None:
            return
        seeds = self.params.datasets[start.name].seeds
        strangers = sorted(set(self.params.datasets[dataset.name].seeds) - set(seeds))
        if strangers:
            raise ParameterError(
                f"datasets.{dataset.name}.seeds: {strangers} are not among datasets.{start.name}.seeds {seeds}; a run "
                "on clips starts from the static network of its seed: add them there"
            )

    def add(
        self,
        dataset: Dataset,
        method: str,
        factorization: str | None = None,
        rank: Rank | None = None,
        *,
        seed: int,
        fold: int = 0,
        lasso: float = 0.0,
    ) -> Run:
        """Plan a run and all that it starts from."""
        key = RunKey(
            dataset=dataset.name,
            method=method,
            factorization=factorization,
            rank=rank,
            lasso=float(lasso),
            fold=fold,
            seed=seed,
        )
        return self._add(self._on_images(key) if dataset.role == IMAGES else key)

    def _on_images(self, key: RunKey) -> RunKey:
        """Of images, a network with a LASSO weight is one of a method of its own."""
        return key.model_copy(update={"method": "lasso"}) if key.lasso and key.method == "static" else key

    def _add(self, key: RunKey) -> Run:
        # Most runs are what several others start from.
        if key not in self.planned:
            self.planned[key] = self._plan(key)
        return self.planned[key]

    def _plan(self, key: RunKey) -> Run:
        method = self.methods[key.method]
        parent = self._parent(key, method)
        run = self._make(key, method, parent)
        if self.name and run.id not in self.runs:
            run = self._make(key.model_copy(update={"ablation": self.name}), method, parent)
        return self.runs.setdefault(run.id, run)

    def _parent(self, key: RunKey, method: Method) -> Run | None:
        dataset = self.catalog[key.dataset]
        if method.role == IMAGES and not self.learns_images(dataset):
            return self._add(self._of_start(key, method.id))
        if method.id == "lasso":
            return self._add(key.model_copy(update=self._before(key)))
        if method.start is None:
            return None
        if self.methods[method.start].role == IMAGES:
            return self._add(self._of_start(key, method.start))
        return self._add(key.model_copy(update={"method": method.start}))

    def _of_start(self, key: RunKey, method: str) -> RunKey:
        """Name the 2-D network that a network of clips starts from; of another dataset it is that of its only fold."""
        start = self.start_of(self.catalog[key.dataset])
        if start is None:
            raise ParameterError(
                f"datasets.{key.dataset}: {key.method} starts from a network of images, and there is no dataset of "
                f"images; add one, set start: {key.dataset} to train it on frames, or name methods from scratch only"
            )
        fold = key.fold if start.name == key.dataset else 0
        return self._on_images(key.model_copy(update={"dataset": start.name, "method": method, "fold": fold}))

    def _before(self, key: RunKey) -> dict[str, Any]:
        """Say what a LASSO run starts from: the plain network, or that of the next smaller weight."""
        smaller = [weight for weight in self.params.sweep.lasso if weight < key.lasso]
        weight = max(smaller, default=0.0) if self.params.training.stages.lasso.warm_start else 0.0
        return {"method": "lasso" if weight else "static", "lasso": float(weight)}

    def _make(self, key: RunKey, method: Method, parent: Run | None) -> Run:
        dataset, before = self.catalog[key.dataset], parent.id if parent else None
        trained = method.trained and (method.role == CLIPS or self.learns_images(dataset))
        spec = make_spec(self.params, key, method, before, trained, self.networks.sources, dataset)
        return Run(spec, method, parent)


def describe(params: Params, runs: Iterable[Run]) -> Description:
    """Describe the experiment of a plan."""
    bare = Description(
        profile=params.profile,
        width=params.network.width,
        rank=str(main_rank(params.sweep.rank)),
        factorization=params.sweep.factorization[0],
        ranks=tuple(str(rank) for rank in params.sweep.rank),
        crop_size={name: entry.crop.size for name, entry in params.datasets.items()},
        datasets=make_catalog(params.datasets),
        methods=own_networks(params.networks).methods,
        rows=(),
        longer=tuple(each.title for each in params.ablations if each.epochs_factor and not each.change),
    )
    rows: dict[RowKey, None] = {}
    for run in runs:
        key = RowKey.of(run.key)
        rows.setdefault(key)
        averaged = bare.averaged(key)
        if averaged:
            rows.setdefault(RowKey(**(asdict(key) | {"method": averaged})))
    return Description(**(vars(bare) | {"rows": tuple(rows)}))
