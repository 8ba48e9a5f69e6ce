"""The paper profile on miniature copies of the real layouts: 224 pixels, width 64, one step per stage."""

import json
import shutil

import pandas as pd
import pytest
import yaml

from hocbench.synthetic.writers import synthesize
from tests.conftest import copy_sources, environment_of, run_snakemake
from tests.datasets.layouts import make_real, pack_afew_va, pack_segment, to_affectnet_2021
from tests.datasets.server import running

pytestmark = pytest.mark.workflow
OVERLAY = "params/miniature.yaml"
STILLS = {"seed": 1, "images": 16, "validation_images": 6, "size": 240}
CHATS = {"seed": 2, "subjects": 20, "frames": 4, "height": 240, "width": 320, "fps": 25, "motion_cues": True}
FILMS = {"seed": 3, "clips": 5, "actors": 5, "frames_min": 4, "frames_max": 4, "size": 240}
STAGES = ("static", "lasso", "frames", "temporal", "joint", "inflated", "scratch")
ONE_STEP = {"epochs": 1, "batch_size": 2}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """A clone with the user's own copies beside it, on one seed and fold; sizes and network are the profile's."""
    folder = copy_sources(tmp_path_factory.mktemp("laboratory"))
    own = tmp_path_factory.mktemp("copies")
    synthesize("affectnet", own / "affectnet original", STILLS)
    to_affectnet_2021(own / "affectnet original", own / "affectnet")
    for name, settings in (("sewa", CHATS), ("afew_va", FILMS)):
        synthesize(name, own / name, settings)
        make_real(own / name)
    for segment in (own / "sewa").iterdir():
        pack_segment(segment)
    # A still is a clip of a network for clips too, so that a step has two of them.
    pack_afew_va(own / "afew_va", 2)
    values = {
        "datasets": {
            "affectnet": {"root": str(own / "affectnet"), "seeds": [0]},
            "sewa": {"root": str(own / "sewa"), "seeds": [0], "lasso": False, "rivals": ["inflated"]},
            "afew_va": {"root": str(folder / "fetched" / "afew_va"), "seeds": [0], "folds": [0], "rivals": []},
        },
        "sweep": {"lasso": [0, 0.05]},
        "training": {
            "clip_length": 4,
            "reestimation_batches": 1,
            "stages": dict.fromkeys(STAGES, ONE_STEP),
        },
        "evaluation": {"replicates": 100, "smoothing_windows": [1, 3]},
    }
    values["datasets"]["afew_va"]["lasso"] = False
    (folder / OVERLAY).write_text(yaml.safe_dump(values))
    return folder, own


def run(folder, *arguments):
    """Run the profile with the overlay on top."""
    return run_snakemake(folder, *arguments, configfile="params/paper.yaml", also=(OVERLAY,))


@pytest.fixture(scope="module")
def finished(laboratory):
    """Run everything, AFEW-VA fetched from a server."""
    folder, own = laboratory
    with running() as server:
        archives = sorted((own / "afew_va").glob("*.zip"))
        server.files |= {f"/{path.name}": path.read_bytes() for path in archives}
        values = yaml.safe_load((folder / OVERLAY).read_text())
        values["datasets"]["afew_va"]["fetch"] = [{"url": f"{server.address}/{path.name}"} for path in archives]
        (folder / OVERLAY).write_text(yaml.safe_dump(values))
        done = run(folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder


def test_every_stage_of_the_profile_takes_a_step_at_full_size(finished):
    runs = sorted((finished / "results/paper/runs").glob("*/*/manifest.json"))
    manifests = [json.loads(path.read_text()) for path in runs]
    assert {(m["axes"]["dataset"], m["axes"]["stage"], m["axes"]["kind"]) for m in manifests} == {
        ("affectnet", "static", "cp"),
        ("affectnet", "static", "dense"),
        ("affectnet", "lasso", "cp"),
        ("sewa", "static", "cp"),
        ("sewa", "temporal", "cp"),
        ("sewa", "joint", "cp"),
        ("sewa", "joint", "inflated"),
        ("afew_va", "static", "cp"),
        ("afew_va", "temporal", "cp"),
        ("afew_va", "joint", "cp"),
    }
    for manifest in manifests:
        assert manifest["label"] == "real"
        assert manifest["spec"]["network"]["width"] == 64
        assert manifest["spec"]["network"]["stem"] == "imagenet"
        assert manifest["spec"]["data"]["crop"]["size"] == 224


def test_data_are_checked_fetched_split_and_shown_before_they_are_trained_on(finished):
    assert (finished / "fetched/afew_va/FETCHED.json").is_file()
    for name in ("affectnet", "sewa", "afew_va"):
        prepared = finished / "data/prepared/paper" / name
        check = json.loads((prepared / "check.json").read_text())
        assert check["usable"], check["problems"]
        assert check["label"] == "real"
        assert {row["explanation"] for row in check["published"]} == {"your copy holds fewer"}
        assert (prepared / "montage.png").read_bytes().startswith(b"\x89PNG")
        parts = json.loads((prepared / "splits.json").read_text())["parts"]
        assert all(set(part) == {"train", "validation", "test"} for part in parts.values())
        assert json.loads((prepared / "crops.json").read_text())["size"] == 224
    sewa = pd.read_csv(finished / "data/prepared/paper/sewa/splits.csv")
    assert sewa["part"].value_counts().to_dict() == {"train": 16, "validation": 2, "test": 2}


def test_tables_and_report_do_not_call_real_data_synthetic(finished):
    tables = finished / "results/paper/tables"
    for name in ("affectnet", "sewa", "afew_va"):
        text = (tables / f"{name}.md").read_text()
        assert "SYNTHETIC" not in text
        assert "crops of 224 pixels" in text
    assert (finished / "results/paper/report.html").stat().st_size > 10**5
    # Faces of real people stay beside the crops.
    assert not list((finished / "results").rglob("montage*"))


def test_a_second_start_fetches_and_trains_nothing(finished):
    done = run(finished)
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_list_of_the_user_s_own_makes_other_runs_and_a_changed_one_too(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("crops.npy"))
    shutil.copytree(finished / "data", folder / "data", dirs_exist_ok=True)
    table = pd.read_csv(folder / "data/prepared/paper/sewa/splits.csv")
    table.to_csv(folder / "list.csv", index=False)
    values = yaml.safe_load((folder / OVERLAY).read_text())
    values["datasets"]["sewa"]["split"] = {"kind": "file", "path": "list.csv"}
    (folder / OVERLAY).write_text(yaml.safe_dump(values))

    def planned():
        done = run(folder, "-n", "--quiet", "rules")
        assert done.returncode == 0, done.stdout + done.stderr
        rows = [line.split() for line in (done.stdout + done.stderr).splitlines()]
        return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}

    first = planned()
    # All of SEWA's four runs, and nothing of the other datasets.
    assert (first["fit"], first["splits"]) == (4, 1)
    assert not {"check", "index", "crop"} & set(first)
    specs = [plan_of(folder)]
    table.assign(part=table["part"].replace({"test": "validation", "validation": "test"})).to_csv(
        folder / "list.csv", index=False
    )
    specs.append(plan_of(folder))
    assert not specs[0] & specs[1]


def plan_of(folder):
    """List the ids of the runs on SEWA."""
    import subprocess
    import sys

    overlays = [f for each in ("params.yaml", "params/paper.yaml", OVERLAY) for f in ("--params", each)]
    command = [sys.executable, "-m", "hocbench", "plan", *overlays]
    done = subprocess.run(command, cwd=folder, env=environment_of(folder), capture_output=True, text=True, check=True)
    return {line.split("│")[2].strip() for line in done.stdout.splitlines() if line.startswith("│ sewa")}
