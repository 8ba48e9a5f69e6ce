import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hocbench.cost.profile import profile_run
from hocbench.cost.stepwatch import PARTS, WAITING
from hocbench.errors import RunError
from hocbench.files.checksums import file_hash
from tests.training.conftest import LASSO
from tests.training.specs import told

STEPS = 3


@pytest.fixture(scope="module")
def profiles(laboratory):
    def take(method, dataset="sewa", **key):
        run = laboratory(method, dataset, **key)
        return profile_run(run, laboratory.crops[dataset], STEPS)

    return take


@pytest.mark.parametrize(
    ("method", "dataset", "key"),
    [
        ("static", "affectnet", {}),
        ("lasso", "affectnet", {"lasso": LASSO}),
        ("temporal", "sewa", {}),
        ("inflated", "sewa", {}),
    ],
)
def test_the_parts_of_a_step_add_up_to_it(profiles, method, dataset, key):
    found = profiles(method, dataset, **key)
    assert found.steps == STEPS
    assert list(found.parts_ms) == list(PARTS)
    parts = dict(found.parts_ms)
    penalty = parts.pop("penalty and clipping")
    assert min(parts.values()) > 0
    assert penalty > 0
    assert max(parts, key=parts.get) in ("forward", "backward")
    assert found.step_ms == pytest.approx(sum(found.parts_ms.values()), rel=0.9)
    # Layers are timed within the forward pass of other steps.
    assert {"conv1", "head"} <= {name.split(".")[0] for name in found.layers_ms} | {"conv1", "head"}
    assert list(found.layers_ms.values()) == sorted(found.layers_ms.values(), reverse=True)
    assert found.samples_per_s > 0
    assert found.peak_memory_mib > 50


def test_setting_and_what_the_run_recorded_are_told(laboratory, profiles):
    found = profiles("temporal")
    run = laboratory.plan("temporal")
    cost = json.loads((laboratory.path(run) / "cost.json").read_text())
    assert found.setting["batch"] == f"{run.spec.training.batch_size} clips of 4 frames of 16 pixels"
    assert (found.setting["device"], found.setting["threads"]) == ("cpu", 1)
    assert found.setting["precision"] == "float32"
    assert found.recorded["samples_per_s"] == cost["samples_per_s"]
    assert found.recorded["waiting_share"] == pytest.approx(cost["waiting_s"] / cost["steps_s"])
    assert 0 < found.recorded["waiting_share"] < 1


def test_a_run_is_left_as_it_is(laboratory, profiles):
    path = laboratory("joint")
    before = {file.name: file_hash(file) for file in path.iterdir()}
    profiles("joint")
    assert {file.name: file_hash(file) for file in path.iterdir()} == before


def test_a_step_in_parts_is_timed_as_a_whole(laboratory, tmp_path):
    run = laboratory.plan("static", "affectnet")
    spec = told(run.spec, accumulation=2, recompute=True)
    changed = replace(run, spec=spec.model_copy(update={"run": "parts"}))
    out = laboratory.fit(changed, tmp_path / "parts")
    found = profile_run(out, laboratory.crops["affectnet"], STEPS)
    assert found.setting["batch"].endswith("images of 16 pixels, in 2 parts")
    assert found.parts_ms[WAITING] > 0


def test_an_unfinished_run_is_refused(laboratory, tmp_path):
    with pytest.raises(RunError, match=r"is not a finished run \(no manifest.json\)"):
        profile_run(tmp_path, laboratory.crops["sewa"])


def test_a_run_without_training_is_refused(laboratory):
    with pytest.raises(RunError, match=r"was not trained \(0 epochs\)"):
        profile_run(laboratory("untrained"), laboratory.crops["sewa"])


def test_missing_crops_are_refused(laboratory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = laboratory("joint")
    with pytest.raises(RunError, match=r"no crops in data/prepared/tiny/sewa \(crops.json is missing\)"):
        profile_run(run)


def test_other_crops_than_the_run_was_trained_on_are_refused(laboratory, tmp_path):
    crops = Path(shutil.copytree(laboratory.crops["sewa"], tmp_path / "crops"))
    (crops / "crops.json").write_text((crops / "crops.json").read_text() + " ")
    with pytest.raises(RunError, match=r"crops.json is not the one that .* was trained on"):
        profile_run(laboratory("joint"), crops)
    with pytest.raises(RunError, match=r"was trained on"):
        profile_run(laboratory("joint"), laboratory.crops["affectnet"])


def test_a_manifest_that_cannot_be_read_is_refused(copied_run, laboratory):
    (copied_run / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="is not the manifest of a run"):
        profile_run(copied_run, laboratory.crops["affectnet"])
