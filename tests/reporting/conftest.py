"""A small written experiment with histories and costs that differ by method, and its evaluation."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hocbench.reporting.figures import FIGURES, Tables
from hocbench.reporting.style import style
from tests.evaluation.conftest import Writer, evaluate_written, write_plan

SIZES = {("cp", 2): 165_000, ("cp", 3): 168_300, ("dense", 2): 701_000, ("dense", 3): 2_080_000}
STARTS = {"static": 0.1, "lasso": 0.5, "frames": 0.55, "temporal": 0.6, "joint": 0.65, "scratch": 0.0}
SETTING = {
    "profile": "written",
    "width": 16,
    "crop_size": {"affectnet": 48, "sewa": 40, "afew_va": 32},
    "rank": ["same"],
}
CP, DENSE = "CP 2-D, static", "dense 2-D, static"
JOINT, INFLATED = "CP 3-D, temporal then joint", "dense 2-D inflated to 3-D"
SMOOTHED, FRAMES = "CP 2-D, static + moving average", "CP 2-D, fine-tuned on frames (reference)"
UNTRAINED, TEMPORAL = "CP 3-D, transducted, untrained", "CP 3-D, temporal factors trained"
SCRATCH = "dense 3-D from scratch"


class ReportWriter(Writer):
    """Writes run directories as `Writer` does, with all columns of a history and the costs of the method."""

    def seal(self, path, spec):
        kind = "cp" if spec.key.factorization else "dense"
        start = STARTS[spec.stage] * (1 if kind == "cp" else 0.8)
        levels = 0.7 - (0.7 - start) / np.arange(1, spec.training.epochs + 2) + 0.02 * spec.key.seed
        columns = {f"validation_ccc_{target}": levels + shift for target, shift in (("valence", 0.1), ("arousal", 0))}
        history = pd.DataFrame({"epoch": range(len(levels)), "train_loss": 1.0} | columns)
        history["kept"] = (history["epoch"] == history["epoch"].max()).astype(int)
        history["static_level"] = 0.72 if spec.stage in ("temporal", "joint") else np.nan
        history.to_csv(path / "history.csv", index=False)
        cost = json.loads((path / "cost.json").read_text())
        (path / "cost.json").write_text(json.dumps(cost | {"parameters": SIZES[kind, spec.order]}))
        super().seal(path, spec)


@dataclass(frozen=True)
class Written:
    """Writes an experiment and evaluates it."""

    root: Path

    def __call__(self, name, label="synthetic", replicates=60, plan=write_plan, **options):
        writer = ReportWriter(self.root / name / "runs")
        writer.label = label
        plan(writer, **options)
        return evaluate_written(writer.paths, self.root / name / "evaluation", replicates=replicates)


def row(dataset, method, rank="same", lasso=0.0):
    return {"dataset": dataset, "method": method, "rank": rank, "lasso": lasso}


@pytest.fixture
def draw():
    """Draw one figure as it is saved, with all places settled."""

    def drawn(name, evaluation):
        with style():
            figure = FIGURES[name](Tables(evaluation)).figure
            figure.canvas.draw()
        return figure

    return drawn


@pytest.fixture(scope="session")
def write_evaluation(tmp_path_factory):
    return Written(tmp_path_factory.mktemp("written"))


@pytest.fixture(scope="session")
def evaluation(write_evaluation):
    """Three datasets, two seeds, two LASSO weights."""
    return write_evaluation("full", lassos=(0.0, 0.01, 0.05))


@pytest.fixture(scope="session")
def real(write_evaluation):
    """The same from real data, with one seed and one LASSO weight."""
    return write_evaluation("real", label="real", seeds=(0,), lassos=(0.0, 0.05))


@pytest.fixture(scope="session")
def scanty(write_evaluation):
    """Still images alone: one real run without LASSO, and nothing about video."""
    return write_evaluation("scanty", label="real", plan=lambda write: write("affectnet"))
