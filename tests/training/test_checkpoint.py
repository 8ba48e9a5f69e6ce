"""What lies on the disk: whole or left out, of this run or refused."""

import json
import logging
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from hocbench.errors import RunError
from hocbench.training.checkpoint import Checkpoints
from hocbench.training.state import State, capture_generators, restore_generators

IDENTITY = {
    "run": "static-1234",
    "parameters": {"training": {"learning_rate": 0.1, "betas": (0.9, 0.99)}},
    "code": "aa",
    "inputs": {"crops.json": "bb", "parent": None},
}


def state(number):
    torch.manual_seed(number)
    tensors = {
        "network/a": torch.randn(3, 4),
        "best/b": torch.arange(number + 1),
        "optimizer/0/step": torch.tensor(1.0),
    }
    return State(tensors, {"losses": [0.1 * number, float("nan")], "number": number})


def same(a, b):
    return a.tensors.keys() == b.tensors.keys() and all(
        torch.equal(a.tensors[key], b.tensors[key]) for key in a.tensors
    )


@pytest.fixture
def checkpoints(tmp_path):
    found = Checkpoints(tmp_path / "static-1234", IDENTITY)
    found.folder.mkdir()
    return found


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_newest_state_comes_back_and_the_one_before_is_kept(checkpoints):
    assert checkpoints.load() is None
    for number in range(4):
        checkpoints.save(state(number))
    found = checkpoints.load()
    assert same(found, state(3))
    assert found.values["number"] == 3
    assert found.values["losses"][0] == 0.1 * 3
    assert np.isnan(found.values["losses"][1])
    assert names(checkpoints) == ["000003.json", "000003.safetensors", "000004.json", "000004.safetensors"]
    checkpoints.remove()
    assert not checkpoints.folder.exists()


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "a flipped bit": lambda content: bytes([*content[:-3], content[-3] ^ 4, *content[-2:]]),
    "a flipped bit at the start": lambda content: bytes([content[0] ^ 1, *content[1:]]),
    "gone": None,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_damaged_state_costs_a_warning_and_the_one_before_is_taken(checkpoints, caplog, kind, damage):
    checkpoints.save(state(1))
    checkpoints.save(state(2))
    path = checkpoints.folder / f"000002.{kind}"
    if DAMAGES[damage] is None:
        path.unlink()
    else:
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert same(checkpoints.load(), state(1))
    if (kind, damage) != ("json", "gone"):  # then it was never complete
        (warning,) = warnings_of(caplog)
        assert f"damaged checkpoint {checkpoints.folder / '000002.json'}" in warning
    checkpoints.save(state(3))
    assert same(checkpoints.load(), state(3))


def test_if_no_state_is_whole_the_run_starts_anew(checkpoints, caplog):
    checkpoints.save(state(1))
    checkpoints.save(state(2))
    for path in checkpoints.folder.glob("*.safetensors"):
        path.write_bytes(b"")
    assert checkpoints.load() is None
    assert len(warnings_of(caplog)) == 2


@pytest.mark.parametrize(
    ("key", "value", "difference"),
    [
        ("code", "cc", "code: aa -> cc"),
        ("run", "static-9999", "run: static-1234 -> static-9999"),
        ("inputs", {"crops.json": "dd", "parent": None}, "inputs.crops.json: bb -> dd"),
        (
            "parameters",
            {"training": {"learning_rate": 0.2, "betas": (0.9, 0.99), "mirror": True}},
            "parameters.training.learning_rate: 0.1 -> 0.2; parameters.training.mirror: absent -> True",
        ),
    ],
)
def test_a_state_of_something_else_is_refused_and_the_difference_named(checkpoints, key, value, difference):
    checkpoints.save(state(1))
    other = Checkpoints(checkpoints.folder, IDENTITY | {key: value})
    with pytest.raises(RunError) as error:
        other.load()
    assert f"({difference})" in str(error.value)
    assert f"delete {checkpoints.folder} to train from the start" in str(error.value)
    assert same(checkpoints.load(), state(1))  # and it is still there


def test_no_pickle_is_read(checkpoints):
    checkpoints.save(state(1))
    torch.save({"network/a": torch.ones(1)}, checkpoints.folder / "000001.safetensors")
    assert checkpoints.load() is None


def test_a_second_start_of_a_run_is_refused_while_the_first_one_lives(checkpoints, monkeypatch):
    monkeypatch.setattr("hocbench.training.checkpoint.PATIENCE_S", 0.2)
    code = (
        "import sys, time; from pathlib import Path; from hocbench.training.checkpoint import Checkpoints\n"
        "with Checkpoints(Path(sys.argv[1]), {'run': 'static-1234'}).held(): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, checkpoints.folder], stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunError) as error, checkpoints.held():
            pass
        assert f"run static-1234 is being trained by process {other.pid} on {os.uname().nodename}" in str(error.value)
        assert "wait for it or end it" in str(error.value)
    finally:
        other.kill()
        other.wait()
    with checkpoints.held():  # a killed process holds nothing
        pass


def test_global_generators_come_back():
    before = capture_generators()
    json.dumps(before.values)
    drawn = random.random(), np.random.normal(), torch.randn(2)
    restore_generators(State(before.tensors, json.loads(json.dumps(before.values))))
    again = random.random(), np.random.normal(), torch.randn(2)
    assert drawn[:2] == again[:2]
    assert torch.equal(drawn[2], again[2])
