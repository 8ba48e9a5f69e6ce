import logging
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from hocbench.errors import RunError, TrackingError
from hocbench.files.code import code_hash
from hocbench.metrics import affect as metrics
from hocbench.tracking.store import experiment_page, tracking_uri
from hocbench.tracking.sync import start_reproduction, sync
from hocbench.tracking.tracker import Tracker
from hocbench.training import fit
from tests.training.specs import told
from tests.training.test_stages import SAME_BYTES

START = "from hocbench.tracking.sync import start_reproduction; print(start_reproduction('tiny'))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder whose database three processes have asked for at once, and what they printed."""
    folder = tmp_path_factory.mktemp("tracking")
    root = str(Path(__file__).parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("PYTHONPATH", root)
        jobs = [
            subprocess.Popen([sys.executable, "-c", START], cwd=folder, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        return folder, [job.communicate()[0].strip() for job in jobs]


@pytest.fixture
def client(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder[0]}/mlflow.db")
    return MlflowClient(tracking_uri())


@pytest.fixture
def tracked(client, monkeypatch):
    """The store, with the parent run told to the fits."""
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", start_reproduction("tiny"))
    return client


def runs(client):
    experiment = client.get_experiment_by_name("hocbench")
    return client.search_runs([experiment.experiment_id])


def newest(client, before):
    (run,) = [run for run in runs(client) if run.info.run_id not in before]
    return run


def known(client):
    return {run.info.run_id for run in runs(client)}


def warnings_of(caplog):
    ours = ("hocbench.tracking", "hocbench.tracking.tracker")
    return [r for r in caplog.records if r.name.startswith(ours) and r.levelno >= logging.WARNING]


def outboxes():
    return sorted(path.name for path in Path(".mlflow/outbox").glob("*"))


def test_processes_that_start_at_once_share_one_parent_and_a_healthy_database(folder, client):
    (parent,) = set(folder[1])
    assert len(folder[1]) == 3
    assert [run.info.run_id for run in runs(client)] == [parent]
    with sqlite3.connect(folder[0] / "mlflow.db") as database:
        assert database.execute("pragma integrity_check").fetchall() == [("ok",)]


def test_a_reproduction_has_one_parent_per_profile(folder, client):
    first = start_reproduction("tiny")
    assert first == start_reproduction("tiny") == folder[1][0]
    other = start_reproduction("embedded")
    assert other not in (None, first)
    run = client.get_run(other)
    assert run.data.tags["mlflow.runName"] == "reproduction embedded"
    assert run.data.tags["hocbench.profile"] == "embedded"
    assert run.info.status == "FINISHED"


def test_a_parent_that_was_deleted_is_made_anew(client):
    gone = start_reproduction("full")
    client.delete_run(gone)
    anew = start_reproduction("full")
    assert anew not in (None, gone)
    assert client.get_run(anew).info.lifecycle_stage == "active"


def test_the_page_of_all_runs_is_that_of_the_experiment(client):
    experiment = client.get_experiment_by_name("hocbench").experiment_id
    assert experiment_page() == f"/#/experiments/{experiment}/runs"


def test_a_fit_leaves_a_child_run_with_all_its_numbers(laboratory, tracked, tmp_path):
    plain, run, before = laboratory("temporal"), laboratory.plan("temporal"), known(tracked)
    out = laboratory.fit(run, tmp_path / "temporal")
    found = newest(tracked, before)
    assert found.info.status == "FINISHED"
    assert found.data.tags["mlflow.parentRunId"] == start_reproduction("tiny")
    assert found.data.tags["mlflow.runName"] == f"sewa/{run.id}"
    assert found.data.tags["data"] == "synthetic"
    assert [name for name in found.data.tags if name.startswith("attempt.")] == ["attempt.1"]
    params = found.data.params
    assert (params["key.method"], params["training.epochs"], params["temporal.init"]) == ("temporal", "8", "ones")
    assert params["training.loss_weights.ccc"] == "1.0"
    check_metrics(tracked, found, out)
    for name in ("manifest.json", "history.csv", "cost.json"):
        downloaded = tracked.download_artifacts(found.info.run_id, name, str(tmp_path))
        assert Path(downloaded).read_bytes() == (out / name).read_bytes()
    assert not [name for name in outboxes() if run.id in name]
    assert all((out / name).read_bytes() == (plain / name).read_bytes() for name in SAME_BYTES)


def check_metrics(client, found, out):
    history = pd.read_csv(out / "history.csv")
    for column in [name for name in history if name not in ("epoch", "kept")]:
        rows = history[history[column].notna()]
        logged = sorted(client.get_metric_history(found.info.run_id, column), key=lambda metric: metric.step)
        assert [metric.step for metric in logged] == rows["epoch"].tolist(), column
        assert [metric.value for metric in logged] == pytest.approx(rows[column].tolist(), rel=1e-8), column
    test = pd.read_parquet(out / "predictions.parquet").query("part == 'test'")
    for target in ("valence", "arousal"):
        for name in ("rmse", "sagr", "pcc", "ccc"):
            expected = getattr(metrics, name)(test[f"truth_{target}"], test[target])
            assert found.data.metrics[f"test_{name}_{target}"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("error", "status"), [(RunError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_ends_early_does_not_stay_running(laboratory, tracked, tmp_path, monkeypatch, error, status):
    monkeypatch.setattr("hocbench.tracking.tracker.IMPATIENCE_S", 20)
    run = laboratory.plan("static", "affectnet")
    spec = run.spec
    if error is RunError:
        spec = told(spec, learning_rate=1e38)
    else:
        monkeypatch.setattr("hocbench.training.stages.save_run", interrupt)
    with pytest.raises(error):
        fit(spec, laboratory.crops["affectnet"], None, tmp_path / "out")
    # The second one goes on with the MLflow run of the first: it is the next attempt at the same run.
    found = [r for r in runs(tracked) if r.info.run_name == f"affectnet/{run.id}"]
    assert max(found, key=lambda r: r.info.start_time).info.status == status


def interrupt(*_):
    raise KeyboardInterrupt


def test_without_a_parent_or_when_switched_off_nothing_is_sent(laboratory, tracked, tmp_path, monkeypatch):
    before, kept = known(tracked), outboxes()
    monkeypatch.setenv("HOCBENCH_TRACKING", "off")
    assert start_reproduction("tiny") is None
    laboratory.fit(laboratory.plan("frames"), tmp_path / "off")
    monkeypatch.delenv("HOCBENCH_TRACKING")
    monkeypatch.delenv("HOCBENCH_MLFLOW_PARENT")
    laboratory.fit(laboratory.plan("frames"), tmp_path / "by hand")
    assert known(tracked) == before
    assert outboxes() == kept
    assert (tmp_path / "by hand/weights.safetensors").read_bytes() == (
        tmp_path / "off/weights.safetensors"
    ).read_bytes()


def test_switched_off_tracking_makes_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOCBENCH_TRACKING", "off")
    assert start_reproduction("tiny") is None
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_reached_costs_one_warning(laboratory, tmp_path, monkeypatch, caplog):
    plain = laboratory("frames")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", "0123456789abcdef")
    out = laboratory.fit(laboratory.plan("frames"), tmp_path / "frames")
    (warning,) = warnings_of(caplog)
    assert "MLflow store cannot be reached, the events of this run are kept" in warning.getMessage()
    assert "`hocbench mlflow sync`" in warning.getMessage()
    assert "\n" not in warning.getMessage()
    assert all((out / name).read_bytes() == (plain / name).read_bytes() for name in SAME_BYTES)


class Forgotten(Tracker):
    """Its run is lost in the store once training has begun."""

    def log_epoch(self, row):
        client = MlflowClient(tracking_uri())
        found = []
        while not found and row["epoch"] == 0:
            found = [run for run in runs(client) if run.data.tags.get("hocbench.key") == self.key]
            time.sleep(0.05)
        for run in found:
            client.delete_run(run.info.run_id)
        super().log_epoch(row)


def test_a_store_that_loses_a_run_costs_one_warning_and_no_number(laboratory, tracked, tmp_path, monkeypatch, caplog):
    plain, before = laboratory("frames"), known(tracked)
    monkeypatch.setattr("hocbench.training.stages.Tracker", Forgotten)
    out = laboratory.fit(laboratory.plan("frames"), tmp_path / "frames")
    assert len(warnings_of(caplog)) == 1
    assert all((out / name).read_bytes() == (plain / name).read_bytes() for name in SAME_BYTES)
    assert known(tracked) == before
    list(sync())
    check_metrics(tracked, newest(tracked, before), out)


def test_a_run_whose_outbox_cannot_be_written_costs_one_warning(laboratory, tmp_path, monkeypatch, caplog):
    plain = laboratory("frames")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", "later")
    (tmp_path / ".mlflow").write_text("in the way")
    out = laboratory.fit(laboratory.plan("frames"), tmp_path / "frames")
    (warning,) = warnings_of(caplog)
    assert "MLflow is sent no more about this run" in warning.getMessage()
    assert all((out / name).read_bytes() == (plain / name).read_bytes() for name in SAME_BYTES)


@pytest.mark.parametrize("obstacle", ["no server", "no folder"])
def test_a_reproduction_starts_without_a_store(tmp_path, monkeypatch, caplog, obstacle):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "MLFLOW_TRACKING_URI", "http://127.0.0.1:9" if obstacle == "no server" else "sqlite:///mlflow.db"
    )
    if obstacle == "no folder":
        (tmp_path / ".mlflow").write_text("in the way")
    assert start_reproduction("tiny") is None
    assert len(warnings_of(caplog)) == 1


def test_the_local_store_lies_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == f"sqlite:///{tmp_path}/.mlflow/mlflow.db"


def test_showing_an_unreachable_store_is_an_error_without_its_password(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"MLflow store http://127\.0\.0\.1:9 cannot be reached") as error:
        experiment_page()
    assert "secret" not in str(error.value)


def test_an_edit_of_what_watches_reruns_nothing(monkeypatch):
    before = code_hash("hocbench.training")
    read = Path.read_bytes
    edited = lambda path: read(path) + (b"# edited" if "tracking" in str(path) else b"")  # noqa: E731
    monkeypatch.setattr(Path, "read_bytes", edited)
    assert code_hash("hocbench.training") == before
