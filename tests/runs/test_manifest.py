"""Manifests that are absent, damaged or of something else, each refused in one wording by whoever reads runs."""

import json

import pytest

from hocbench.errors import DamageError, RunError
from hocbench.files.checksums import sealed
from hocbench.runs.finished import read_runs
from hocbench.runs.manifest import is_finished, manifest_values, read_manifest
from hocbench.runs.record import flat, read_record

READERS = (read_manifest, read_record, lambda run: read_runs([run]))


@pytest.fixture(params=READERS, ids=["manifest", "record", "run"])
def read(request):
    return request.param


def put(run, text):
    run.mkdir(exist_ok=True)
    (run / "manifest.json").write_text(text)


def test_a_manifest_is_read_without_its_seal(tmp_path):
    values = {"run": "some", "files": {}}
    put(tmp_path, sealed(values))
    assert is_finished(tmp_path)
    assert read_manifest(tmp_path) == read_manifest(tmp_path / "manifest.json") == values


@pytest.mark.parametrize("is_there", [True, False])
def test_an_unfinished_run_is_refused(tmp_path, read, is_there):
    run = tmp_path / "run"
    if is_there:
        run.mkdir()
    assert not is_finished(run)
    with pytest.raises(RunError) as error:
        read(run)
    assert str(error.value) == (
        f"{run} is not a finished run (no manifest.json); start the workflow again, or give the directory of a "
        "finished run"
    )


@pytest.mark.parametrize("text", ["{", "[1]", sealed({"run": "some"}).replace("some", "other")])
def test_a_damaged_manifest_is_refused(tmp_path, read, text):
    put(tmp_path, text)
    with pytest.raises(DamageError, match=rf"^{tmp_path}/manifest\.json is damaged \(.*\); delete it and start again$"):
        read(tmp_path)


def test_another_file_is_refused(tmp_path, read):
    put(tmp_path, '{"parameters": 3}')
    with pytest.raises(RunError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"{tmp_path / 'manifest.json'} is not the manifest of a run; give the directory of a finished run"
    )


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"run": "some"}, "lacks 'spec'"),
        ({"spec": {}}, "lacks 'epochs'"),
        ({"spec": []}, "has a value of the wrong kind (list indices must be integers or slices, not str)"),
        (
            {"spec": {"epochs": "x"}},
            "has a value of the wrong kind (invalid literal for int() with base 10: 'x')",
        ),
    ],
)
def test_a_manifest_without_what_is_asked_of_it_is_refused(tmp_path, values, what):
    put(tmp_path, json.dumps(values))
    with pytest.raises(RunError) as error, manifest_values(tmp_path) as manifest:
        int(manifest["spec"]["epochs"])
    path = tmp_path / "manifest.json"
    assert str(error.value) == f"{path} {what}; delete {tmp_path} and start the workflow again"


def test_flat_spells_nested_values_out():
    nested = {"training": {"loss_weights": {"ccc": 1.0}, "ratio": [3, 1]}, "threads": 1}
    assert flat(nested) == {"training.loss_weights.ccc": 1.0, "training.ratio": [3, 1], "threads": 1}
