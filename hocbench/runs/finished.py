"""Run directories, read only after their manifest and its hashes have been checked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hocbench.errors import RunError
from hocbench.experiment.description import RowKey
from hocbench.experiment.spec import RunKey, RunSpec
from hocbench.files.checksums import check_file
from hocbench.runs.manifest import manifest_values, spec_of

TARGETS = ("valence", "arousal")


@dataclass(frozen=True)
class Run:
    """One finished run directory.

    Attributes
    ----------
    path : Path
        The directory.
    name : str
        The run id.
    spec : RunSpec
        What it was told.
    label : str
        ``"synthetic"`` or ``"real"``: what its data were.
    attempts : int
        How often it was started until it was finished.
    """

    path: Path
    name: str
    spec: RunSpec
    label: str
    attempts: int = 1

    @property
    def key(self) -> RunKey:
        """What distinguishes the run."""
        return self.spec.key

    @cached_property
    def row(self) -> RowKey:
        """The row of tables that it belongs to."""
        return RowKey.of(self.key)

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
            Columns subject, clip, frame, part, status, and those of truth and outputs of the run's task; sorted by
            part, clip and frame, one row per frame.

        Raises
        ------
        RunError
            If a column is absent or a frame is there twice.
        """
        path = self.path / "predictions.parquet"
        table = pd.read_parquet(path)
        task = self.spec.task
        columns = ["subject", "clip", "frame", "part", "status", *task.truth_columns, *task.output_columns]
        absent = [column for column in columns if column not in table.columns]
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
        return table[columns]


def read_runs(run_dirs: Sequence[Path]) -> list[Run]:
    """Read run directories, refusing any that is unfinished or was changed after it was written.

    They are sorted by their keys, so that the order of the arguments does not matter.

    Raises
    ------
    RunError
        If a run is not finished, or its manifest lacks a key.
    DamageError
        If a file is absent, or not as it was written.
    """
    return sorted(
        (_read_run(Path(path)) for path in run_dirs), key=lambda run: (run.row, run.key.fold, run.key.seed, run.name)
    )


def _read_run(path: Path) -> Run:
    with manifest_values(path) as manifest:
        spec, files = spec_of(manifest), manifest["files"]
        run = Run(path, spec.run, spec, str(manifest["label"]), int(manifest.get("attempts", 1)))
        for name in sorted({*files, "predictions.parquet", "history.csv", "cost.json", "network.json"}):
            check_file(path / name, files[name])
    return run


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a run; a RunError if it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not valid JSON ({error}). Delete the run directory and fit again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object. Delete the run directory and fit again.")
    return value
