"""Two gloo processes against one; precision, parts of a batch, recomputation."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from hocbench.config.load import load_params
from hocbench.errors import ParameterError, RunError
from hocbench.experiment.tasks import VALENCE_AROUSAL, classification
from hocbench.nn import resnet18, transduct
from hocbench.training import fit
from hocbench.training.data import training_batches
from hocbench.training.loop import Training
from hocbench.training.predict import main_score
from tests.training.conftest import ROOT, make_runs
from tests.training.specs import make_spec, penalty, told
from tests.training.test_loop import make_setting, network, parts  # noqa: F401
from tests.training.test_stages import SAME_BYTES, fitted, planned

PROGRAM = [sys.executable, "-m", "tests.training.shared_step"]


def start(arguments, **environment):
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], cwd=ROOT, env=os.environ | environment)


def trained(folder, name, spec, processes):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "OMP_NUM_THREADS": "1"}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    arguments = (folder / name, folder / name, spec.text())
    if processes == 1:
        jobs = [start(arguments)]
    else:
        jobs = [start(arguments, **shared, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(processes)]
    assert [job.wait(120) for job in jobs] == [0] * processes
    return load_file(folder / f"{name}.safetensors"), json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("order", "changes"),
    [
        (3, {"batch_size": 4, "accumulation": 2}),
        pytest.param(2, {"batch_size": 24}, marks=pytest.mark.system),
        pytest.param(2, {"batch_size": 24, "lasso": penalty(0.1)}, marks=pytest.mark.system),
        pytest.param(3, {"batch_size": 4, "loss_weights": None}, marks=pytest.mark.system),
    ],
)
def test_two_processes_are_one_in_float64_with_frozen_batchnorm(tmp_path, order, changes):
    task = VALENCE_AROUSAL if changes.get("loss_weights", True) else classification("calm", "excited")
    spec = make_spec(order, epochs=1, learning_rate=0.003, **changes).model_copy(update={"task": task})
    one, alone = trained(tmp_path, "one", spec, 1)
    two, shared = trained(tmp_path, "two", spec, 2)
    assert one.keys() == two.keys()
    worst = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert worst < 1e-12
    assert shared["samples"] == alone["samples"] > 0
    # Validation counts every frame once.
    np.testing.assert_allclose(shared["frames"], alone["frames"], atol=1e-6)
    assert len(shared["frames"]) == 120
    for row, other in zip(shared["history"], alone["history"], strict=True):
        assert main_score(row) == pytest.approx(main_score(other), abs=1e-6)
        assert row["train_loss"] == pytest.approx(other["train_loss"], abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("order", [2, 3])
def test_shares_of_all_processes_are_the_batch(parts, order):  # noqa: F811
    def read(accumulation, share):
        spec = make_spec(order, batch_size=8 if order == 2 else 4, accumulation=accumulation)
        return [x for x, _ in training_batches(parts[0], spec, 1, share=share)]

    whole_batches = read(1, (0, 1))
    shares = [read(2, (rank, 2)) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) == 2 * len(whole_batches)
    for number, batch in enumerate(whole_batches):
        quarters = [shares[rank][2 * number + part] for part in range(2) for rank in range(2)]
        assert torch.equal(torch.cat(quarters), batch)


def test_too_few_samples_for_all_shares_are_refused(parts):  # noqa: F811
    with pytest.raises(RunError, match=r"80 training samples are too few for 100 processes and 1 parts of a batch"):
        training_batches(parts[0], make_spec(batch_size=100), 1, share=(0, 100))


def test_a_batch_that_cannot_be_shared_is_refused_by_the_parameters(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("processes: 3\ntraining: {accumulation: 2}\n")
    with pytest.raises(ParameterError) as error:
        load_params([ROOT / "params.yaml", overlay])
    assert str(error.value) == (
        "training.stages.static.batch_size: 64 cannot be shared by 3 processes (processes) and 2 parts "
        "(training.accumulation); give a multiple of 6"
    )


def test_a_batch_in_parts_has_a_loss_and_a_batchnorm_per_part_and_is_one_step(parts, monkeypatch):  # noqa: F811
    losses = []
    backward = Training._backward

    def noted(self, steps, images, labels):
        losses.append((len(images), backward(self, steps, images, labels)))
        return losses[-1][1]

    monkeypatch.setattr(Training, "_backward", noted)
    training = Training(network(), *parts, make_setting(epochs=1, batch_size=40, accumulation=4), Accelerator())
    training.run()
    assert [count for count, _ in losses] == [10] * 8
    assert training.outcome.samples == 80
    assert training.outcome.history[1]["train_loss"] == pytest.approx(sum(loss for _, loss in losses) / 2)
    assert int(training.network.stem_norm.num_batches_tracked) == 8  # of two steps


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("kind", ["cp", "dense"])
def test_recomputation_changes_nothing_and_updates_batchnorm_once(order, kind):
    torch.manual_seed(0)
    images = resnet18(order=2, kind=kind, width=4, stem="small")
    plain = images if order == 2 else transduct(images, kernel_size=3)
    other = resnet18(order=2, kind=kind, width=4, stem="small")
    other = other if order == 2 else transduct(other, kernel_size=3)
    other.load_state_dict(plain.state_dict())
    other.recompute = True
    x = torch.randn(3, 3, *([4] if order == 3 else []), 24, 24)
    for model in (plain, other):
        model.train()
        model(x).square().mean().backward()
    for (name, a), b in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
    for (name, a), b in zip(plain.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(a, b), name
    assert int(other.stem_norm.num_batches_tracked) == int(other.layer1[0].norm1.num_batches_tracked) == 1


def test_bfloat16_learns_what_float32_learns_and_keeps_float32_weights(laboratory, tmp_path):
    run, whole = planned(laboratory, "static"), fitted(laboratory, "static")
    out = tmp_path / "out"
    fit(told(run.spec, precision="bfloat16", recompute=True), laboratory.crops["affectnet"], None, out)
    weights = load_file(out / "weights.safetensors")
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
    reference = load_file(whole / "weights.safetensors")
    assert any(not torch.equal(value, reference[name]) for name, value in weights.items())
    scores = [
        np.genfromtxt(path / "history.csv", delimiter=",", names=True)["validation_ccc_valence"].max()
        for path in (out, whole)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.2)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["spec"]["training"]["steps"]["precision"] == "bfloat16"
    assert manifest["batch"] == {
        "size": 16,
        "part": 16,
        "batchnorm": "statistics over 16 samples of one process",
        "loss": "one statistic over 16 samples of all processes",
    }


def test_a_lone_process_is_told_that_others_are_missing(laboratory, tmp_path):
    run = planned(laboratory, "static")
    with pytest.raises(RunError, match=r"ask for 2 processes and 1 were started; start `hocbench fit` by itself"):
        fit(run.spec.model_copy(update={"processes": 2}), laboratory.crops["affectnet"], None, tmp_path / "out")


def command(laboratory, run, out):
    words = [sys.executable, "-m", "hocbench", "fit", out, "--spec", run.spec.text()]
    return [*map(str, words), "--crops", str(laboratory.crops["affectnet"])]


@pytest.mark.system
def test_two_processes_that_are_stopped_go_on_and_end_as_two_that_were_not(laboratory, tmp_path):
    runs = make_runs(tmp_path, {"processes": 2, "training": {"stages": {"static": {"epochs": 12}}}})
    (run,) = [run for run in runs if (run.key.dataset, run.key.method) == ("affectnet", "static")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    places = {name: tmp_path / name for name in ("whole", "stopped")}
    for place in places.values():
        place.mkdir()
    plain = {"env": environment, "stderr": subprocess.PIPE, "text": True}
    subprocess.run(command(laboratory, run, "out"), cwd=places["whole"], check=True, **plain)
    stopped = subprocess.Popen(command(laboratory, run, "out"), cwd=places["stopped"], **plain)
    for line in stopped.stderr:
        if "epoch 2:" in line:
            break
    stopped.send_signal(signal.SIGTERM)
    _, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 75, errors
    assert "was asked to stop (SIGTERM) and is saved at epoch" in errors
    again = subprocess.run(command(laboratory, run, "out"), cwd=places["stopped"], check=False, **plain)
    assert again.returncode == 0, again.stderr
    for name in SAME_BYTES:
        assert (places["stopped"] / "out" / name).read_bytes() == (places["whole"] / "out" / name).read_bytes(), name
    manifest = json.loads((places["stopped"] / "out" / "manifest.json").read_text())
    assert (manifest["processes"], manifest["attempts"]) == (2, 2)
    assert manifest["batch"]["batchnorm"] == "statistics over 8 samples of one process"


@pytest.mark.system
def test_if_one_of_two_processes_dies_the_run_ends(laboratory, tmp_path):
    runs = make_runs(tmp_path, {"processes": 2, "training": {"stages": {"static": {"epochs": 400}}}})
    (run,) = [run for run in runs if (run.key.dataset, run.key.method) == ("affectnet", "static")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(
        command(laboratory, run, "out"), cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    for line in job.stderr:
        if "epoch 2:" in line:
            break
    children = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    os.kill(int(children[1]), signal.SIGKILL)
    started = time.monotonic()
    job.communicate(timeout=90)
    assert job.returncode not in (0, 75)
    assert time.monotonic() - started < 60
    assert not (tmp_path / "out" / "manifest.json").exists()
