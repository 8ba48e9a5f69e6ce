"""The store in our own folder: projects are moved, files break, and people switch tracking off in any word."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient

from hocbench.errors import TrackingError
from hocbench.tracking.store import tracking_uri
from hocbench.tracking.switch import is_off
from hocbench.tracking.sync import start_reproduction, sync
from tests.tracking.test_outbox import (
    SPEC,
    children,
    complete,
    cut_off,
    empty_database,  # noqa: F401 - a fixture
    outboxes,
)

OTHER = SPEC.model_copy(update={"run": "joint-00000000"})


@pytest.fixture
def project(tmp_path, monkeypatch, empty_database):  # noqa: F811
    """A folder with an empty store, whose name needs care in an address."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("HOCBENCH_TRACKING", raising=False)
    monkeypatch.setenv("HOCBENCH_MLFLOW_PARENT", "later")
    folder = tmp_path / "Thèse #2 100% [v1]"
    (folder / ".mlflow").mkdir(parents=True)
    shutil.copy(empty_database, folder / ".mlflow/mlflow.db")
    monkeypatch.chdir(folder)
    return folder


def stored_bytes(folder):
    return b"".join(path.read_bytes() for path in (folder / ".mlflow").rglob("*") if path.is_file())


def test_a_project_that_was_moved_finds_its_artefacts_and_writes_new_ones_where_it_is(project, monkeypatch):
    complete()
    ((first),) = children()
    assert first["files"]
    assert project.name.encode() not in stored_bytes(project)
    assert str(project.parent).encode() not in stored_bytes(project)
    moved = project.rename(project.parent / "is it new?")
    monkeypatch.chdir(moved)
    complete(OTHER)
    assert [child["files"] for child in children()] == [first["files"]] * 2
    assert not project.exists()
    assert not outboxes()


def test_a_store_of_an_older_version_is_mended_after_a_move(project, monkeypatch):
    complete()
    (before,) = children()
    with sqlite3.connect(".mlflow/mlflow.db") as database:
        database.execute(
            "UPDATE experiments SET artifact_location = 'file:///gone/.mlflow/artifacts' WHERE name = 'hocbench'"
        )
        database.execute("UPDATE runs SET artifact_uri = 'file:///gone/.mlflow/artifacts/' || run_uuid || '/artifacts'")
    database.close()
    start_reproduction("tiny")
    assert children() == [before]


def test_experiments_that_others_made_in_the_file_stay_as_they_are(project):
    client = MlflowClient(tracking_uri())
    own = client.create_experiment("own", artifact_location="file:///archive/own")
    run = client.create_run(own)
    complete()
    assert client.get_experiment(own).artifact_location == "file:///archive/own"
    assert client.get_run(run.info.run_id).info.artifact_uri.startswith("file:///archive/own")


def test_what_was_kept_before_a_move_is_delivered_after_it(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    complete()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(project.rename(project.parent / "new"))
    assert list(sync())[-1] == "1 delivered"
    (child,) = children()
    assert child["files"]


def cut(path):
    path.write_bytes(path.read_bytes()[:30_000])


def of_another_version(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'abcdefabcdef'")
    database.close()


def deleted(path):
    start_reproduction("tiny")
    client = MlflowClient(f"sqlite:///{path.resolve()}")
    client.delete_experiment(client.get_experiment_by_name("hocbench").experiment_id)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (cut, "if it is damaged, move the file away; `hocbench mlflow sync` then delivers"),
        (lambda path: path.write_text("no database"), "if it is damaged, move the file away"),
        (of_another_version, "it is of another version of MLflow: install that one, or move the file away"),
        (deleted, "experiment hocbench was deleted in MLflow; restore it with `mlflow experiments restore"),
    ],
)
def test_advice_about_a_store_that_cannot_be_used_fits_a_file(project, caplog, damage, text):
    path = Path(".mlflow/mlflow.db")
    damage(path)
    cut_off(RuntimeError)
    assert start_reproduction("tiny") is None
    with pytest.raises(TrackingError) as error:
        list(sync())
    for told in (caplog.messages[-1], str(error.value)):
        assert text in told
        assert "MLFLOW_TRACKING_URI" not in told or damage is deleted


@pytest.mark.parametrize(
    ("word", "off"),
    [
        *((word, True) for word in ("off", "FALSE", "No", "0", " off ")),
        *((word, False) for word in ("on", "True", "YES", "1", "", None)),
    ],
)
def test_tracking_is_switched_by_the_words_that_people_use(monkeypatch, word, off):
    monkeypatch.delenv("HOCBENCH_TRACKING", raising=False)
    if word is not None:
        monkeypatch.setenv("HOCBENCH_TRACKING", word)
    assert is_off() == off


@pytest.mark.parametrize("word", ["none", "disabled", "2", "of", "nein", "off,"])
def test_another_word_is_refused_before_anything_is_told(project, monkeypatch, hocbench, word):
    Path(".mlflow/mlflow.db").unlink()
    monkeypatch.setenv("HOCBENCH_TRACKING", word)
    code, out, err = hocbench("mlflow", "start", "tiny")
    assert (code, out) == (2, "")
    assert err == f"hocbench: error: HOCBENCH_TRACKING={word}: give one of on, true, yes, 1, off, false, no, 0\n"
    assert not any(Path(".mlflow").iterdir())
