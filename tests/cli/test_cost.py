import re

import pytest

from hocbench.cost.hours import Seconds
from hocbench.cost.stepwatch import PARTS
from tests.conftest import ROOT
from tests.training.conftest import Laboratory


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    return Laboratory(tmp_path_factory.mktemp("laboratory"))


def test_profile_prints_parts_layers_and_what_the_run_recorded(hocbench, laboratory):
    run = laboratory("static", "affectnet")
    code, out, _ = hocbench("profile", run, "--crops", laboratory.crops["affectnet"], "--steps", 2)
    assert code == 0
    assert all(part in out for part in PARTS)
    # Which of the twenty layers are the slowest changes from run to run.
    assert re.search(r"layer\d\.\d\.conv\d", out)
    assert "images of 16 pixels" in out
    assert "the run itself recorded" in out


def test_profile_refuses_what_is_no_run_and_no_number_of_steps(hocbench, tmp_path):
    code, _, err = hocbench("profile", tmp_path)
    assert (code, err.count("hocbench: error:")) == (2, 1)
    assert "is not a finished run" in err
    code, _, err = hocbench("profile", tmp_path, "--steps", 0)
    assert (code, err) == (2, "hocbench: error: --steps is 0; give 1 or more\n")


def test_plan_prints_what_the_runs_will_cost(hocbench, monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("step", "evaluation"):
        monkeypatch.setattr(f"hocbench.cost.estimate.measure_{name}", lambda spec: Seconds(1.0, 1.0))
    monkeypatch.setattr("hocbench.cost.estimate.measure_start", lambda: Seconds(5.0, 6.0))
    code, out, _ = hocbench("plan", "--cost", "--params", "params.yaml", "--params", "params/paper.yaml")
    assert code == 0
    assert "CP 3-D, temporal then joint" in out
    assert "An estimate from" in out
    assert "sewa: sizes from published counts of clips" in out
    assert "Each run starts with 5.0 CPU seconds of loading" in out
