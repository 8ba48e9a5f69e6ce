"""A dataset of the user's own, whose clips are of classes: indexed, cropped, planned, trained and saved."""

import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index, write_index
from hocbench.experiment.spec import RunSpec
from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore
from hocbench.metrics.classification import auc, probabilities
from hocbench.runs.finished import read_runs
from hocbench.training import fit
from tests.training.conftest import make_runs

CLIPS, FRAMES, SIDE = 24, 6, 24
ADAPTER = '''
"""Clips of a square that moves to the right; it is blue or red."""

from pathlib import Path

import numpy as np
import pandas as pd

from hocbench.experiment.tasks import classification


class Moods:
    name, layout, role = "moods", "<clip>_<frame>.png and moods.csv", "clips"
    task = classification("calm", "excited")

    def read(self, root, exclude=()):
        table = pd.read_csv(root / "moods.csv", dtype={"clip": str, "class": str}, keep_default_na=False)
        none = pd.Series([np.empty(0, np.float32)] * len(table))
        status = np.where(table["class"] == "", "label_missing", "ok")
        table = table.assign(subject=table["clip"], landmarks=none, status=status, box_x=0, box_y=0)
        table["source"] = [f"{clip}_{frame}.png" for clip, frame in zip(table["clip"], table["frame"])]
        return table.assign(box_width=24, box_height=24), {}
'''


def draw(root):
    """Write the pictures and the labels of a dataset of moods."""
    rng, rows = np.random.default_rng(0), []
    root.mkdir()
    for clip in range(CLIPS):
        mood, start = ("calm", "excited")[clip % 2], rng.integers(0, 10)
        colour = {"calm": (250, 40, 40), "excited": (40, 40, 250)}[mood]
        for frame in range(FRAMES):
            picture = rng.integers(60, 120, (SIDE, SIDE, 3)).astype(np.uint8)
            picture[6:16, start + frame : start + frame + 8] = colour
            cv2.imwrite(str(root / f"c{clip:02d}_{frame}.png"), picture)
            # The last frame of one clip has no label.
            rows.append((f"c{clip:02d}", frame, "" if (clip, frame) == (3, FRAMES - 1) else mood))
    pd.DataFrame(rows, columns=["clip", "frame", "class"]).to_csv(root / "moods.csv", index=False)


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """Folder of the crops, and the runs of a plan by method, each fitted."""
    folder = tmp_path_factory.mktemp("moods")
    (folder / "moods.py").write_text(ADAPTER)
    place = f"{folder}/moods.py:Moods"
    draw(folder / "root")
    write_index(read_index(place, folder / "root"), folder / "crops")
    make_crops(folder / "crops", folder / "root", folder / "crops", size=16, margin=1.0, method="box")
    split = {"kind": "subjects", "folds": 3, "validation_share": 0.4}
    entry = {"adapter": place, "root": "root", "crop": {"size": 16}, "split": split, "seeds": [0], "start": "moods"}
    stages = {"static": {"epochs": 5, "batch_size": 8, "learning_rate": 0.01}, "temporal": {"epochs": 2}}
    changes = {"datasets": {"affectnet": None, "sewa": None, "afew_va": None, "moods": entry}}
    changes |= {"sweep": {"lasso": [0]}, "training": {"stages": stages}}
    paths = {}
    for run in make_runs(folder, changes):
        paths[run.key.method] = folder / run.id
        spec = RunSpec.model_validate_json(run.spec.text())  # as the workflow hands it on
        fit(spec, folder / "crops", paths[run.parent.key.method] if run.parent else None, folder / run.id)
    return folder / "crops", paths


def test_crops_hold_names_of_classes_and_use_no_frame_without_one(moods):
    frames = CropStore(moods[0]).frames
    assert "valence" not in frames
    assert set(frames["class"]) == {"calm", "excited", ""}
    assert (frames["usable"] == (frames["class"] != "")).all()


def test_static_networks_learn_from_frames_and_those_of_clips_start_from_them(moods):
    runs = {run.key.method: run for run in read_runs(list(moods[1].values()))}
    assert set(runs) == {"static", "temporal", "joint"}
    assert [runs[name].spec.order for name in ("static", "temporal", "joint")] == [2, 3, 3]
    assert runs["temporal"].spec.parent == runs["static"].name
    assert runs["joint"].spec.parent == runs["temporal"].name
    kept = {name: run.history.query("kept == 1").iloc[0] for name, run in runs.items()}
    assert runs["temporal"].history["static_level"].unique() == [kept["static"]["validation_auc"]]
    assert all(row["validation_auc"] > 0.9 for row in kept.values())


@pytest.mark.parametrize("method", ["static", "temporal", "joint"])
def test_predictions_of_a_run_tell_the_classes_of_clips_apart(moods, method):
    (run,) = read_runs([moods[1][method]])
    table = run.predictions()
    assert list(table) == ["subject", "clip", "frame", "part", "status", "truth_class", "logit_0", "logit_1"]
    assert (str(table["truth_class"].dtype), str(table["logit_0"].dtype)) == ("int64", "float32")
    frames = CropStore(moods[0]).frames
    assert len(table) == sum(frames["class"].ne("") & frames["clip"].isin(set(table["clip"])))
    test = table[table["part"] == "test"].groupby("clip")
    assert auc(test["truth_class"].first(), probabilities(test[["logit_0", "logit_1"]].mean())) > 0.9
