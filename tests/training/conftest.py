"""Tiny crop stores whose labels are colours, and real fits on them that the tests share."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from hocbench.config.load import load_params
from hocbench.experiment.plan import make_plan
from hocbench.faces.store import CropStore
from hocbench.training import fit
from hocbench.training.samples import Samples

ROOT = Path(__file__).parents[2]
SIZE = 16
UNUSABLE = (3, 57)  # store rows without a face
LASSO = 1.0  # leaves some zeros in every layer after two epochs
OVERLAY = {
    "datasets": {
        "affectnet": {"split": {"kind": "official", "validation_share": 0.25}},
        "sewa": {
            "split": {"kind": "sessions", "ratio": [3, 1, 2]},
            "baselines": [
                "static_dense",
                "frames",
                "untrained",
                "inflated",
                "scratch_dense",
                "scratch_2plus1d",
                "scratch",
            ],
        },
    },
    "network": {"width": 8},
    "sweep": {"rank": [0.4], "lasso": [0, LASSO]},
    "training": {
        "clip_length": 4,
        "stages": {
            "static": {"epochs": 5, "learning_rate": 0.015},
            "lasso": {"epochs": 2, "learning_rate": 0.001, "gradient_limit": 1.0},
            "frames": {"epochs": 1},
            "temporal": {"epochs": 8, "learning_rate": 0.03},
            "joint": {"epochs": 1},
            "inflated": {"epochs": 1},
            "scratch": {"epochs": 1},
        },
    },
}


@pytest.fixture(autouse=True)
def restored_globals():
    """Tests set threads, generators and environment variables of the whole process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    environment, state = dict(os.environ), torch.get_rng_state()
    os.environ.pop("HOCBENCH_MLFLOW_PARENT", None)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_rng_state(state)
    os.environ.clear()
    os.environ.update(environment)


def write_store(folder, lengths, *, dataset="sewa", unusable=(), seed=0):
    """Write the files that CropStore reads; red tells valence and blue arousal."""
    rng = np.random.default_rng(seed)
    clip = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(length) for length in lengths])
    swing = 0.2 * np.sin(frame[:, None] / 2 + rng.uniform(0, 6, (len(lengths), 2))[clip])
    labels = (rng.uniform(-0.7, 0.7, (len(lengths), 2))[clip] + swing).astype(np.float32).astype(np.float64)
    colour = np.stack([labels[:, 0], rng.uniform(-0.5, 0.5, len(clip)), labels[:, 1]], axis=1)
    noise = rng.normal(0, 8, (len(clip), SIZE, SIZE, 3))
    crops = np.clip(128 + 110 * colour[:, None, None] + noise, 0, 255).astype(np.uint8)
    still = dataset == "affectnet"
    split = np.where(clip % 3 == 0, "validation", "training") if still else ""
    frames = pd.DataFrame(
        {
            "dataset": dataset,
            "subject": "" if still else [f"S{number:02d}" for number in clip],
            "session": "" if still else [f"P{number // 2:02d}" for number in clip],
            "clip": [f"C{number:03d}" for number in clip],
            "frame": frame,
            "valence": labels[:, 0],
            "arousal": labels[:, 1],
            "split": split,
            "status": "ok",
            "face": "box",
        }
    )
    frames.loc[[*unusable], ["status", "face"]] = ["no_face", "none"]
    frames["usable"] = frames["face"] != "none"
    folder.mkdir(parents=True)
    np.save(folder / "crops.npy", crops)
    frames.to_parquet(folder / "frames.parquet", index=False)
    (folder / "crops.json").write_text(json.dumps({"dataset": dataset, "label": "synthetic", "size": SIZE}))
    return CropStore(folder)


def whole(store):
    """Take all usable frames of a store as one part."""
    clips = [rows.to_numpy() for _, rows in store.frames.query("usable").reset_index().groupby("clip")["index"]]
    return Samples(store, np.concatenate(clips), clips)


def make_runs(folder, changes=None):
    """Plan all runs of the tiny profile with the overlay of these tests."""
    overlays = [OVERLAY, *([changes] if changes else [])]
    paths = [folder / f"overlay{number}.yaml" for number in range(len(overlays))]
    for path, values in zip(paths, overlays, strict=True):
        path.write_text(yaml.safe_dump(values))
    return make_plan(load_params([ROOT / "params.yaml", ROOT / "params" / "tiny.yaml", *paths]))


class Laboratory:
    """Fits planned runs on demand, each once, parents first."""

    def __init__(self, folder):
        self.folder = folder
        self.crops = {"affectnet": folder / "affectnet", "sewa": folder / "sewa"}
        write_store(self.crops["affectnet"], [1] * 240, dataset="affectnet", seed=1)
        write_store(self.crops["sewa"], [10] * 12, unusable=UNUSABLE)
        self.runs = make_runs(folder)

    def plan(self, method, dataset="sewa", **key):
        wanted = {"method": method, "dataset": dataset, "lasso": 0.0, "ablation": ""} | key
        return next(run for run in self.runs if all(getattr(run.key, name) == value for name, value in wanted.items()))

    def path(self, run):
        return self.folder / "runs" / run.key.dataset / run.id

    def fit(self, run, out=None):
        """Train a run, after the ones that it starts from, into its own or another directory."""
        out = out or self.path(run)
        if not (out / "manifest.json").is_file():
            parent = self.fit(run.parent) if run.parent else None
            fit(run.spec, self.crops[run.key.dataset], parent, out)
        return out

    def __call__(self, method, dataset="sewa", **key):
        return self.fit(self.plan(method, dataset, **key))


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("laboratory"))


@pytest.fixture
def copied_run(laboratory, tmp_path):
    """A finished static run that a test may damage."""
    source = laboratory("static", "affectnet")
    return Path(shutil.copytree(source, tmp_path / source.name))
