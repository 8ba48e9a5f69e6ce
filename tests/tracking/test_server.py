"""Trackers against a real ``mlflow server``: up, down, killed midway, slow, with many writers."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hocbench.errors import RunError
from hocbench.tracking.store import tracking_uri
from hocbench.tracking.sync import finish_reproduction, start_reproduction, sync
from hocbench.tracking.tracker import Tracker
from tests.tracking.test_outbox import (
    SPEC,
    children,
    complete,
    cut_off,
    files_of_parent,
    outboxes,
    predictions,
    results,
    row,
    run_directory,
)

ROOT = Path(__file__).parents[2]
# Seconds that the end of a run may take with the slowest store, on a busy machine.
LONGEST_S = 13
WRITER = """
import logging, sys, threading
logging.basicConfig(level=logging.INFO)
from tests.tracking.test_outbox import *
waited_s = complete(SPEC.model_copy(update={"run": sys.argv[1]}), epochs=range(int(sys.argv[2])))
print(sum(not thread.daemon for thread in threading.enumerate()), f"{waited_s:.2f}", flush=True)
"""


class Server:
    """An ``mlflow server`` that can be killed and comes back with what it had."""

    def __init__(self, folder):
        self.folder, self.process = folder, None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def up(self, timeout_s=120):
        if self.process is None:
            arguments = ["--workers", "1", "--host", "127.0.0.1", "--port", str(self.port)]
            arguments += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
            arguments += ["--artifacts-destination", str(self.folder / "artifacts")]
            with (self.folder / "server.log").open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "mlflow", "server", *arguments],
                    cwd=self.folder,
                    env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text())

    def kill(self):
        if self.process is not None:
            # The server is a process with a worker below it; both are of the session that we began.
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None


class Proxy:
    """Passes bytes on to a server, and holds back every answer to a request that holds a word."""

    def __init__(self, port, word, stall_s):
        self._target, self._word, self._stall_s = port, word, stall_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.create_connection(("127.0.0.1", self._target))
        stalled = threading.Event()
        threading.Thread(target=self._ask, args=(client, server, stalled), daemon=True).start()
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if stalled.is_set():
                    time.sleep(self._stall_s)
                client.sendall(data)
        client.close()

    def _ask(self, client, server, stalled):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._word in data:
                    stalled.set()
                server.sendall(data)

    def close(self):
        self._listener.close()


@pytest.fixture(scope="module")
def only_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def server(only_server, tmp_path, monkeypatch):
    """The server, up, with a working folder and a parent of the test's own."""
    only_server.up()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", only_server.uri)
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", "later")
    return only_server


def mine():
    """Return what the server holds about the children of this test's parent."""
    parent = start_reproduction("tiny")
    return [child for child in children() if child["tags"]["mlflow.parentRunId"] == parent]


def without_parent(child):
    return child | {"tags": {name: value for name, value in child["tags"].items() if name != "mlflow.parentRunId"}}


def writer(name, epochs=3):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, name, str(epochs)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_server_that_is_up_gets_everything_and_no_log_gets_its_password(server, monkeypatch, hocbench, caplog):
    address = server.uri.replace("//", "//me:hush-hush@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    code, parent, err = hocbench("mlflow", "start", "tiny")
    # MLflow would print addresses here, and they would be taken for a part of the id.
    assert (code, len(parent), err) == (0, 32, "")
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", parent)
    cut_off(RunError)
    complete()
    (child,) = mine()
    assert (child["status"], child["attempts"]) == ("FINISHED", ["attempt.1", "attempt.2"])
    assert child["metrics"]["validation_loss"] == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert child["files"] == ["cost.json", "history.csv", "manifest.json"]
    assert outboxes() == []
    results()
    finish_reproduction("tiny", "{}")
    assert "figures/timelines.png" in files_of_parent()
    assert hocbench("mlflow", "ui")[2].startswith(f"open {server.uri}/#/experiments/")
    kept = "".join(path.read_text() for path in Path(".mlflow").rglob("*.json*"))
    assert "hush" not in caplog.text + kept


@pytest.mark.system
def test_a_server_that_is_down_at_the_start_gets_everything_later(server, hocbench):
    complete()
    (undisturbed,) = mine()
    Path(".mlflow/parent-tiny.json").unlink()
    server.kill()
    assert hocbench("mlflow", "start", "tiny")[:2] == (0, "later")
    assert complete() < LONGEST_S
    assert hocbench("mlflow", "sync")[0] == 2
    server.up()
    assert hocbench("mlflow", "sync")[:2] == (0, "sewa.static-00000000: 3 epochs delivered, FINISHED\n1 delivered\n")
    assert [without_parent(child) for child in mine()] == [without_parent(undisturbed)]
    assert hocbench("mlflow", "sync")[1] == "nothing to deliver\n"
    assert len(mine()) == 1


@pytest.mark.system
def test_a_server_that_is_killed_between_two_epochs_gets_everything_once(server, caplog):
    complete()
    (undisturbed,) = mine()
    Path(".mlflow/parent-tiny.json").unlink()
    with Tracker(SPEC, "synthetic") as tracker:
        tracker.log_epoch(row(0))
        wait_for(lambda: [child for child in mine() if "validation_loss" in child["metrics"]])
        server.kill()
        tracker.log_epoch(row(1))
        tracker.log_epoch(row(2))
        started = time.monotonic()
        tracker.finish(run_directory(Path("run")), predictions())
        assert time.monotonic() - started < LONGEST_S
    assert len([record for record in caplog.records if record.name.startswith("hocbench")]) == 1
    server.up()
    list(sync())
    list(sync())
    assert [without_parent(child) for child in mine()] == [without_parent(undisturbed)]


def wait_for(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.system
@pytest.mark.parametrize("word", [b"HTTP/1.1", b"runs/create", b"log-batch", b"runs/update"])
def test_a_slow_server_holds_no_run_up_and_gets_everything_once(server, monkeypatch, word):
    """Its answers come 30 s late: all, or those of one kind, which it has then acted on without our knowing."""
    start_reproduction("tiny")
    proxy = Proxy(server.port, word, 30)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", start_reproduction("tiny") or "later")
    assert complete() < LONGEST_S
    process = writer("slow")
    said = process.communicate()[0].splitlines()
    assert process.returncode == 0, said
    threads, waited_s = said[-1].split()
    # The thread that waits for an answer holds the process as little as the run.
    assert threads == "1"
    assert float(waited_s) < LONGEST_S
    assert sum("hocbench mlflow sync" in line for line in said) == 1
    proxy.close()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    list(sync())
    found = mine()
    assert sorted(child["tags"]["mlflow.runName"] for child in found) == ["sewa/slow", "sewa/static-00000000"]
    for child in found:
        assert (child["status"], child["attempts"]) == ("FINISHED", ["attempt.1"])
        assert child["metrics"]["validation_loss"] == [(0, 0.0), (1, 0.1), (2, 0.2)]


@pytest.mark.system
@pytest.mark.parametrize("store", ["server", "fresh file"])
def test_four_writers_at_once_lose_nothing(server, tmp_path, monkeypatch, store):
    if store == "fresh file":
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
    writers = [writer(f"run{number}", 60) for number in range(4)]
    said = [process.communicate()[0] for process in writers]
    assert [process.returncode for process in writers] == [0] * 4, said
    list(sync())
    found = mine()
    assert sorted(child["tags"]["mlflow.runName"] for child in found) == [f"sewa/run{n}" for n in range(4)]
    for child in found:
        assert [step for step, _ in child["metrics"]["train_loss"]] == list(range(60))
        assert child["status"] == "FINISHED"
    client = MlflowClient(tracking_uri())
    runs = client.search_runs([client.get_experiment_by_name("hocbench").experiment_id])
    if store == "fresh file":
        assert len([run for run in runs if "hocbench.profile" in run.data.tags]) == 1
        with sqlite3.connect(tmp_path / ".mlflow/mlflow.db") as database:
            assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
