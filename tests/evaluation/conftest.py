"""Small run directories, written by code as the training would write them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from hocbench.evaluation.scores import evaluate

LENGTH = 40


def make_predictions(dataset, fold, noise, seed):
    """Frames of 6 subjects with 2 clips each (or 30 images); labels depend on dataset and fold only."""
    still = dataset == "affectnet"
    rows = []
    labels = np.random.default_rng([len(dataset), fold])
    outputs = np.random.default_rng([seed, fold, int(1000 * noise)])
    for part in ("test", "validation"):
        for number in range(30 if still else 12):
            length = 1 if still else LENGTH
            subject = f"{part}{fold}-{number if still else number // 2:02d}"
            phase = labels.uniform(0, 6, 2)
            level = labels.uniform(-0.6, 0.6, 2)
            truth = level[None] + 0.3 * np.sin(np.arange(length)[:, None] / 6 + phase)
            output = truth + outputs.normal(0, noise, truth.shape)
            rows.append(
                pd.DataFrame(
                    {
                        "subject": subject,
                        "clip": f"{subject}-{number % 2}" if not still else subject,
                        "frame": np.arange(length),
                        "part": part,
                        "truth_valence": truth[:, 0].astype("f4"),
                        "truth_arousal": truth[:, 1].astype("f4"),
                        "valence": output[:, 0].astype("f4"),
                        "arousal": output[:, 1].astype("f4"),
                        "status": "ok",
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def make_layers(lasso):
    zeros = int(100 * lasso)
    shape = {"in_channels": 8, "out_channels": 8, "kernel_size": [3, 3]}
    names = (("conv1", "stem", "cp"), ("layer1.0.conv1", "layer1.0", "cp"), ("layer1.0.conv2", "layer1.0", "cp"))
    layers = [{"name": n, "block": b, "kind": k, "rank": 20, "zeros": zeros} | shape for n, b, k in names]
    return [*layers, {"name": "layer2.0.shortcut", "block": "layer2.0", "kind": "dense", "rank": 0, "zeros": 0} | shape]


def make_weights(axes):
    """λ and temporal factors of the CP layers; what was removed by LASSO has factors far from all others."""
    weights, draws = {}, np.random.default_rng([axes["seed"], axes["fold"]])
    for layer in make_layers(axes["lasso"]):
        if layer["kind"] == "cp":
            scale, factor = np.ones(layer["rank"], "f4"), draws.normal((0.8, 1.0, 1.2), 0.05, (layer["rank"], 3)).T
            scale[: layer["zeros"]] = 0
            factor[:, : layer["zeros"]] = 99
            weights |= {f"{layer['name']}.weights": scale}
            weights[f"{layer['name']}.factors.time"] = np.ascontiguousarray(factor, dtype="f4")
    return weights


class Writer:
    """Writes run directories below one folder and remembers them."""

    def __init__(self, root: Path):
        self.root = root
        self.paths: list[Path] = []

    def __call__(
        self, dataset="sewa", stage="static", kind="cp", *, noise=0.3, shift=0.0, edit=None, name=None, **axes
    ):
        rank = None if kind in ("dense", "inflated") else "same"
        order = 2 if stage in ("static", "lasso", "frames") else 3
        axes = {"order": order, "rank": rank, "lasso": 0.0, "fold": 0, "seed": 0, "epochs": 3} | axes
        axes = {"dataset": dataset, "stage": stage, "kind": kind} | axes
        name = name or "-".join([stage, kind, *(str(axes[key]) for key in ("rank", "lasso", "fold", "seed", "epochs"))])
        path = self.root / dataset / name
        path.mkdir(parents=True)
        predictions = make_predictions(dataset, axes["fold"], noise, axes["seed"])
        if edit is not None:
            predictions = edit(predictions)
        predictions.to_parquet(path / "predictions.parquet", index=False)
        history = {"epoch": range(3), "train_loss": [3, 2, 1], "validation_ccc_valence": [0.1, 0.2, 0.3]}
        history |= {"kept": [0, 0, 1]}
        pd.DataFrame(history).to_csv(path / "history.csv", index=False)
        cost = {"parameters": 1234, "multiply_adds": 99, "training_cpu_s": 1.5, "gpu_s": None, "epochs": 3}
        (path / "cost.json").write_text(json.dumps(cost | {"peak_memory_mib": 10.0, "samples_per_s": 7.0}))
        (path / "network.json").write_text(json.dumps({"config": {}, "layers": make_layers(axes["lasso"])}))
        if kind == "cp" and axes["order"] == 3:
            save_file(make_weights(axes), path / "weights.safetensors")
        self.seal(path, axes, name)
        self.paths.append(path)
        return path

    def seal(self, path, axes, name, label="synthetic"):
        files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.iterdir()}
        spec = {"temporal": {"kernel_size": 3, "init": "ones"}} if axes["order"] == 3 else {}
        manifest = {"run": name, "spec": spec, "axes": axes, "label": label, "files": files}
        (path / "manifest.json").write_text(json.dumps(manifest))

    def relabel(self, path, **changes):
        """Rewrite some keys of a manifest."""
        manifest = json.loads((path / "manifest.json").read_text())
        (path / "manifest.json").write_text(json.dumps(manifest | changes))


@pytest.fixture
def write_run(tmp_path):
    return Writer(tmp_path / "runs")


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """The run directories of a whole small experiment, and the folder of its tables."""
    folder = tmp_path_factory.mktemp("experiment")
    paths = write_plan(Writer(folder / "runs"))
    evaluate(paths, folder / "tables", replicates=200, seed=7, windows=[1, 5, 9])
    return paths, folder / "tables"


def write_plan(write_run, seeds=(0, 1), afew=True, lassos=(0.0, 0.05)):
    for seed in seeds:
        write_run("affectnet", "static", "dense", noise=0.35, seed=seed)
        write_run("affectnet", "static", "cp", noise=0.3, seed=seed)
        for lasso in lassos:
            if lasso:
                write_run("affectnet", "lasso", "cp", noise=0.32, lasso=lasso, seed=seed)
        for dataset, folds in (("sewa", (0,)), ("afew_va", (0, 1))):
            for fold in folds if dataset == "sewa" or afew else ():
                write_video(write_run, dataset, fold, seed, lassos)
    return write_run.paths


def write_video(write_run, dataset, fold, seed, lassos):
    where = {"fold": fold, "seed": seed}
    write_run(dataset, "static", "cp", noise=0.5, epochs=0, **where)
    write_run(dataset, "frames", "cp", noise=0.4, **where)
    write_run(dataset, "temporal", "cp", noise=0.6, epochs=0, **where)
    for lasso in lassos:
        write_run(dataset, "temporal", "cp", noise=0.35, lasso=lasso, **where)
        write_run(dataset, "joint", "cp", noise=0.1, lasso=lasso, **where)
    write_run(dataset, "joint", "inflated", noise=0.3, **where)
    write_run(dataset, "scratch", "dense", noise=0.8, **where)
    write_run(dataset, "scratch", "cp", noise=0.7, **where)
