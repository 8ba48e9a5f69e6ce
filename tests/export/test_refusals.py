"""What cannot be exported is refused, and nothing is written."""

import json

import pytest

from hocbench.files.checksums import sealed
from tests.export.conftest import trained, write
from tests.training.conftest import SIZE


def assert_refused(outcome, text, out):
    code, printed, err = outcome
    assert code == 2
    assert err.splitlines()[-1].startswith(f"hocbench: error: {text}")
    assert err.count("hocbench: error:") == 1
    assert "Traceback" not in printed + err
    assert not out.exists()


def test_a_missing_run_is_refused(hocbench, tmp_path):
    run, out = tmp_path / "nosuch", tmp_path / "out"
    assert_refused(hocbench("export", run, "--out", out), f"{run} is not a finished run (no manifest.json)", out)


def test_an_unfinished_run_is_refused(hocbench, images_run, tmp_path):
    (images_run / "manifest.json").unlink()
    outcome = hocbench("export", images_run, "--out", tmp_path / "out")
    assert_refused(outcome, f"{images_run} is not a finished run (no manifest.json)", tmp_path / "out")


def test_damaged_weights_are_refused(hocbench, images_run, tmp_path):
    file = images_run / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    outcome = hocbench("export", images_run, "--out", tmp_path / "out")
    assert_refused(outcome, f"{file} is damaged (its hash differs from what was written)", tmp_path / "out")


def test_a_manifest_without_parameters_is_refused(hocbench, images_run, tmp_path):
    file = images_run / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["spec"]["training"]
    file.write_text(sealed(manifest))
    outcome = hocbench("export", images_run, "--out", tmp_path / "out")
    fault = f"{file} has a value of the wrong kind (spec.training: field required)"
    assert_refused(outcome, f"{fault}; delete {images_run} and start the workflow again", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "[Errno 2] No such file or directory"),
        ("{", "Expecting property name"),
        ("[]", "'list' object has no attribute 'items'"),
        ("{}", "implementations: the factorized layer 'stem' has none"),
        (
            '{"layer5.0.conv1": "factorized"}',
            "implementations: layer 'layer5.0.conv1' is not a factorized layer of this network",
        ),
    ],
)
def test_a_wrong_file_of_paths_is_refused(hocbench, images_run, tmp_path, content, reason):
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_text(content)
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--paths", file)
    assert_refused(outcome, f"{file} cannot be used ({reason}", tmp_path / "out")
    assert outcome[2].endswith("); give the paths.json of an export of this run\n")


@pytest.mark.parametrize("option", ["--batch", "--size", "--clip-length"])
def test_nothing_of_nothing_is_refused(hocbench, tmp_path, option):
    run = write(tmp_path / "clip-network", trained(3))
    outcome = hocbench("export", run, "--out", tmp_path / "out", option, 0)
    assert_refused(outcome, f"{option} 0: give at least 1", tmp_path / "out")


def test_a_clip_length_for_single_images_is_refused(hocbench, images_run, tmp_path):
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--clip-length", 4)
    assert_refused(outcome, "--clip-length: run image-network has a network for single images", tmp_path / "out")


def test_crops_of_another_size_are_refused(hocbench, images_run, tmp_path, store):
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--crops", store, "--size", 20)
    text = f"crops in {store} have {SIZE} pixels per side, the export has 20; change --size or --crops"
    assert_refused(outcome, text, tmp_path / "out")


def test_an_incomplete_store_is_refused(hocbench, images_run, tmp_path):
    outcome = hocbench("export", images_run, "--out", tmp_path / "out", "--crops", tmp_path)
    assert_refused(outcome, f"{tmp_path} is not a complete crop store", tmp_path / "out")


def test_a_file_is_no_folder_to_write(hocbench, images_run, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("mine")
    code, _, err = hocbench("export", images_run, "--out", file)
    assert (code, err) == (2, f"hocbench: error: {file} is a file; give a folder by --out\n")
    code, _, err = hocbench("export", images_run, "--out", file / "out")
    assert code == 2
    assert err.splitlines()[-1].startswith(f"hocbench: error: {file / 'out'} cannot be written (")
    assert file.read_text() == "mine"
