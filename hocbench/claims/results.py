"""What a reproduction has measured and what was published, as the claims need it."""

from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from hocbench.claims.schema import STATUSES
from hocbench.errors import EvaluationError
from hocbench.evaluation.files import read_table
from hocbench.experiment.description import Description, read_description
from hocbench.experiment.tasks import VALENCE_AROUSAL


@dataclass(frozen=True)
class Results:
    """What a reproduction has measured.

    Attributes
    ----------
    description : Description
        Datasets, methods, and the rank that claims are judged at.
    differences, intervals, sparsity, costs : DataFrame
        From the evaluation.
    seed_differences, seed_intervals : DataFrame
        From the evaluation: by each training seed alone, of data sets with several.
    parameters, special_cases : DataFrame or None
        From `hocbench counts`; None where they are absent.
    """

    description: Description
    differences: pd.DataFrame
    intervals: pd.DataFrame
    sparsity: pd.DataFrame
    costs: pd.DataFrame
    seed_differences: pd.DataFrame
    seed_intervals: pd.DataFrame
    parameters: pd.DataFrame | None
    special_cases: pd.DataFrame | None

    def label(self, dataset: str) -> str:
        """Return what kind of data a data set is; "" if nothing of it was measured."""
        labels = self.costs.loc[self.costs["dataset"] == dataset, "label"]
        return str(labels.iloc[0]) if len(labels) else ""

    def targets(self, dataset: str) -> tuple[str, ...]:
        """Return what is predicted on a dataset; on one that is no part of the experiment, valence and arousal."""
        known = self.description.datasets.get(dataset)
        return known.task.targets if known else VALENCE_AROUSAL.targets

    def main(self, table: pd.DataFrame, dataset: str) -> pd.DataFrame:
        """Pick the rows of a dataset that claims are about: of the main network or without a rank, of no ablation."""
        known = self.description
        ours = (table["factorization"] == known.factorization) & (table["rank"] == known.rank)
        return table[(table["dataset"] == dataset) & (table["ablation"] == "") & (ours | (table["rank"] == ""))]

    def title(self, method: str) -> str:
        """Return what people read for a method of the main network; other names are what they are."""
        known = self.description.methods.get(method)
        return known.named(self.description.factorization) if known else method

    def seeds(self, dataset: str) -> list[int]:
        """List the training seeds of a data set."""
        return sorted({int(seed) for seed in self.costs.loc[self.costs["dataset"] == dataset, "seed"]})

    def of_seed(self, seed: int) -> "Results":
        """Return what would have been measured if one training seed alone had been run, on data sets with several."""
        names = ("seed_differences", "seed_intervals", "sparsity", "costs")
        tables = {name: table[table["seed"] == seed] for name in names for table in [getattr(self, name)]}
        # No p value is judged.
        differences = tables["seed_differences"].assign(n_seeds=1, p_holm=np.nan)
        return replace(self, **tables, differences=differences, intervals=tables["seed_intervals"].assign(n_seeds=1))


def read_results(evaluation: Path, tables: Path) -> Results:
    """Read what claims are judged by: an evaluation, and a folder of counts, without which some claims are not judged.

    Raises
    ------
    EvaluationError
        If the evaluation is absent.
    """
    names = ("differences", "intervals", "sparsity", "costs", "seed_differences", "seed_intervals")
    measured = {name: read_table(evaluation / f"{name}.csv") for name in names}
    paths = [tables / f"{name}.csv" for name in ("parameters", "special_cases")]
    parameters, special_cases = (pd.read_csv(path) if path.is_file() else None for path in paths)
    return Results(read_description(evaluation), **measured, parameters=parameters, special_cases=special_cases)


def published_scores() -> pd.DataFrame:
    """Read the published scores, refusing one whose status is none of P, S and U."""
    return _published("results.csv")


def published_counts() -> pd.DataFrame:
    """Read the published parameter counts, in millions; see `published_scores`."""
    return _published("parameters.csv")


def _published(name: str) -> pd.DataFrame:
    with (files("hocbench.published") / name).open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    check_statuses(table, name)
    return table


def check_statuses(table: pd.DataFrame, name: str) -> None:
    """Refuse a table of published numbers with an unknown status: an EvaluationError that names the row."""
    wrong = table[~table["status"].isin(STATUSES)]
    if len(wrong):
        row = wrong.iloc[0]
        raise EvaluationError(
            f"{name}, line {int(wrong.index[0]) + 2}: status {row['status']!r}; choose from {', '.join(STATUSES)}"
        )
