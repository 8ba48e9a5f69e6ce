import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from hocbench.config.describe import describe_params
from hocbench.config.load import load_params
from hocbench.experiment.plan import make_plan
from hocbench.experiment.spec import RunSpec

ROOT = Path(__file__).parents[2]
EVALUATION = ("--seed", "0", "--experiment", "{}")
READERS = [("tables", "x", "y"), ("counts", "x", "y"), ("claims", "x", "y", "z"), ("figures", "x", "y")]
SEWA = {"seed": 2, "subjects": 4, "frames": 4, "height": 48, "width": 48, "fps": 25}


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def assert_refused(outcome, text):
    code, out, err = outcome
    assert code == 2
    assert err.startswith(f"hocbench: error: {text}")
    assert err.count("hocbench: error:") == 1
    assert "Traceback" not in out + err


def test_the_program_prints_one_message_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "hocbench", "index", "sewa", str(tmp_path / "absent"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"hocbench: error: sewa: folder {tmp_path / 'absent'} does not exist; put your copy")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_program_describes_the_parameters_in_a_pipe():
    done = subprocess.run([sys.executable, "-m", "hocbench", "params"], capture_output=True, text=True, check=True)
    for key, *_ in describe_params():
        assert key in done.stdout


def test_params_describes_every_key(hocbench):
    code, out, _ = hocbench("params")
    assert code == 0
    assert "datasets.NAME.synthetic.validation_images" in out
    assert "LASSO weights, of CP networks; 0 is the plain network" in out


def test_plan_lists_every_run_uncut(hocbench):
    code, out, _ = hocbench("plan")
    runs = make_plan(load_params([ROOT / "params.yaml"]))
    assert code == 0
    assert f"{len(runs)} runs" in out
    assert all(run.id in out for run in runs)


def test_plan_takes_overlays(hocbench):
    code, out, _ = hocbench("plan", "--params", "params.yaml", "--params", "params/tiny.yaml")
    runs = make_plan(load_params([ROOT / "params.yaml", ROOT / "params" / "tiny.yaml"]))
    assert code == 0
    assert all(run.id in out for run in runs)


def test_plan_prints_the_parameters_of_a_run(hocbench):
    run = make_plan(load_params([ROOT / "params.yaml"]))[0]
    code, out, _ = hocbench("plan", "--spec", run.id)
    assert code == 0
    assert RunSpec.model_validate_json(out) == run.spec


def test_an_unknown_run_is_refused(hocbench):
    assert_refused(hocbench("plan", "--spec", "nosuch"), "no run 'nosuch' in the plan; `hocbench plan` lists them")


def test_an_unreadable_params_file_is_refused(hocbench, tmp_path):
    path = tmp_path / "absent.yaml"
    assert_refused(hocbench("plan", "--params", path), f"{path} cannot be read as parameters")


def test_a_rendered_dataset_is_indexed(hocbench, tmp_path):
    code, *_ = hocbench("synthesize", "sewa", tmp_path / "sewa", "--parameters", json.dumps(SEWA))
    assert code == 0
    code, *_ = hocbench("index", "sewa", tmp_path / "sewa", tmp_path / "out")
    assert code == 0
    assert json.loads((tmp_path / "out" / "index.json").read_text())["label"] == "synthetic"
    assert len(pd.read_parquet(tmp_path / "out" / "index.parquet")) == 16


@pytest.mark.parametrize("command", ["index", "synthesize"])
def test_an_unknown_dataset_is_refused(hocbench, tmp_path, command):
    rest = [tmp_path / "out"] if command == "index" else ["--parameters", "{}"]
    start = {"index": "adapter: there is no", "synthesize": "no synthetic dataset"}[command]
    outcome = hocbench(command, "emotic", tmp_path, *rest)
    assert_refused(outcome, f"{start} 'emotic'; choose from affectnet, sewa, afew_va")


@pytest.mark.parametrize("dataset", ["affectnet", "sewa", "afew_va"])
def test_an_empty_dataset_folder_is_refused(hocbench, tmp_path, dataset):
    assert_refused(hocbench("index", dataset, tmp_path, tmp_path / "out"), f"{dataset}: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "{", "seed=1", "{'seed': 1}"])
def test_parameters_that_are_not_json_are_refused(hocbench, tmp_path, text):
    outcome = hocbench("synthesize", "sewa", tmp_path / "new", "--parameters", text)
    assert_refused(outcome, "--parameters is not JSON (")
    assert outcome[2].endswith("); `hocbench params` describes the keys\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["[]", "7", "null", '"seed"'])
def test_parameters_that_are_no_object_are_refused(hocbench, tmp_path, text):
    outcome = hocbench("synthesize", "sewa", tmp_path / "new", "--parameters", text)
    assert_refused(outcome, "datasets.sewa.synthetic: Input should be a valid dictionary")


@pytest.mark.parametrize("dataset", ["affectnet", "sewa", "afew_va"])
def test_missing_parameters_are_named(hocbench, tmp_path, dataset):
    outcome = hocbench("synthesize", dataset, tmp_path / "new", "--parameters", "{}")
    assert_refused(outcome, f"datasets.{dataset}.synthetic.seed: Field required; datasets.{dataset}.synthetic.")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_other_files_is_refused(hocbench, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    outcome = hocbench("synthesize", "sewa", tmp_path, "--parameters", json.dumps(SEWA))
    assert_refused(outcome, f"{tmp_path} holds files that are not synthetic; nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_smoothing_windows_that_are_not_json_are_refused(hocbench, tmp_path):
    outcome = hocbench("evaluate", tmp_path, "run", *EVALUATION, "--replicates", 100, "--windows", "1,3")
    assert_refused(outcome, "--windows is not JSON (")


def test_a_forgotten_argument_is_refused_by_name(hocbench):
    code, out, err = hocbench("index", "sewa")
    assert code == 2
    assert "root" in err.lower()
    assert "Traceback" not in out + err


SPLIT = ("data", "splits", "x", "--seed", "1", "--split")
EVALUATE = ("evaluate", "x", "y", *EVALUATION)
FIT = ("fit", "x", "--crops", "y", "--spec")
REFUSED = [
    (
        (*SPLIT, '{"kind": "nonsense"}'),
        "kind: 'nonsense' is not valid; input should be 'official', 'sessions', 'subjects'",
    ),
    ((*SPLIT, "{}"), "kind: missing; add it"),
    ((*SPLIT, '{"kind": "subjects"}'), "folds: missing; add it"),
    ((*SPLIT, '{"kind": "subjects", "folds": 1, "validation_share": 0.2}'), "folds: 1 is not valid"),
    ((*SPLIT, '{"kind": "subjects", "folds": "five", "validation_share": 0.2}'), "folds: 'five' is not valid"),
    ((*SPLIT, '{"kind": "subjects", "folds": 5, "validation_share": NaN}'), "validation_share: nan is not valid"),
    ((*SPLIT, '{"kind": "subjects", "fold": 5, "validation_share": 0.2}'), "did you mean folds?"),
    ((*SPLIT, '{"kind": "sessions", "ratio": [1, 2]}'), "missing"),
    ((*SPLIT, '{"kind": "sessions", "ratio": [1, -2, 1]}'), "ratio.1: -2 is not valid"),
    ((*SPLIT, "[]"), "[] is not valid"),
    ((*SPLIT, "7"), "7 is not valid"),
    (
        ("data", "splits", "x", "--seed", "-1", "--split", '{"kind": "official", "validation_share": 0.1}'),
        "-1 is not valid",
    ),
    ((*EVALUATE, "--replicates", "-5", "--windows", "[1]"), "replicates: -5 is not valid"),
    ((*EVALUATE, "--replicates", "100", "--windows", "[2]"), "give an odd number"),
    ((*EVALUATE, "--replicates", "100", "--windows", "[]"), "smoothing_windows: [] is not valid"),
    ((*EVALUATE, "--replicates", "100", "--windows", "[1]", "--seed", "-3"), "-3 is not valid"),
    *(
        (
            (*EVALUATE, "--replicates", "100", "--windows", "[1]", "--experiment", text),
            "--experiment is no description of an experiment (",
        )
        for text in ("{", "[]", "{}", '{"datasets": {}, "methods": {}, "rows": [], "ranks": [], "longer": []}')
    ),
    *((words, "Run `hocbench evaluate` first.") for words in READERS),
    ((*FIT, "[]"), "[] is not valid"),
    ((*FIT, '{"run": "r"}'), "profile: missing; add it"),
    ((*FIT, '{"run": "r"}'), "key: missing; add it"),
    ((*FIT, '{"key": {"datset": "sewa"}}'), "key.datset: unknown key (value 'sewa'); did you mean key.dataset?"),
    (("data", "check", "sewa", "x", "--workers", "0"), "--workers: not valid"),
    (("mlflow", "ui", "--port", "70000"), "70000 is not valid"),
    (("crop", "x", "y", "--size", "0", "--margin", "nan"), "margin: nan is not valid"),
]


@pytest.mark.parametrize(("arguments", "text"), REFUSED)
def test_an_option_of_the_wrong_kind_is_refused_by_its_key(hocbench, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    code, out, err = hocbench(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("hocbench: error: ")
    assert text in err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["index", "register"])
def test_a_name_that_is_not_utf_8_is_named(hocbench, tmp_path, command):
    size = {"height": 64, "width": 64}
    root = tmp_path / "sewa"
    assert hocbench("synthesize", "sewa", root, "--parameters", json.dumps(SEWA | size))[0] == 0
    clip = next(path for path in sorted(root.iterdir()) if path.is_dir())
    (root / os.fsdecode(b"caf\xe9")).mkdir()
    shutil.copytree(clip, root / os.fsdecode(b"caf\xe9") / clip.name)
    shutil.rmtree(clip)
    calls = {
        "index": ("index", "sewa", root, tmp_path / "out"),
        "register": ("data", "register", "sewa", root, "--checksums", tmp_path / "list"),
    }
    code, out, err = hocbench(*calls[command])
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "caf" in err
    assert not (tmp_path / "list").exists()


def test_a_folder_that_cannot_be_written_is_named(hocbench, tmp_path):
    (tmp_path / "file").write_text("mine")
    size = {"height": 64, "width": 64}
    outcome = hocbench("synthesize", "sewa", tmp_path / "file" / "sewa", "--parameters", json.dumps(SEWA | size))
    assert outcome[0] == 2
    assert f"hocbench: error: {tmp_path / 'file'}" in outcome[2]
    assert (tmp_path / "file").read_text() == "mine"


def test_official_lists_of_a_dataset_without_any_are_refused(hocbench, tmp_path):
    assert (
        hocbench(
            "synthesize", "sewa", tmp_path / "sewa", "--parameters", json.dumps(SEWA | {"height": 64, "width": 64})
        )[0]
        == 0
    )
    assert hocbench("index", "sewa", tmp_path / "sewa", tmp_path / "out")[0] == 0
    protocol = '{"kind": "official", "validation_share": 0.1}'
    outcome = hocbench("data", "splits", tmp_path / "out", "--split", protocol, "--seed", 1)
    assert_refused(outcome, "split kind 'official': the dataset has no official lists")
