"""Cropping by several workers, after a kill, and into JPEG."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index, write_index
from hocbench.errors import FaceError, ParameterError
from hocbench.faces import crops
from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore, decode
from hocbench.paths import DATA_FILES
from tests.faces.conftest import SETTINGS


@pytest.fixture
def small_batches(monkeypatch):
    """Let the rendered datasets fall into many batches."""
    monkeypatch.setattr(crops, "BATCH_FRAMES", 8)


def make(name, rendered, out, **options):
    write_index(read_index(name, rendered / name), out)
    make_crops(out, rendered / name, out, **({"size": 48, "margin": 1.25} | options))
    return CropStore(out)


def die(*job):
    """Take the place of `crop_batch` in a worker that the system kills."""
    os.kill(os.getpid(), signal.SIGKILL)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in DATA_FILES}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_number_of_workers_changes_no_byte(rendered, stores, tmp_path, small_batches, name):
    make(name, rendered, tmp_path, workers=2)
    assert contents(tmp_path) == contents(stores / name)
    assert not list(tmp_path.glob(".*"))


def test_batches_hold_whole_clips_and_every_row_once(small_batches):
    lengths = [3, 4, 20, 1, 1, 1, 8, 2]
    clips = pd.DataFrame({"clip": np.repeat([f"c{n}" for n in range(len(lengths))], lengths)})
    ranges = list(crops._batches(clips))
    assert [stop for _, stop in ranges[:-1]] == [start for start, _ in ranges[1:]]
    assert (ranges[0][0], ranges[-1][1]) == (0, sum(lengths))
    edges = {0, *np.cumsum(lengths).tolist()}
    assert {edge for pair in ranges for edge in pair} <= edges
    assert all(stop - start >= 8 for start, stop in ranges[:-1])


@pytest.mark.parametrize("store", ["raw", "jpeg"])
def test_what_is_done_is_not_done_again(rendered, tmp_path, small_batches, monkeypatch, store):
    whole = make("afew_va", rendered, tmp_path / "whole", store=store)
    out = tmp_path / "out"
    write_index(read_index("afew_va", rendered / "afew_va"), out)
    once, done = crops.crop_clip, []

    def interrupt(clip, *arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(clip["clip"].iloc[0])
        return once(clip, *arguments)

    monkeypatch.setattr(crops, "crop_clip", interrupt)
    options = {"size": 48, "margin": 1.25, "store": store}
    with pytest.raises(KeyboardInterrupt):
        make_crops(out, rendered / "afew_va", out, **options)
    kept = [json.loads(path.read_text()) for path in sorted((out / crops.PARTS).glob("0*.json"))]
    finished = sum(len(each["status"]) for each in kept)
    assert 0 < finished < len(whole.frames)
    again = []
    monkeypatch.setattr(crops, "crop_clip", lambda clip, *rest: again.append(len(clip)) or once(clip, *rest))
    make_crops(out, rendered / "afew_va", out, **options)
    assert sum(again) == len(whole.frames) - finished
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.parametrize("change", [{"size": 40}, {"margin": 1.5}, {"method": "detector"}, {"store": "jpeg"}])
def test_parts_of_other_options_are_not_taken_over(rendered, tmp_path, small_batches, monkeypatch, change):
    out = tmp_path / "out"
    write_index(read_index("afew_va", rendered / "afew_va"), out)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(crops, "_join", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        make_crops(out, rendered / "afew_va", out, size=48, margin=1.25)
    make_crops(out, rendered / "afew_va", out, **({"size": 48, "margin": 1.25} | change))
    make("afew_va", rendered, tmp_path / "fresh", **change)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_killed_command_goes_on_where_it_was(rendered, stores, tmp_path):
    """kill -9 while the workers are at it, then the same command again."""
    write_index(read_index("affectnet", rendered / "affectnet"), tmp_path)
    script = (
        "from pathlib import Path; import sys, time\n"
        "from hocbench.faces import crops\n"
        "crops.BATCH_FRAMES = 4\n"
        "once = crops.crop_batch\n"
        "def slow(*arguments):\n    once(*arguments); time.sleep(0.2)\n"
        "crops.crop_batch = slow\n"
        f"crops.make_crops(Path({str(tmp_path)!r}), Path({str(rendered / 'affectnet')!r}), Path({str(tmp_path)!r}), "
        "size=48, margin=1.25)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    parts = tmp_path / crops.PARTS
    deadline = time.monotonic() + 60
    while len(list(parts.glob("0*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in parts.glob("0*.json")}
    assert 3 <= len(done) < 20
    assert not (tmp_path / "crops.json").exists()
    quick = script.replace("time.sleep(0.2)", "print(arguments[-1])")
    again = subprocess.run([sys.executable, "-c", quick], capture_output=True, text=True, check=True)
    assert not {f"{int(start):09d}.json" for start in again.stdout.split()} & set(done)
    assert contents(tmp_path) == contents(stores / "affectnet")


@pytest.mark.parametrize("store", ["raw", "jpeg"])
@pytest.mark.parametrize("step", ["hashes_of", "sealed", "_ledger"])
def test_a_stop_while_the_store_is_finished_is_no_dead_end(rendered, tmp_path, monkeypatch, store, step):
    out = tmp_path / "out"
    write_index(read_index("afew_va", rendered / "afew_va"), out)

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(crops, step, stop)
        make_crops(out, rendered / "afew_va", out, size=48, margin=1.25, store=store)
    for name in DATA_FILES:
        (out / name).unlink(missing_ok=True)  # Snakemake removes the outputs of a failed job
    make_crops(out, rendered / "afew_va", out, size=48, margin=1.25, store=store)
    make("afew_va", rendered, tmp_path / "fresh", store=store)
    assert contents(out) == contents(tmp_path / "fresh")


def test_pixels_that_are_gone_are_made_again(rendered, stores, tmp_path, monkeypatch):
    out = tmp_path / "out"
    write_index(read_index("afew_va", rendered / "afew_va"), out)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(crops, "_join", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        make_crops(out, rendered / "afew_va", out, size=48, margin=1.25)
    (out / crops.PARTS / crops.STORE / "crops.npy").unlink()
    make_crops(out, rendered / "afew_va", out, size=48, margin=1.25)
    assert contents(out) == contents(stores / "afew_va")


def test_mended_pictures_are_read_after_a_new_index(rendered, copy, tmp_path, monkeypatch):
    root, out = copy("afew_va"), tmp_path / "out"
    whole = (root / "001" / "00000.png").read_bytes()
    (root / "001" / "00000.png").write_bytes(b"")
    write_index(read_index("afew_va", root), out)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(crops, "_join", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        make_crops(out, root, out, size=48, margin=1.25)
    (root / "001" / "00000.png").write_bytes(whole)
    write_index(read_index("afew_va", root), out)
    make_crops(out, root, out, size=48, margin=1.25)
    assert CropStore(out).frames.query("clip == '001' and frame == 0")["status"].tolist() == ["ok"]


def test_crops_that_the_disk_cannot_hold_are_refused_before_the_first(rendered, tmp_path):
    write_index(read_index("afew_va", rendered / "afew_va"), tmp_path)
    with pytest.raises(
        FaceError, match=r"the crops need \d+\.\d GB and the disk of .* has .* GB free; make room, or set"
    ):
        make_crops(tmp_path, rendered / "afew_va", tmp_path, size=10**6, margin=1.25)


def test_a_worker_that_dies_is_reported_and_the_rest_is_kept(rendered, tmp_path, small_batches, monkeypatch):
    monkeypatch.setattr(crops, "crop_batch", die)
    with pytest.raises(FaceError) as error:
        make("sewa", rendered, tmp_path, workers=2)
    assert str(error.value) == (
        f"a worker that cropped {rendered / 'sewa'} was killed, perhaps for want of memory; what is done is kept, "
        "so start again, with fewer workers"
    )
    assert (tmp_path / crops.PARTS / "key.json").is_file()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_jpeg_store_holds_the_same_faces_in_less_room(rendered, stores, tmp_path, name):
    raw, packed = CropStore(stores / name), make(name, rendered, tmp_path, store="jpeg")
    columns = list(raw.frames.columns)
    pd.testing.assert_frame_equal(packed.frames[columns], raw.frames)
    rows = np.arange(len(raw.frames))
    read = packed.read(rows)
    assert read.shape == raw.crops.shape
    seen = (raw.frames["face"] != "none").to_numpy()
    for crop, original in zip(read[seen], raw.crops[seen], strict=True):
        _, content = cv2.imencode(".jpg", original[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, crops.JPEG_QUALITY])
        np.testing.assert_array_equal(crop[..., ::-1], cv2.imdecode(content, cv2.IMREAD_COLOR))
    assert not read[~seen].any()
    assert packed.crops.nbytes < raw.crops.nbytes / 2
    assert json.loads((tmp_path / "crops.json").read_text())["store"] == "jpeg"


def test_reading_rows_in_any_shape_gives_their_crops(rendered, stores, tmp_path):
    for store in (CropStore(stores / "sewa"), make("sewa", rendered, tmp_path, store="jpeg")):
        rows = np.array([[5, 5, 0], [71, 30, 2]])
        single = [store.read(np.array([row]))[0] for row in rows.ravel()]
        np.testing.assert_array_equal(store.read(rows).reshape(-1, 48, 48, 3), single)


def test_a_jpeg_store_is_strung_together_from_whole_files(rendered, tmp_path):
    store = make("afew_va", rendered, tmp_path, store="jpeg")
    ends = store.frames["end_byte"].to_numpy()
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        content = store.crops[start:end]
        assert content[:2].tobytes() == b"\xff\xd8"
        assert decode(content).shape == (48, 48, 3)
    assert ends[-1] == len(store.crops)


def test_a_jpeg_store_that_was_cut_short_is_refused(rendered, tmp_path, monkeypatch):
    monkeypatch.setattr("hocbench.faces.store.HASHED_BYTES", 0)  # too large to be read whole at each start
    make("afew_va", rendered, tmp_path, store="jpeg")
    content = np.load(tmp_path / "crops.npy")
    np.save(tmp_path / "crops.npy", content[:-5])
    expected = f"{len(content) - 5} bytes of crops but {len(content)} bytes in the rows; run `hocbench crop` again"
    with pytest.raises(FaceError, match=expected):
        CropStore(tmp_path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "haar"}, "method: 'haar' is not valid; input should be 'auto', 'landmarks', 'box' or 'detector'"),
        ({"detector": "yolo"}, "detector: 'yolo' is not valid; input should be 'haar' or 'lbp'"),
        ({"store": "webp"}, "store: 'webp' is not valid; input should be 'raw' or 'jpeg'"),
        ({"workers": 0}, "0 is not valid; input should be greater than or equal to 1"),
        ({"size": 15}, "size: 15 is not valid; input should be greater than or equal to 16"),
        ({"size": -224}, "size: -224 is not valid; input should be greater than or equal to 16"),
        ({"size": 48.5}, "size: 48.5 is not valid; input should be a valid integer"),
        ({"margin": 0.0}, "margin: 0.0 is not valid; input should be greater than 0"),
        ({"margin": -1.25}, "margin: -1.25 is not valid; input should be greater than 0"),
        ({"margin": float("nan")}, "margin: nan is not valid; input should be"),
        ({"margin": float("inf")}, "margin: inf is not valid; input should be a finite number"),
    ],
)
def test_an_option_out_of_range_is_refused_as_in_the_parameters(rendered, tmp_path, options, text):
    with pytest.raises(ParameterError) as error:
        make("sewa", rendered, tmp_path, **options)
    assert text in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "index.parquet"]
