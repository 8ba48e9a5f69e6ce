"""Where everything lies; no other module builds a path of the workflow."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Dataset(Protocol):
    """What a place depends on of a dataset's record; see `hocbench.experiment.records`."""

    @property
    def name(self) -> str:
        """Of its entry in the parameters."""

    @property
    def control_of(self) -> str:
        """Name of the dataset whose negative control it is; "" for none."""


DATA_FILES = ("crops.json", "frames.parquet", "ledger.csv", "crops.npy")
CHECK_FILES = ("check.json", "check.txt")
DATA_HASHES = "data_hashes.json"
SPLIT_FILES = ("splits.csv", "splits.json")
RUN_FILES = ("weights.safetensors", "network.json", "history.csv", "predictions.parquet", "cost.json", "manifest.json")
EVALUATION_FILES = (
    "scores.csv",
    "intervals.csv",
    "differences.csv",
    "seed_intervals.csv",
    "seed_differences.csv",
    "trends.csv",
    "sparsity.csv",
    "history.csv",
    "costs.csv",
    "counts.csv",
    "windows.csv",
    "factors.csv",
    "quadrants.csv",
    "timelines.parquet",
    "circumplex.parquet",
    "metrics.json",
    "meta.json",
    "files.json",
)
# Those with a table in the paper, which are written for LaTeX too, whether the experiment has them or not.
PAPER_DATASETS = ("affectnet", "sewa", "afew_va")
# Those of `hocbench tables` about all datasets, and those of `hocbench counts`, which builds networks to count.
SHARED_TABLES = ("ranks", "differences", "trends", "cost")
COUNT_TABLES = ("parameters", "conventions", "special_cases")
CLAIM_FILES = ("claims.csv", "evidence.csv", "margins.csv", "claims.md", "claims.html", "claims.json")
FIGURES = (
    *("sparsity", "lasso_path", "rank_sweep", "circumplex", "timelines", "temporal_factors", "learning_curves"),
    *("recovery", "score_parameters", "pareto", "clips", "quadrants", "forest"),
)
FIGURE_FILES = ("png", "pdf", "json")  # suffixes; the last holds title, caption, alt text and label


def results(profile: str) -> Path:
    """Return the results root of a profile."""
    return Path("results") / profile


def data_hashes(profile: str) -> Path:
    """Return the file of the hashes of a profile's data, of which alone the results hold something."""
    return results(profile) / DATA_HASHES


def score_tables(datasets: Iterable[Dataset]) -> list[str]:
    """Name the tables of scores: of the paper's datasets, and of all others that are no control of another one."""
    return list(dict.fromkeys([*PAPER_DATASETS, *(dataset.name for dataset in datasets if not dataset.control_of)]))


def result_tables(datasets: Iterable[Dataset]) -> list[str]:
    """Name the tables that `hocbench tables` writes."""
    return [*score_tables(datasets), *SHARED_TABLES]


def all_tables(datasets: Iterable[Dataset]) -> list[str]:
    """Name all tables of an experiment."""
    return [*result_tables(datasets), *COUNT_TABLES]


def table_files(names: Iterable[str]) -> list[str]:
    """Name the files of tables, the seal of each last."""
    kinds, in_latex = ("md", "html", "csv", "tex", "json"), (*PAPER_DATASETS, "parameters")
    return [f"{name}.{kind}" for name in names for kind in kinds if kind != "tex" or name in in_latex]


def prepared(profile: str, dataset: str) -> Path:
    """Return the folder of a dataset's index and crops, which never enters the results (licences)."""
    return Path("data") / "prepared" / profile / dataset


def checkpoints() -> Path:
    """Return the folder of trainings that are not complete; Snakemake, which deletes unfinished outputs, ignores it."""
    return Path(".checkpoints")


def run(profile: str, dataset: str, run_id: str) -> Path:
    """Return a run directory."""
    return results(profile) / "runs" / dataset / run_id
