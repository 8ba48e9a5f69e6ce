"""Where everything lies; no other module builds a path of the workflow."""

from collections.abc import Iterable
from pathlib import Path

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
# Those of `hocbench tables`, and those of `hocbench counts`, which builds networks to count.
RESULT_TABLES = ("affectnet", "sewa", "afew_va", "ranks", "differences", "trends", "cost")
COUNT_TABLES = ("parameters", "conventions", "special_cases")
TABLES = (*RESULT_TABLES, *COUNT_TABLES)
# Those in the paper's own layout, which are written for LaTeX too.
PAPER_TABLES = ("affectnet", "sewa", "afew_va", "parameters")
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


def table_files(names: Iterable[str]) -> list[str]:
    """Name the files of tables, the seal of each last."""
    kinds = ("md", "html", "csv", "tex", "json")
    return [f"{name}.{kind}" for name in names for kind in kinds if kind != "tex" or name in PAPER_TABLES]


def prepared(profile: str, dataset: str) -> Path:
    """Return the folder of a dataset's index and crops, which never enters the results (licences)."""
    return Path("data") / "prepared" / profile / dataset


def checkpoints() -> Path:
    """Return the folder of trainings that are not complete; Snakemake, which deletes unfinished outputs, ignores it."""
    return Path(".checkpoints")


def run(profile: str, dataset: str, run_id: str) -> Path:
    """Return a run directory."""
    return results(profile) / "runs" / dataset / run_id
