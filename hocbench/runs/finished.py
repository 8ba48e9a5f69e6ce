"""Run directories, read only after their manifest and its hashes have been checked."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.errors import RunError
from hocbench.experiment.plan import method_name
from hocbench.files.checksums import check_file
from hocbench.runs.manifest import manifest_values

STAGES = ("static", "lasso", "frames", "temporal", "joint", "scratch")
TARGETS = ("valence", "arousal")
PREDICTION_COLUMNS = (
    *("subject", "clip", "frame", "part", "status"),
    *("truth_valence", "truth_arousal", "valence", "arousal"),
)


@dataclass(frozen=True, order=True)
class Axes:
    """What distinguishes one run from the others.

    Attributes
    ----------
    dataset, stage, kind : str
        For example ``"sewa"``, ``"joint"``, ``"cp"``.
    order : int
        2 for images, 3 for video.
    rank : str
        ``"same"``, a number as text, or ``""`` for a network without factors.
    lasso : float
        Weight of the L1 norm of the CP weights; 0 for none.
    fold, seed, epochs : int
        Fold of the split, seed of the run, epochs trained.
    variant : str
        What an experiment changed, such as ``"kernel-5"``; ``""`` for the network that all tables are about.
    """

    dataset: str
    stage: str
    kind: str
    order: int
    rank: str
    lasso: float
    fold: int
    seed: int
    epochs: int
    variant: str = ""

    @property
    def method(self) -> str:
        """The row name of the run in tables."""
        return method_name(self.stage, self.kind, self.epochs, self.dataset)


@dataclass(frozen=True)
class Run:
    """One finished run directory.

    Attributes
    ----------
    path : Path
        The directory.
    name : str
        The run id.
    axes : Axes
        What distinguishes the run.
    label : str
        ``"synthetic"`` or ``"real"``: what its data were.
    parent : str
        Id of the run that it started from; ``""`` for none.
    profile : str
        Name of the parameters that it was trained with; "" if it does not say.
    attempts : int
        How often it was started until it was finished.
    """

    path: Path
    name: str
    axes: Axes
    label: str
    parent: str = ""
    attempts: int = 1
    profile: str = ""

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per epoch, epoch 0 is before training."""
        return pd.read_csv(self.path / "history.csv")

    @cached_property
    def cost(self) -> dict[str, Any]:
        """Parameters, multiply-adds per frame, seconds, memory."""
        return read_json(self.path / "cost.json")

    @cached_property
    def network(self) -> dict[str, Any]:
        """Configuration and the list of layers."""
        return read_json(self.path / "network.json")

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that were predicted, sorted."""
        return tuple(sorted(self.predictions()["part"].unique()))

    def predictions(self) -> pd.DataFrame:
        """Read the predictions; they are not kept, because many runs are read in turn.

        Returns
        -------
        DataFrame
            `PREDICTION_COLUMNS`, sorted by part, clip and frame; one row per frame.

        Raises
        ------
        RunError
            If a column is absent or a frame is there twice.
        """
        path = self.path / "predictions.parquet"
        table = pd.read_parquet(path)
        absent = [column for column in PREDICTION_COLUMNS if column not in table.columns]
        if absent:
            raise RunError(f"{path} has no column {', '.join(absent)}. Delete the run directory and fit again.")
        table = table.sort_values(["part", "clip", "frame"], kind="stable", ignore_index=True)
        twice = table.duplicated(["part", "clip", "frame"])
        if twice.any():
            row = table[twice].iloc[0]
            raise RunError(
                f"{path} has frame {row['frame']} of clip {row['clip']} twice in part {row['part']}. "
                "Delete the run directory and fit again."
            )
        return table[list(PREDICTION_COLUMNS)]


def read_runs(run_dirs: Sequence[Path]) -> list[Run]:
    """Read run directories, refusing any that is unfinished or was changed after it was written.

    Parameters
    ----------
    run_dirs : sequence of Path
        Directories with a ``manifest.json``.

    Returns
    -------
    list of Run
        Sorted by axes, so that the order of the arguments does not matter.

    Raises
    ------
    RunError
        If a run is not finished, or its manifest lacks a key.
    DamageError
        If a file is absent, or not as it was written.
    """
    return sorted((_read_run(Path(path)) for path in run_dirs), key=lambda run: (run.axes, run.name))


def _read_run(path: Path) -> Run:
    with manifest_values(path) as manifest:
        axes, files = _axes(manifest["axes"]), manifest["files"]
        parent, attempts = manifest.get("inputs", {}).get("parent") or "", int(manifest.get("attempts", 1))
        profile = str(manifest.get("spec", {}).get("profile", ""))
        run = Run(path, str(manifest["run"]), axes, str(manifest["label"]), str(parent), attempts, profile)
        for name in sorted({*files, "predictions.parquet", "history.csv", "cost.json", "network.json"}):
            check_file(path / name, files[name])
    if axes.stage not in STAGES:
        raise RunError(f"{path} is of the stage '{axes.stage}', known are {', '.join(STAGES)}. Fit it again.")
    return run


def _axes(values: dict[str, Any]) -> Axes:
    return Axes(
        dataset=str(values["dataset"]),
        stage=str(values["stage"]),
        kind=str(values["kind"]),
        order=int(values["order"]),
        rank="" if values["rank"] is None else str(values["rank"]),
        lasso=float(values["lasso"]),
        fold=int(values["fold"]),
        seed=int(values["seed"]),
        epochs=int(values["epochs"]),
        variant=str(values.get("variant", "")),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a run.

    Raises
    ------
    RunError
        If it is none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}). Delete the run directory and fit again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object. Delete the run directory and fit again.")
    return value


def default_rank(ranks: Iterable[str]) -> str:
    """Choose among the ranks of networks: "same", else what most have, of equals the smallest; "" if none has one."""
    counts = Counter(rank for rank in ranks if rank)
    return "same" if "same" in counts else min(counts, key=lambda rank: (-counts[rank], float(rank)), default="")
