"""Trainings killed again and again, compared bit by bit with the one that was left alone.

``python -m tests.system.kill_grid --out results/kill_grid`` runs the full grid; `make kill-grid` does the same.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.system.kill_driver import MOMENTS
from tests.training.conftest import LASSO, Laboratory

STAGES: dict[str, dict[str, Any]] = {
    "static": {"method": "static", "dataset": "affectnet"},
    "lasso": {"method": "lasso", "dataset": "affectnet", "lasso": LASSO},
    "temporal": {"method": "temporal"},
    "joint": {"method": "joint"},
    "scratch dense": {"method": "scratch_dense"},
}
TRAINING = ("step", "update", "validation", "half a file", "rename", "between", "old")
END = ("predictions", "run file", "run files", "manifest", "removal")
ANY_TIME = "any time"  # by the clock, from outside
DESCRIPTIONS = {
    "beginning": MOMENTS["beginning"],
    "first step": "in a step, nothing saved",
    **MOMENTS,
    ANY_TIME: "at any time, from outside",
}
SAME_BYTES = ("weights.safetensors", "history.csv", "predictions.parquet", "network.json")
TIMES = ("wall_s", "steps_s", "waiting_s")


class Driver:
    """Starts trainings from sources that nobody edits meanwhile; see `tests.system.kill_driver`."""

    def __init__(self, tree: Path) -> None:
        shutil.copytree(ROOT / "hocbench", tree / "hocbench", ignore=shutil.ignore_patterns("__pycache__"))
        own = {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "HOCBENCH_TRACKING": "off"}
        command = [sys.executable, str(Path(__file__).with_name("kill_driver.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=tree, env=os.environ | own, text=True, **pipes)

    def start(self, plan: dict[str, Any]) -> int:
        """Start one training and return its exit code."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        """End the driver."""
        self._process.communicate()


@dataclass
class Place:
    """A folder in which one training is started until it is complete."""

    driver: Driver
    folder: Path
    arguments: list[str]
    starts: int = 0

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    def start(self, moment: str = "", at: int = 0, broken: str = "", seconds: float | None = None) -> bool:
        """Start the training; return whether it was killed, after ``seconds`` if those are given."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.starts += 1
        plan = {"moment": moment, "at": at, "broken": broken, "seconds": seconds, "keep": str(self.kept)}
        code = self.driver.start(plan | {"folder": str(self.folder), "arguments": self.arguments})
        if code not in (0, -9):
            errors = (self.folder / "stderr.txt").read_text(encoding="utf-8")
            raise AssertionError(f"exit code {code} of a start to be killed at {moment} {at}: {errors}")
        return code == -9


class Bench:
    """Makes places for the trainings of the stages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.driver = Driver(folder / "tree")
        self.laboratory = Laboratory(folder / "laboratory")

    def place(self, stage: str, name: str) -> Place:
        run = self.laboratory.plan(**STAGES[stage])
        parent = ["--parent", str(self.laboratory.fit(run.parent))] if run.parent else []
        arguments = ["fit", "out", "--spec", run.spec.text(), *parent, "--checkpoint-minutes", "0"]
        arguments += ["--crops", str(self.laboratory.crops[run.key.dataset])]
        return Place(self.driver, self.folder / stage.replace(" ", "-") / name, arguments)


def differences(one: Place, other: Place) -> list[str]:
    """Name what is not the same, bit for bit, in two complete trainings: files, and the state that was saved last."""
    found = [name for name in SAME_BYTES if (one.out / name).read_bytes() != (other.out / name).read_bytes()]
    tensors = [load_file(place.kept / "last.safetensors") for place in (one, other)]
    for name in sorted({*tensors[0], *tensors[1]}):
        mine, its = (each.get(name) for each in tensors)
        if mine is None or its is None or mine.dtype != its.dtype or mine.numpy().tobytes() != its.numpy().tobytes():
            found.append(f"checkpoint {name}")
    values = [_values(place.kept / "last.json") for place in (one, other)]
    return found + [f"checkpoint {key}" for key in values[0] if values[0][key] != values[1].get(key)]


def _values(path: Path) -> dict[str, str]:
    """Spell out the plain values of a checkpoint, without what was spent."""
    values = json.loads(path.read_text(encoding="utf-8"))["content"]["values"]
    outcome = {key: value for key, value in values.pop("outcome").items() if key not in TIMES}
    del values["about"]["spent"]
    return {key: json.dumps(value) for key, value in (values | outcome).items()}  # as text, NaN is NaN


@dataclass
class Chain:
    """One stage's kills, spread over as many trainings as it takes."""

    bench: Bench
    stage: str
    rng: random.Random
    rows: list[dict[str, Any]] = field(default_factory=list)
    whole: Place = field(init=False)
    place: Place = field(init=False)
    seconds: float = 0.0
    trainings: int = 0

    def __post_init__(self) -> None:
        started = time.monotonic()
        self.whole = self.bench.place(self.stage, "whole")
        if self.whole.start():
            raise AssertionError("nobody was to kill this one")
        self.seconds = time.monotonic() - started
        self.counts: dict[str, int] = json.loads((self.whole.kept / "counts.json").read_text(encoding="utf-8"))
        self._begin()

    def _begin(self) -> None:
        self.trainings += 1
        self.place = self.bench.place(self.stage, f"killed{self.trainings}")
        self.pending: list[dict[str, Any]] = []

    def kill(self, moment: str, spread: int = 1) -> None:
        """Kill one start at a moment, at a random one of the first of its calls; or let it end, if that never came."""
        if moment == ANY_TIME:
            at, killed = 0, self.place.start(seconds=self.rng.uniform(0.2, self.seconds))
        else:
            name = "step" if moment == "first step" else moment
            most = 1 if moment == "first step" else max(1, self.counts.get(name, 1) // spread)
            at = self.rng.randint(1, most)
            killed = self.place.start(name, at)
        if killed:
            self.pending.append({"stage": self.stage, "moment": moment, "call": at})
        else:
            self._compare()

    def finish(self) -> None:
        """Let the last training end."""
        if self.pending:
            if self.place.start():
                raise AssertionError("nobody was to kill this one")
            self._compare()

    def _compare(self) -> None:
        found = differences(self.whole, self.place)
        if (self.place.folder / ".checkpoints").is_dir() and any((self.place.folder / ".checkpoints").iterdir()):
            found.append("checkpoints left over")
        shared = {"training": self.trainings, "starts": self.place.starts, "differences": "; ".join(found)}
        self.rows += [row | shared for row in self.pending]
        self._begin()


def run_stage(bench: Bench, stage: str, moments: tuple[str, ...], seed: int) -> list[dict[str, Any]]:
    """Kill a stage's training at each moment, early ones first; return a row per kill."""
    chain = Chain(bench, stage, random.Random(f"{seed} {stage}"))
    inside = [moment for moment in moments if moment in TRAINING]
    end = [moment for moment in moments if moment in END]
    chain.rng.shuffle(inside)
    chain.rng.shuffle(end)
    for moment in (each for each in moments if each not in TRAINING and each not in END):
        chain.kill(moment)
    for moment in inside:
        chain.kill(moment, spread=len(inside))
    for moment in end:
        chain.kill(moment)
    chain.finish()
    return chain.rows


def control(bench: Bench, stage: str, broken: str) -> list[str]:
    """Return the differences of a training that was killed and went on with a part of its state forgotten."""
    whole, place = bench.place(stage, "whole"), bench.place(stage, f"broken-{broken}")
    if not (whole.kept / "last.json").is_file():
        whole.start()
    for moment, at in (("step", 12), ("", 0)):
        place.start(moment, at, broken)
    return differences(whole, place)


def write_tables(rows: list[dict[str, Any]], controls: dict[str, list[str]], out: Path) -> str:
    """Write a CSV with a row per kill and the table of moments and stages as Markdown; return the latter."""
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(out / "kill_grid.csv", index=False, lineterminator="\n")
    stages = list(dict.fromkeys(table["stage"]))
    lines = ["| killed | " + " | ".join(stages) + " | differences |", "|---|" + "---|" * (len(stages) + 1)]
    for moment, description in DESCRIPTIONS.items():
        own = table[table["moment"] == moment]
        if len(own):
            counts = Counter(own["stage"])
            wrong = int((own["differences"] != "").sum())
            lines.append(f"| {description} | " + " | ".join(str(counts[stage]) for stage in stages) + f" | {wrong} |")
    trainings = table.drop_duplicates(["stage", "training"])
    text = "\n".join(lines) + (
        f"\n\n{len(table)} kills in {len(trainings)} trainings, {int(trainings['starts'].sum())} starts, "
        f"{int((trainings['differences'] != '').sum())} trainings with a difference.\n"
    )
    for broken, found in controls.items():
        text += f"\nControl, a restart that forgets the {broken}: {len(found)} differences.\n"
    (out / "kill_grid.md").write_text(text, encoding="utf-8")
    return text


def main() -> None:
    """Run the full grid and end with 1 if anything differs, or if the controls do not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/kill_grid"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", default=[*STAGES])
    chosen = parser.parse_args()
    moments = ("beginning", "first step", ANY_TIME, ANY_TIME, *TRAINING, *END)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        rows: list[dict[str, Any]] = []
        for stage in chosen.stages:
            rows += run_stage(bench, stage, moments, chosen.seed)
            sys.stderr.write(f"{stage}: {len(rows)} kills so far\n")
        controls = {broken: control(bench, "static", broken) for broken in ("optimizer", "position")}
    sys.stdout.write(write_tables(rows, controls, chosen.out))
    if any(row["differences"] for row in rows) or not all(controls.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
