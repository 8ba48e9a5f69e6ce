"""What the caption of a table of scores has to state: how many frames, clusters, seeds, and which interval."""

from dataclasses import dataclass

import pandas as pd

from hocbench.datasets.columns import NO_CROP
from hocbench.experiment.records import Dataset


@dataclass(frozen=True)
class Facts:
    """About the scores of one dataset.

    Attributes
    ----------
    synthetic : bool
        Whether the data are.
    frames, clusters, seeds, folds : int
        Test frames per run, clusters, training seeds and folds, the most that any row has.
    unit : str
        What the clusters are: "subjects" or "images".
    repaired, lost : int
        Most test frames of a run with a repaired crop, and without any.
    interval : str
        What the intervals are.
    """

    synthetic: bool
    frames: int
    clusters: int
    unit: str
    seeds: int
    folds: int
    repaired: int
    lost: int
    interval: str


def score_facts(dataset: Dataset, intervals: pd.DataFrame, counts: pd.DataFrame) -> Facts:
    """Count what stands behind the scores of a dataset.

    Parameters
    ----------
    dataset : Dataset
        Which one.
    intervals, counts : DataFrame
        Its rows of the tables of an evaluation, at least one of each.
    """
    test = counts[counts["part"] == "test"]
    unit = f"{dataset.cluster}s"
    return Facts(
        synthetic=bool((intervals["label"] == "synthetic").any()),
        frames=_most(test, "scored"),
        clusters=int(intervals["n_clusters"].max()),
        unit=unit,
        seeds=int(intervals["n_seeds"].max()),
        folds=int(intervals["n_folds"].max()),
        repaired=_most(test[~test["status"].isin(["ok", NO_CROP])], "frames"),
        lost=_most(test[test["status"] == NO_CROP], "frames"),
        interval=interval_words(intervals, unit),
    )


def _most(counts: pd.DataFrame, column: str) -> int:
    """Sum by run and take the largest; 0 without any run."""
    return int(counts.groupby("run")[column].sum().max()) if len(counts) else 0


def interval_words(table: pd.DataFrame, unit: str) -> str:
    """Say what the intervals of a table are, from its column ``interval``.

    Parameters
    ----------
    table : DataFrame
        ``intervals.csv``, ``differences.csv`` or rows of them.
    unit : str
        What the clusters are.
    """
    resampled = set(table["interval"]) - {""}
    with_seeds = {kind for kind in resampled if kind.endswith("and seeds")}
    if resampled and resampled == with_seeds:
        over = f"over {unit} and seeds"
    elif with_seeds:
        over = f"over {unit}, and over seeds where there are five or more"
    else:
        over = f"over {unit}, conditional on the seeds"
    return f"95 % studentised cluster-bootstrap interval {over}"


def counted(number: int, word: str) -> str:
    """Write a number with its noun.

    >>> counted(1, "training seed"), counted(2, "fold")
    ('1 training seed', '2 folds')
    """
    return f"{number} {word}" + ("" if number == 1 else "s")


def rank_words(rank: str) -> str:
    """Say what a rank of the parameters means.

    >>> rank_words("0.22")
    "0.22 times the rank that matches a dense layer's parameters"
    """
    matched = "the rank that matches a dense layer's parameters"
    if rank == "same":
        return matched
    return f"{rank} times {matched}" if "." in rank else f"rank {rank}"
