"""Small run directories, written by code as the training would write them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from hocbench.config.crop import CropOptions
from hocbench.config.datasets import SessionSplit
from hocbench.config.training import LossWeights
from hocbench.evaluation.scores import evaluate
from hocbench.experiment.description import Description, RowKey
from hocbench.experiment.methods import CLIPS, IMAGES, METHODS
from hocbench.experiment.plan import main_rank
from hocbench.experiment.records import BUILT_IN, Dataset
from hocbench.experiment.spec import DataSpec, RunKey, RunSpec, TemporalSpec, TrainingSpec
from hocbench.experiment.tasks import VALENCE_AROUSAL, affect, classification
from hocbench.runs.finished import read_runs

LENGTH = 40
DATASETS = BUILT_IN | {
    "sewa_control": replace(BUILT_IN["sewa"], name="sewa_control", title="SEWA control", control_of="sewa"),
    "joy": Dataset("joy", "Joy", "joy.py:Joy", CLIPS, "subject", task=affect(joy=(0, 10))),
    "lesions": Dataset("lesions", "Lesions", "lesions.py:Lesions", CLIPS, "subject", task=classification("a", "b")),
}
CROP_SIZES = {"affectnet": 48, "sewa": 40, "afew_va": 32, "sewa_control": 40, "joy": 24, "lesions": 28}


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


def make_other_predictions(dataset, fold, noise, seed):
    """Frames of 40 subjects with 2 clips each of another task; each clip lacks the crop of its first frame."""
    labels = np.random.default_rng([len(dataset), fold])
    outputs = np.random.default_rng([seed, fold, int(1000 * noise)])
    rows, length = [], 10
    for part in ("test", "validation"):
        for number in range(80):
            name = f"{part}{fold}-{number // 2:02d}"
            table = {"subject": name, "clip": f"{name}-{number % 2}", "frame": np.arange(length), "part": part}
            table["status"] = ["no_crop", *["ok"] * (length - 1)]
            if dataset == "joy":
                table["truth_joy"] = (labels.uniform(2, 8) + labels.normal(0, 0.3, length)).astype("f4")
                table["joy"] = (table["truth_joy"] + outputs.normal(0, 5 * noise, length)).astype("f4")
            else:
                truth = labels.integers(0, 2)
                logit = 2 * truth - 1 + outputs.normal(0, 0.6 + 4 * noise) + outputs.normal(0, 0.5, length)
                logit[0] = 9 * (1 - 2 * truth)  # an answer that no network gave
                table |= {"truth_class": truth, "logit_0": np.float32(0), "logit_1": logit.astype("f4")}
            rows.append(pd.DataFrame(table))
    return pd.concat(rows, ignore_index=True)


def make_history(task):
    """Three epochs, as a training of a task would record them."""
    scores = ("auc", "balanced_accuracy") if task.classes else [f"ccc_{target}" for target in task.targets]
    history = {"epoch": range(3), "train_loss": [3, 2, 1]}
    history |= {f"validation_{score}": [0.1, 0.2, 0.3] for score in scores}
    return pd.DataFrame(history | {"kept": [0, 0, 1], "static_level": np.nan})


def make_layers(lasso):
    zeros = int(100 * lasso)
    shape = {"in_channels": 8, "out_channels": 8, "kernel_size": [3, 3]}
    names = (("conv1", "stem", "cp"), ("layer1.0.conv1", "layer1.0", "cp"), ("layer1.0.conv2", "layer1.0", "cp"))
    layers = [{"name": n, "block": b, "kind": k, "rank": 20, "zeros": zeros} | shape for n, b, k in names]
    return [*layers, {"name": "layer2.0.shortcut", "block": "layer2.0", "kind": "dense", "rank": 0, "zeros": 0} | shape]


def make_weights(key):
    """λ and temporal factors of the CP layers; what was removed by LASSO has factors far from all others."""
    weights, draws = {}, np.random.default_rng([key.seed, key.fold])
    for layer in make_layers(key.lasso):
        if layer["kind"] == "cp":
            scale, factor = np.ones(layer["rank"], "f4"), draws.normal((0.8, 1.0, 1.2), 0.05, (layer["rank"], 3)).T
            scale[: layer["zeros"]] = 0
            factor[:, : layer["zeros"]] = 99
            weights |= {f"{layer['name']}.weights": scale}
            weights[f"{layer['name']}.factors.time"] = np.ascontiguousarray(factor, dtype="f4")
    return weights


def make_spec(dataset, method, epochs=None, **axes):
    """Tell a run of a method what a plan would."""
    known = METHODS[method]
    axes = ({"factorization": "cp", "rank": "same"} if known.is_factorized else {}) | axes
    key = RunKey(dataset=dataset, method=method, **axes)
    only_scored = not known.trained or (known.role == IMAGES and DATASETS[dataset].role == CLIPS)
    epochs = (0 if only_scored else 3) if epochs is None else epochs
    task = DATASETS[dataset].task
    parts = [method, key.factorization, key.rank, key.lasso, key.ablation, key.fold, key.seed, epochs]
    return RunSpec(
        run="-".join(str(part) for part in parts if part not in (None, "")),
        profile="written",
        key=key,
        stage=known.stage,
        order=known.order,
        root_seed=0,
        threads=1,
        processes=1,
        determinism="portable",
        split=SessionSplit(kind="sessions", ratio=(2, 1, 1)),
        data=DataSpec(crop=CropOptions(size=CROP_SIZES[dataset])),
        temporal=TemporalSpec(kernel_size=3, init="ones") if known.order == 3 else None,
        training=TrainingSpec(epochs=epochs, loss_weights=None if task.classes else LossWeights()),
        task=task,
        rescales=known.rescales,
    )


def description_of(paths, **changes):
    """Describe the experiment that written runs are of, as its plan would; changes are of fields of the description."""
    specs = [RunSpec.model_validate(json.loads((path / "manifest.json").read_text())["spec"]) for path in paths]
    keys = [spec.key for spec in specs]
    ranks = list(dict.fromkeys(key.rank for key in keys if key.rank is not None)) or ["same"]
    factorizations = [key.factorization for key in keys if key.factorization] or ["cp"]
    present = [name for name in DATASETS if name in {key.dataset for key in keys}]
    bare = Description(
        profile="written",
        width=16,
        rank=str(main_rank(ranks)),
        factorization=factorizations[0],
        ranks=tuple(map(str, ranks)),
        crop_size={name: CROP_SIZES[name] for name in present},
        datasets={name: DATASETS[name] for name in present},
        methods=METHODS,
        rows=(),
    )
    rows = {}
    for row in map(RowKey.of, keys):
        averaged = bare.averaged(row)
        rows |= dict.fromkeys([row, *([replace(row, method=averaged)] if averaged else [])])
    return replace(bare, **({"rows": tuple(rows)} | changes))


def evaluate_written(paths, out, replicates=100, seed=7, windows=(1, 5), **changes):
    """Evaluate written runs as those of one experiment; changes are of its description."""
    evaluate(paths, out, description_of(paths, **changes), replicates, seed, list(windows))
    return out


class Writer:
    """Writes run directories below one folder and remembers them."""

    label = "synthetic"

    def __init__(self, root: Path):
        self.root = root
        self.paths: list[Path] = []

    def __call__(self, dataset="sewa", method="static", *, noise=0.3, edit=None, **options):
        spec = make_spec(dataset, method, **options)
        key = spec.key
        path = self.root / spec.name
        path.mkdir(parents=True)
        make = make_predictions if spec.task == VALENCE_AROUSAL else make_other_predictions
        predictions = make(dataset, key.fold, noise, key.seed)
        if edit is not None:
            predictions = edit(predictions)
        predictions.to_parquet(path / "predictions.parquet", index=False)
        make_history(spec.task).to_csv(path / "history.csv", index=False)
        cost = {"parameters": 1234, "multiply_adds": 99, "training_cpu_s": 1.5, "gpu_s": None, "epochs": 3}
        (path / "cost.json").write_text(json.dumps(cost | {"peak_memory_mib": 10.0, "samples_per_s": 7.0}))
        (path / "network.json").write_text(json.dumps({"config": {}, "layers": make_layers(key.lasso)}))
        if key.factorization == "cp" and spec.order == 3:
            save_file(make_weights(key), path / "weights.safetensors")
        self.seal(path, spec)
        self.paths.append(path)
        return path

    def seal(self, path, spec):
        """Write the manifest over the files as they are now."""
        contents = [each for each in path.iterdir() if each.name != "manifest.json"]
        files = {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in contents}
        manifest = {"run": spec.run, "spec": json.loads(spec.text()), "label": self.label, "files": files}
        (path / "manifest.json").write_text(json.dumps(manifest))

    def reseal(self, path):
        """Write the manifest anew after a file was changed."""
        self.seal(path, RunSpec.model_validate(json.loads((path / "manifest.json").read_text())["spec"]))

    def relabel(self, path, **changes):
        """Rewrite some keys of a manifest."""
        manifest = json.loads((path / "manifest.json").read_text())
        (path / "manifest.json").write_text(json.dumps(manifest | changes))

    def respecify(self, path, **changes):
        """Rewrite some keys of what a run was told."""
        self.relabel(path, spec=json.loads((path / "manifest.json").read_text())["spec"] | changes)


@pytest.fixture
def write_run(tmp_path):
    return Writer(tmp_path / "runs")


@pytest.fixture(scope="session")
def experiment(tmp_path_factory):
    """The run directories of a whole small experiment, and the folder of its tables."""
    folder = tmp_path_factory.mktemp("experiment")
    paths = write_plan(Writer(folder / "runs"))
    return paths, evaluate_written(paths, folder / "tables", replicates=200, windows=(1, 5, 9))


@pytest.fixture(scope="session")
def ranked(tmp_path_factory):
    """By main rank, two tables of one experiment: with another rank in it, and of the main rank and none alone."""
    folder = tmp_path_factory.mktemp("ranked")
    write = Writer(folder / "runs")
    for rank in (0.22, 0.1):
        more = {"rank": rank, "noise": 0.25 + rank}
        for dataset, method in (("affectnet", "static"), ("sewa", "static"), ("sewa", "frames"), ("sewa", "untrained")):
            write(dataset, method, **more)
        write("affectnet", "lasso", lasso=0.05, **more)
        for method in ("temporal", "joint", "scratch"):
            write("sewa", method, rank=rank, noise=rank)
    for dataset, method in (("affectnet", "static_dense"), ("sewa", "scratch_dense"), ("sewa", "inflated")):
        write(dataset, method, noise=0.5)
    tables = {}
    for main in ("0.22", "0.1"):
        alone = [run.path for run in read_runs(write.paths) if run.row.rank in ("", main)]
        both = evaluate_written(write.paths, folder / main / "both", 60, rank=main)
        tables[main] = both, evaluate_written(alone, folder / main / "alone", 60)
    return tables


def write_plan(write_run, seeds=(0, 1), afew=True, lassos=(0.0, 0.05)):
    for seed in seeds:
        write_run("affectnet", "static_dense", noise=0.35, seed=seed)
        write_run("affectnet", "static", noise=0.3, seed=seed)
        for lasso in lassos:
            if lasso:
                write_run("affectnet", "lasso", noise=0.32, lasso=lasso, seed=seed)
        for dataset, folds in (("sewa", (0,)), ("afew_va", (0, 1))):
            for fold in folds if dataset == "sewa" or afew else ():
                write_video(write_run, dataset, fold, seed, lassos)
    return write_run.paths


def write_video(write_run, dataset, fold, seed, lassos):
    where = {"fold": fold, "seed": seed}
    write_run(dataset, "static", noise=0.5, **where)
    write_run(dataset, "frames", noise=0.4, **where)
    write_run(dataset, "untrained", noise=0.6, **where)
    for lasso in lassos:
        write_run(dataset, "temporal", noise=0.35, lasso=lasso, **where)
        write_run(dataset, "joint", noise=0.1, lasso=lasso, **where)
    write_run(dataset, "inflated", noise=0.3, **where)
    write_run(dataset, "scratch_dense", noise=0.8, **where)
    write_run(dataset, "scratch", noise=0.7, **where)
