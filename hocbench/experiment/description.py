"""What every table, claim and figure knows of an experiment: datasets, methods, the main rank, and the rows to show."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hocbench.errors import EvaluationError
from hocbench.experiment.methods import CLIPS, Method
from hocbench.experiment.records import Dataset
from hocbench.experiment.spec import RunKey
from hocbench.experiment.tasks import VALENCE_AROUSAL, Task
from hocbench.files.checksums import check_beside

KEY_COLUMNS = ("dataset", "method", "factorization", "rank", "lasso", "ablation")
META = "meta.json"


@dataclass(frozen=True, order=True)
class RowKey:
    """A row of the tables: all runs that differ by fold and seed only, under the same names from plan to report.

    Attributes
    ----------
    dataset, method : str
        Name of the dataset's entry and id of the method.
    factorization, rank : str
        As text; "" for a network without factors.
    lasso : float
        LASSO weight.
    ablation : str
        "" for the networks of the sweep.
    """

    dataset: str
    method: str
    factorization: str = ""
    rank: str = ""
    lasso: float = 0.0
    ablation: str = ""

    @classmethod
    def of(cls, key: RunKey) -> "RowKey":
        """Leave out seed and fold of a run."""
        rank = "" if key.rank is None else str(key.rank)
        return cls(key.dataset, key.method, key.factorization or "", rank, key.lasso, key.ablation)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> "RowKey":
        """Take the key out of a row of a table."""
        texts = {name: str(values[name]) for name in KEY_COLUMNS if name != "lasso"}
        return cls(**texts, lasso=float(values["lasso"]))


@dataclass(frozen=True)
class Description:
    """An experiment without its runs.

    Attributes
    ----------
    profile : str
        Name of the results folder.
    width : int
        Channels of the first stage of its networks.
    rank, factorization : str
        What tables, claims and figures are about where the sweep has several.
    ranks : tuple of str
        All of the sweep.
    crop_size : dict of str to int
        Pixels per side by dataset.
    datasets : dict of str to Dataset
        By name, in the order of the parameters.
    methods : dict of str to Method
        By id, in the order of legends.
    rows : tuple of RowKey
        What the tables must show, present or missing.
    longer : tuple of str
        Names of the ablations that change the number of epochs and nothing else.
    """

    profile: str
    width: int
    rank: str
    factorization: str
    ranks: tuple[str, ...]
    crop_size: Mapping[str, int]
    datasets: Mapping[str, Dataset]
    methods: Mapping[str, Method]
    rows: tuple[RowKey, ...]
    longer: tuple[str, ...] = ()

    def is_main(self, key: RowKey) -> bool:
        """Whether a row stands for the paper's: of the main rank, or without one, and of no ablation."""
        return not key.ablation and (key.factorization, key.rank) in ((self.factorization, self.rank), ("", ""))

    def title(self, key: RowKey) -> str:
        """Return what people read for a row's method; one that is not known is called by its id."""
        method = self.methods.get(key.method)
        return method.named(key.factorization) if method else key.method

    def averaged(self, key: RowKey) -> str:
        """Return the id of the method that averages a row's outputs over time, "" where there is none."""
        dataset = self.datasets[key.dataset]
        # The mean logits of a clip, by which a classification is scored, are an average already.
        if dataset.role != CLIPS or dataset.task.unit == "clip" or key.lasso:
            return ""
        return next((method.id for method in self.methods.values() if method.averages == key.method), "")

    def text(self) -> str:
        """Write it as JSON, in which the order of datasets and methods is kept; the usual task goes without saying."""
        values = asdict(self)
        for name, dataset in self.datasets.items():
            if dataset.task == VALENCE_AROUSAL:
                del values["datasets"][name]["task"]
        return json.dumps(values, separators=(",", ":"))


def parse_description(text: str, place: str) -> Description:
    """Read a description that `Description.text` wrote.

    Raises
    ------
    EvaluationError
        If it is none: the place, and what to give.
    """
    try:
        values = json.loads(text)
        for each in values["datasets"].values():
            each |= {"task": Task.read(each["task"])} if "task" in each else {}
        values["datasets"] = {name: Dataset(**each) for name, each in values["datasets"].items()}
        values["methods"] = {
            name: Method(**(each | {"look": tuple(each["look"])})) for name, each in values["methods"].items()
        }
        values["rows"] = tuple(RowKey(**row) for row in values["rows"])
        values |= {name: tuple(values[name]) for name in ("ranks", "longer")}
        return Description(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EvaluationError(
            f"{place} is no description of an experiment ({type(error).__name__}: {error}); give what the workflow "
            "prints with `snakemake -n -p`"
        ) from None


def read_description(evaluation: Path) -> Description:
    """Read the description beside the tables of an evaluation.

    Raises
    ------
    EvaluationError
        If there is none, or it cannot be read.
    DamageError
        If it is not as it was written.
    """
    path = evaluation / META
    if not path.is_file():
        raise EvaluationError(f"No {META} in {evaluation}. Run `hocbench evaluate` first.")
    check_beside(path, "files.json")
    return parse_description(path.read_text(encoding="utf-8"), str(path))
