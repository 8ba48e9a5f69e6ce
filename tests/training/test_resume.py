"""A run that was stopped at any place and started again is, byte for byte, the run that never stopped."""

import json
import os
import signal

import pytest

from hocbench.errors import RunError, StoppedEarly
from hocbench.runs.attempts import forget, not_repeated
from hocbench.training import Saving, fit
from hocbench.training.saving import Saver
from hocbench.training.stopping import StopRequest
from tests.training.specs import told
from tests.training.test_stages import RUNS, SAME_BYTES, fitted, planned

STAGES = ("static", "lasso", "temporal", "joint", "inflated", "scratch (2+1)-D", "untrained")


@pytest.fixture(autouse=True)
def foreground():
    """Hear Ctrl-C: a shell starts what it puts into the background deaf to it, and that goes for these tests too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def killer(monkeypatch):
    """Make a process ask itself to stop at its n-th pulse; returns how often that happened, and where."""
    pulse = Saver._pulse
    plan = {"at": 0, "count": 0, "stops": []}

    def counted(self, training):
        plan["count"] += 1
        if plan["count"] == plan["at"]:
            plan["stops"].append((training.outcome.epoch, training.outcome.step))
            os.kill(os.getpid(), plan.get("signal", signal.SIGTERM))
        pulse(self, training)

    monkeypatch.setattr(Saver, "_pulse", counted)
    return plan


def restart_until_done(laboratory, run, out, folder, killer, every):
    """Stop a run at every so many pulses until it is complete; return the number of starts."""
    parent = laboratory.fit(run.parent) if run.parent else None
    for start in range(1, 100):
        killer |= {"count": 0, "at": every}
        try:
            fit(run.spec, laboratory.crops[run.key.dataset], parent, out, saving=Saving(folder, 1e9))
            return start
        except StoppedEarly:
            assert not (out / "manifest.json").exists()
    raise AssertionError("it never ended")


@pytest.mark.parametrize("name", STAGES)
def test_a_run_stopped_again_and_again_is_the_run_that_never_stopped(laboratory, tmp_path, killer, name):
    run, whole = planned(laboratory, name), fitted(laboratory, name)
    out = tmp_path / "out"
    starts = restart_until_done(laboratory, run, out, tmp_path / "saved", killer, every=4)
    assert starts > 1
    assert len(set(killer["stops"])) > 1 or name == "untrained"
    for file in SAME_BYTES:
        assert (out / file).read_bytes() == (whole / file).read_bytes(), file
    manifest, cost = (json.loads((out / file).read_text()) for file in ("manifest.json", "cost.json"))
    assert manifest["attempts"] == starts
    assert cost["samples"] == json.loads((whole / "cost.json").read_text())["samples"]
    assert not (tmp_path / "saved" / run.id).exists()


def test_a_run_with_checkpoints_at_every_pulse_is_the_same_and_leaves_none(laboratory, tmp_path):
    run, whole = planned(laboratory, "static"), fitted(laboratory, "static")
    fit(run.spec, laboratory.crops["affectnet"], None, tmp_path / "out", saving=Saving(tmp_path / "saved", 0))
    for file in SAME_BYTES:
        assert (tmp_path / "out" / file).read_bytes() == (whole / file).read_bytes(), file
    assert list((tmp_path / "saved").iterdir()) == []


def test_a_kept_checkpoint_finishes_a_run_whose_job_was_lost_and_goes_when_the_run_is_read(
    laboratory, tmp_path, killer, caplog
):
    run, whole = planned(laboratory, "static"), fitted(laboratory, "static")
    saving = Saving(tmp_path / "saved", 0, keep=True)
    fit(run.spec, laboratory.crops["affectnet"], None, tmp_path / "out", saving=saving)
    folder = saving.folder / run.id
    assert len(list(folder.glob("*.safetensors"))) == 1
    for name in (*SAME_BYTES, "manifest.json"):  # as Snakemake does with the outputs of a lost job
        (tmp_path / "out" / name).unlink()
    killer["count"] = 0
    fit(run.spec, laboratory.crops["affectnet"], None, tmp_path / "out", saving=saving)
    assert killer["count"] < 10  # predictions alone
    for file in SAME_BYTES:
        assert (tmp_path / "out" / file).read_bytes() == (whole / file).read_bytes(), file
    # Something has changed since: what is complete is no reason to refuse.
    other = told(run.spec, learning_rate=0.5, epochs=1)
    fit(other, laboratory.crops["affectnet"], None, tmp_path / "other", saving=saving)
    manifest = json.loads((tmp_path / "other" / "manifest.json").read_text())
    assert (manifest["attempts"], manifest["spec"]["training"]["steps"]["learning_rate"]) == (1, 0.5)
    forget(saving.folder, ["another", run.id])
    assert not folder.exists()


@pytest.mark.parametrize("signal_name", ["SIGTERM", "SIGUSR1", "SIGINT"])
def test_signals_save_and_say_where_and_the_rest_of_the_process_keeps_its_handlers(
    laboratory, tmp_path, killer, signal_name
):
    number = getattr(signal, signal_name)
    before = signal.getsignal(number)
    killer |= {"at": 3, "signal": number}
    run = planned(laboratory, "static")
    with pytest.raises(StoppedEarly) as stopped:
        fit(run.spec, laboratory.crops["affectnet"], None, tmp_path / "out", saving=Saving(tmp_path / "saved", 1e9))
    (where,) = killer["stops"]
    assert str(stopped.value) == (
        f"run {run.id} was asked to stop ({signal_name}) and is saved at epoch {where[0]}, step {where[1]}; "
        "start it again to go on from there"
    )
    assert signal.getsignal(number) == before
    assert (tmp_path / "saved" / run.id / "000001.safetensors").is_file()


def test_without_a_place_to_save_signals_act_as_usual(laboratory, tmp_path, killer):
    killer |= {"at": 1, "signal": signal.SIGINT}
    run = planned(laboratory, "static")
    out = laboratory.fit(run, tmp_path / "out")
    assert killer["count"] == 0  # nobody asks
    assert (out / "manifest.json").is_file()


def test_a_second_ctrl_c_interrupts_at_once():
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == "SIGINT"
        os.kill(os.getpid(), signal.SIGINT)


def test_further_terminations_change_nothing():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == "SIGUSR1"


def test_a_checkpoint_of_other_parameters_is_refused_and_kept(laboratory, tmp_path, killer):
    run = planned(laboratory, "static")
    saving = Saving(tmp_path / "saved", 1e9)
    killer |= {"at": 3}
    with pytest.raises(StoppedEarly):
        fit(run.spec, laboratory.crops["affectnet"], None, tmp_path / "out", saving=saving)
    other = told(run.spec, learning_rate=0.5)
    with pytest.raises(RunError, match=r"parameters\.training\.steps\.learning_rate: 0\.015 -> 0\.5"):
        fit(other, laboratory.crops["affectnet"], None, tmp_path / "out", saving=saving)
    assert (saving.folder / run.id / "000001.json").is_file()


def test_a_mistake_is_a_mistake_once(tmp_path):
    def tried(attempt, mistake):
        with not_repeated(tmp_path, "static-1234", attempt):
            if mistake:
                raise RunError("the loss is nan in epoch 1")
            return True

    with pytest.raises(RunError, match=r"^the loss is nan in epoch 1$"):
        tried(1, True)
    with pytest.raises(RunError, match=r"^not tried again, because the attempt before ended with: the loss is nan"):
        tried(2, False)
    assert tried(1, False)  # another start of the workflow, after it was mended
    assert tried(2, False)


def test_all_stages_are_known():
    assert set(STAGES) <= set(RUNS)
