"""Trackers fed by hand with a sqlite file as store: what is kept, what is delivered, and what is there in the end."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from hocbench.errors import RunError, StoppedEarly, TrackingError
from hocbench.experiment.tasks import classification
from hocbench.tracking.outbox import Outbox
from hocbench.tracking.secrets import without_secrets
from hocbench.tracking.sender import Sender
from hocbench.tracking.store import here, tracking_uri
from hocbench.tracking.sync import finish_reproduction, start_reproduction, sync
from hocbench.tracking.tracker import Tracker
from tests.training.specs import make_spec

NOWHERE = "http://me:hush-hush@127.0.0.1:9"
SPEC = make_spec(epochs=3).model_copy(update={"run": "static-00000000", "profile": "tiny"})


def row(epoch):
    return {"epoch": epoch, "train_loss": 1 / (epoch + 1), "validation_loss": 0.1 * epoch, "kept": 1, "empty": None}


def predictions():
    rng = np.random.default_rng(0)
    names = ("truth_valence", "truth_arousal", "valence", "arousal")
    return pd.DataFrame({"part": "test"} | {name: rng.uniform(-1, 1, 50) for name in names})


def run_directory(folder):
    folder.mkdir(exist_ok=True)
    for name in ("manifest.json", "history.csv", "cost.json", "weights.safetensors"):
        (folder / name).write_text(f"what is in {name}")
    return folder


def complete(spec=SPEC, key="", epochs=range(3)):
    """Do a whole run; return the seconds that its end took."""
    with Tracker(spec, "synthetic", key) as tracker:
        for epoch in epochs:
            tracker.log_epoch(row(epoch))
        started = time.monotonic()
        out = Path("run" if spec is SPEC else spec.run)
        tracker.finish(run_directory(out), predictions())
        return time.monotonic() - started


def cut_off(error, epochs=range(2), key=""):
    """Do a run that an exception ends; return its key."""
    with pytest.raises(error), Tracker(SPEC, "synthetic", key) as tracker:
        for epoch in epochs:
            tracker.log_epoch(row(epoch))
        raise error
    return tracker.key


def killed(epochs=range(2)):
    """Do a run whose process ends without a word: nothing is written that was not written by then."""
    code = "import os\nfrom tests.tracking.test_outbox import *\n"
    code += "with Tracker(SPEC, 'synthetic') as tracker:\n"
    code += f" for epoch in {list(epochs)}: tracker.log_epoch(row(epoch))\n os._exit(9)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 9


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """A database with all its tables, which take seconds to make."""
    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, empty_database):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".mlflow").mkdir()
    shutil.copy(empty_database, ".mlflow/mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", "later")
    return tmp_path


def down(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)


def up(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")


def children(uri=""):
    """Return what the store holds about the children, without ids, keys and times."""
    client = MlflowClient(uri or tracking_uri())
    experiment = client.get_experiment_by_name("hocbench")
    if experiment is None:
        return []
    runs = client.search_runs([experiment.experiment_id])
    return [snapshot(client, run) for run in runs if "mlflow.parentRunId" in run.data.tags]


def snapshot(client, run):
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith(("hocbench.key", "attempt."))}
    return {
        "status": run.info.status,
        "params": run.data.params,
        "tags": tags,
        "attempts": sorted(name for name in run.data.tags if name.startswith("attempt.")),
        "metrics": {name: [(m.step, m.value) for m in history] for name, history in histories.items()},
        "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
    }


def outboxes():
    return sorted(path.name for path in Path(".mlflow/outbox").glob("*"))


def test_a_run_is_there_with_everything_and_leaves_no_outbox(monkeypatch):
    complete()
    (child,) = children()
    assert child["status"] == "FINISHED"
    assert child["params"]["training.epochs"] == "3"
    assert child["metrics"]["train_loss"] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert child["attempts"] == ["attempt.1"]
    assert child["files"] == ["cost.json", "history.csv", "manifest.json"]
    assert child["tags"]["mlflow.parentRunId"] == start_reproduction("tiny")
    assert outboxes() == []


def test_weights_are_sent_on_request(monkeypatch):
    monkeypatch.setenv("HOCBENCH_MLFLOW_WEIGHTS", "1")
    complete()
    assert "weights.safetensors" in children()[0]["files"]


def test_what_was_kept_equals_what_is_sent_at_once_and_sync_is_idempotent(monkeypatch, caplog):
    complete()
    (undisturbed,) = children()
    MlflowClient(tracking_uri()).delete_run(only_child().info.run_id)
    down(monkeypatch)
    assert complete() < 12
    (warning,) = [record for record in caplog.records if record.name.startswith("hocbench")]
    assert "`hocbench mlflow sync`" in warning.getMessage()
    assert outboxes() == ["sewa.static-00000000.jsonl", "sewa.static-00000000.lock"]
    up(monkeypatch)
    assert list(sync()) == ["sewa.static-00000000: 3 epochs delivered, FINISHED", "1 delivered"]
    assert children() == [undisturbed]
    assert list(sync()) == ["nothing to deliver"]
    assert children() == [undisturbed]
    assert outboxes() == []


def only_child():
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name("hocbench").experiment_id
    (run,) = [run for run in client.search_runs([experiment]) if "mlflow.parentRunId" in run.data.tags]
    return run


def test_an_outbox_that_was_delivered_and_comes_back_changes_nothing(monkeypatch):
    down(monkeypatch)
    complete()
    kept = Path(".mlflow/outbox/sewa.static-00000000.jsonl")
    text = kept.read_text()
    up(monkeypatch)
    list(sync())
    before = children()
    kept.write_text(text)
    list(sync())
    assert children() == before


@pytest.mark.parametrize("reachable", [True, False])
@pytest.mark.parametrize(
    ("error", "status"), [(RunError, "FAILED"), (KeyboardInterrupt, "KILLED"), (StoppedEarly, "RUNNING")]
)
def test_a_later_try_goes_on_with_the_same_run(monkeypatch, error, status, reachable):
    # Seconds that a busy machine may lack and that this test is not about.
    monkeypatch.setattr("hocbench.tracking.tracker.IMPATIENCE_S", 20 if reachable else 1)
    if not reachable:
        down(monkeypatch)
    key = cut_off(error)
    if not reachable:
        up(monkeypatch)
        list(sync())
    (child,) = children()
    assert (child["status"], child["attempts"]) == (status, ["attempt.1"])
    assert list(sync()) == ["sewa.static-00000000: delivered before, waits for its next attempt", "1 waiting"]
    # It starts from the beginning: the first epochs come once more.
    complete()
    (child,) = children()
    assert (child["status"], child["attempts"]) == ("FINISHED", ["attempt.1", "attempt.2"])
    assert child["metrics"]["validation_loss"] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert only_child().data.tags["hocbench.key"] == key
    assert outboxes() == []


def test_a_run_that_was_killed_without_a_word_is_told_so_and_can_go_on():
    killed()
    assert "0 epochs" not in next(sync())
    (child,) = children()
    assert (child["status"], child["metrics"]["validation_loss"]) == ("KILLED", [(0, 0.0), (1, 0.1)])
    complete()
    (child,) = children()
    assert (child["status"], child["attempts"]) == ("FINISHED", ["attempt.1", "attempt.2"])
    assert child["metrics"]["validation_loss"] == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_a_run_whose_outbox_is_lost_is_found_by_its_key(monkeypatch):
    monkeypatch.setattr("hocbench.tracking.tracker.IMPATIENCE_S", 20)
    key = cut_off(StoppedEarly)
    (lost,) = Path(".mlflow/outbox").glob("*.jsonl")
    lost.unlink()
    complete(key=key, epochs=[1, 2])
    (child,) = children()
    assert child["attempts"] == ["attempt.1", "attempt.2"]
    assert child["metrics"]["validation_loss"] == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_a_finished_run_that_is_done_again_is_another_run(monkeypatch):
    down(monkeypatch)
    complete()
    complete()
    assert len([name for name in outboxes() if name.endswith(".jsonl")]) == 2
    up(monkeypatch)
    list(sync())
    assert [child["attempts"] for child in children()] == [["attempt.1"]] * 2


def test_a_damaged_line_is_left_out_and_named(monkeypatch):
    down(monkeypatch)
    complete()
    (path,) = Path(".mlflow/outbox").glob("*.jsonl")
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:20]
    path.write_text("\n".join(lines) + "\n")
    up(monkeypatch)
    told = list(sync())
    assert told[0].endswith("sewa.static-00000000.jsonl, line 4 is damaged and left out")
    assert children()[0]["metrics"]["validation_loss"] == [(0, 0.0), (2, 0.2)]


def test_a_line_that_was_cut_does_not_swallow_the_next(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"event": "attempt", "time": 1}\n{"event": "epo')
    with Outbox(path) as outbox:
        outbox.append({"event": "attempt", "time": 2})
    with Outbox(path) as outbox:
        assert [event["time"] for event in outbox.events] == [1, 2]
        assert outbox.problems == [f"{path}, line 2 is damaged and left out"]


def test_an_outbox_without_its_first_line_is_put_aside_and_told_once(monkeypatch):
    start_reproduction("tiny")
    Path(".mlflow/outbox").mkdir()
    Path(".mlflow/outbox/sewa.x.jsonl").write_text('{"event": "ru\n')
    told = sync()
    assert next(told) == "sewa.x: its first line is damaged; renamed to sewa.x.damaged"
    with pytest.raises(TrackingError, match="1 of 1 could not be delivered"):
        list(told)
    assert list(sync()) == ["nothing to deliver"]


def test_results_that_changed_after_the_run_are_not_passed_off_as_its_own(monkeypatch):
    down(monkeypatch)
    complete()
    Path("run/cost.json").write_text("of another run")
    up(monkeypatch)
    assert "run/cost.json is not what it was when the run ended" in next(sync())
    assert children()[0]["files"] == ["history.csv", "manifest.json"]


def test_a_run_that_is_being_written_is_left_alone():
    with Tracker(SPEC, "synthetic") as tracker:
        tracker.log_epoch(row(0))
        code = "from hocbench.tracking.sync import sync; print(*sync(), sep='\\n')"
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [
            "sewa.static-00000000: being written right now, left for later",
            "1 in use",
        ]
        tracker.finish(run_directory(Path("run")), predictions())
    assert len(children()) == 1


@pytest.mark.parametrize("several", [True, False])
def test_scores_of_classes_are_of_clips_by_the_frames_that_were_seen(several, caplog):
    task = classification("calm", "excited")
    # Clip, class, logit of the second class and status of each frame; the first class has the logit 0.
    frames = [("a", 0, -1.0, "ok"), ("a", 0, 2.0, "ok"), ("b", 0, -2.0, "ok"), ("b", 0, 90.0, "no_crop")]
    frames += [("c", 1, 1.0, "ok"), ("d", 1, 0.4, "no_crop")] if several else []
    table = pd.DataFrame(frames, columns=["clip", "truth_class", "logit_1", "status"]).assign(part="test", logit_0=0.0)
    spec = SPEC.model_copy(update={"run": "static-00000001", "task": task})
    with Tracker(spec, "synthetic") as tracker:
        tracker.finish(run_directory(Path("run")), table)
    (child,) = children()
    scores = {name: values[0][1] for name, values in child["metrics"].items()}
    # Mean logits of the clips are 0.5, -2, 1 and 0.4.
    expected = (
        {"test_accuracy": 0.75, "test_balanced_accuracy": 0.75, "test_auc": 0.75}
        if several
        else {"test_accuracy": 0.5, "test_balanced_accuracy": 0.5}
    )
    logits = {0.5: 0, -2.0: 0, 1.0: 1, 0.4: 1} if several else {0.5: 0, -2.0: 0}
    errors = [(1 / (1 + math.exp(-logit)) - truth) ** 2 for logit, truth in logits.items()]
    assert scores == pytest.approx(expected | {"test_brier": sum(errors) / len(errors)})
    assert not caplog.records


def test_the_other_processes_of_a_run_say_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    complete()
    assert outboxes() == []


def test_sync_names_a_store_that_cannot_be_reached_without_its_password(monkeypatch, hocbench, caplog):
    down(monkeypatch)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "tok-12345")
    complete()
    code, out, err = hocbench("mlflow", "sync")
    assert code == 2
    assert "error: the MLflow store http://127.0.0.1:9 cannot be reached" in err
    assert "Traceback" not in err
    kept = "".join(path.read_text() for path in Path(".mlflow").rglob("*.json*"))
    assert len(kept) > 500
    told = out + err + caplog.text + kept
    assert "hush" not in told
    assert "tok-12345" not in told


def test_start_prints_a_parent_or_later_or_nothing(monkeypatch, hocbench):
    assert len(hocbench("mlflow", "start", "tiny")[1]) == 32
    down(monkeypatch)
    assert hocbench("mlflow", "start", "tiny")[:2] == (0, "later")
    monkeypatch.setenv("HOCBENCH_TRACKING", "off")
    assert hocbench("mlflow", "start", "tiny") == (0, "", "")


def results():
    for path in ("tables/sewa.md", "tables/sewa.csv", "figures/timelines.png", "report.html"):
        file = Path("results/tiny") / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)


def files_of_parent():
    client = MlflowClient(tracking_uri())
    run = start_reproduction("tiny")
    inside = [file.path for folder in ("tables", "figures") for file in client.list_artifacts(run, folder)]
    return sorted(inside + [file.path for file in client.list_artifacts(run) if not file.is_dir])


@pytest.mark.parametrize("reachable", [True, False])
def test_a_finished_reproduction_leaves_its_results_with_the_parent(monkeypatch, hocbench, caplog, reachable):
    results()
    if not reachable:
        down(monkeypatch)
    assert hocbench("mlflow", "finish", "tiny", "--parameters", json.dumps({"seed": 7}))[0] == 0
    if not reachable:
        assert "deliver them with `hocbench mlflow sync`" in caplog.text
        up(monkeypatch)
        assert list(sync()) == ["reproduction.tiny: 0 epochs delivered, FINISHED", "1 delivered"]
    expected = ["figures/timelines.png", "params.yaml", "report.html", "tables/sewa.csv", "tables/sewa.md"]
    assert files_of_parent() == expected
    client, run = MlflowClient(tracking_uri()), start_reproduction("tiny")
    assert Path(client.download_artifacts(run, "params.yaml")).read_text() == "seed: 7\n"
    assert outboxes() == []


def test_a_reproduction_with_nothing_new_is_not_sent_again(monkeypatch):
    results()
    finish_reproduction("tiny", "{}")
    monkeypatch.setattr("hocbench.tracking.sync.Sender", None)
    finish_reproduction("tiny", "{}")


def test_waiting_has_an_end(monkeypatch):
    monkeypatch.setattr("hocbench.tracking.mlflow_writer.open_store", lambda place: time.sleep(5))
    sender = Sender(here(), [{"event": "run", "time": 1, "key": "", "profile": "tiny", "recovered": False}])
    sender.settle(60)
    assert not sender.close(0.1)
    assert sender.problem == "no answer in 0.1 s"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:pass@word@host/x", "http://host/x"),
        ("mysql://me:pass@host:1/db", "mysql://host:1/db"),
        ("wrong password 's3cret/x' for me", "wrong password '***' for me"),
        ("https://host/x?a=1&X-Amz-Signature=abc&b=2", "https://host/x?a=1&X-Amz-Signature=***&b=2"),
        ("Bearer tok%2F1234", "Bearer ***"),
        ("mail to me@host", "mail to me@host"),
    ],
)
def test_messages_keep_secrets(monkeypatch, text, expected):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret/x")
    monkeypatch.setenv("SOME_TOKEN", "tok/1234")
    assert without_secrets(text) == expected


@pytest.mark.parametrize("module", ["hocbench.cli.main", "hocbench.tracking.tracker", "hocbench.tracking.sync"])
def test_mlflow_is_imported_by_the_sender_alone(module):
    code = f"import sys, {module}; sys.exit('mlflow' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
