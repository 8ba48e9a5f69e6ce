"""Damaged input, and stores that are not complete."""

import json
from pathlib import Path

import numpy as np
import pytest

from hocbench.datasets.index import read_index, write_index
from hocbench.errors import DatasetError, FaceError, HocbenchError
from hocbench.faces import clips, crops
from hocbench.faces.crops import make_crops
from hocbench.faces.store import CropStore
from hocbench.files.checksums import file_hash
from hocbench.paths import DATA_FILES
from tests.faces.conftest import crop, read_ledger, write_photograph

NOISE = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


def first_video(root):
    return sorted(root.glob("*/*.avi"))[0]


def frames_of(found, video):
    return found.frames[found.frames["clip"] == video.stem].reset_index()


def test_a_video_that_was_cut_short_keeps_its_frames_before_the_damage(copy, stores, tmp_path):
    root = copy("sewa")
    video = first_video(root)
    content = video.read_bytes()
    video.write_bytes(content[: len(content) // 2])
    found, whole = crop("sewa", root, tmp_path / "out"), CropStore(stores / "sewa")
    frames = frames_of(found, video)
    good = int((frames["status"] == "ok").sum())
    assert 3 <= good <= 8
    assert frames["status"].tolist() == ["ok"] * good + ["image_unreadable"] * (12 - good)
    assert frames["usable"].all()
    start = frames["index"][0]
    np.testing.assert_array_equal(found.crops[start : start + good], whole.crops[start : start + good])
    for later in range(good, 12):
        np.testing.assert_array_equal(found.crops[start + later], found.crops[start + good - 1])
    listed = read_ledger(tmp_path / "out").query("clip == @video.stem")
    assert listed["frame"].tolist() == list(range(good, 12))
    assert listed[["step", "reason", "action", "detail"]].values.tolist() == [
        ["crop", "image_unreadable", "repaired", f"face from neighbour; the video ends or is damaged before frame {n}"]
        for n in range(good, 12)
    ]
    others = found.frames["clip"] != video.stem
    np.testing.assert_array_equal(found.crops[others.to_numpy()], whole.crops[others.to_numpy()])


def test_frames_after_a_lost_one_are_not_taken_for_their_neighbours(copy, stores, tmp_path):
    root = copy("sewa")
    video = first_video(root)
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    video.write_bytes(bytes(content))
    found, whole = crop("sewa", root, tmp_path / "out"), CropStore(stores / "sewa")
    frames = frames_of(found, video)
    assert set(frames["status"]) == {"ok", "image_unreadable"}
    fine = frames.loc[frames["status"] == "ok", "index"].to_numpy()
    assert len(fine) >= 3
    np.testing.assert_array_equal(found.crops[fine], whole.crops[fine])


def test_a_video_that_became_unreadable_after_the_index_is_dropped(copy, tmp_path):
    root, out = copy("sewa"), tmp_path / "out"
    write_index(read_index("sewa", root), out)
    video = first_video(root)
    video.write_bytes(b"no video")
    make_crops(out, root, out, size=48, margin=1.25)
    frames = frames_of(CropStore(out), video)
    assert set(frames["status"]) == {"image_unreadable"}
    assert not frames["usable"].any()
    assert set(read_ledger(out).query("clip == @video.stem")["action"]) == {"dropped"}


def test_a_dataset_without_any_face_is_an_error_and_leaves_no_store(tmp_path):
    root, out = write_photograph(tmp_path / "noise", [NOISE, NOISE[::-1]]), tmp_path / "out"
    with pytest.raises(FaceError, match=rf"no face found in any of the 2 frames below {root}; is it the right folder"):
        crop("afew_va", root, out)
    assert sorted(path.name for path in out.iterdir()) == ["index.json", "index.parquet"]


@pytest.mark.parametrize("name", ["sewa", "afew_va"])
def test_a_method_that_the_dataset_has_nothing_for_is_refused_before_the_first_picture(
    rendered, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(crops, "crop_batch", None)
    expected = rf"crop method 'box': no frame of {name} has face boxes; choose landmarks \(in .*%.*\), detector or auto"
    with pytest.raises(FaceError, match=expected):
        crop(name, rendered / name, tmp_path, method="box")


def test_landmarks_of_a_dataset_without_any_are_refused_by_the_name_of_the_method(tmp_path):
    root = write_photograph(tmp_path / "photographs", [NOISE])
    expected = "crop method 'landmarks': no frame of afew_va has landmarks; choose detector or auto"
    with pytest.raises(FaceError, match=expected):
        crop("afew_va", root, tmp_path / "out", method="landmarks")


def test_a_missing_index_is_an_error_that_says_what_to_run(tmp_path):
    with pytest.raises(DatasetError, match=rf"{tmp_path} has no index .*run `hocbench index` first"):
        make_crops(tmp_path, tmp_path, tmp_path / "out", size=48, margin=1.25)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_broken_index_is_an_error_that_says_what_to_run(rendered, tmp_path, content):
    write_index(read_index("afew_va", rendered / "afew_va"), tmp_path)
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(HocbenchError, match=rf"{tmp_path}.*(delete it and start again|run `hocbench index` again)"):
        make_crops(tmp_path, rendered / "afew_va", tmp_path, size=48, margin=1.25)


@pytest.fixture
def complete(stores, tmp_path):
    """A complete store that a test may break."""
    for name in ("crops.json", "frames.parquet", "crops.npy"):
        (tmp_path / name).write_bytes((stores / "afew_va" / name).read_bytes())
    assert len(CropStore(tmp_path).frames) > 20
    # Without hashes, so that what is looked at beside them is tested too.
    summary = json.loads((tmp_path / "crops.json").read_text())
    del summary["seal"], summary["files"]
    (tmp_path / "crops.json").write_text(json.dumps(summary))
    return tmp_path


@pytest.mark.parametrize("name", ["crops.json", "frames.parquet", "crops.npy"])
@pytest.mark.parametrize("content", [None, b"", b"rubbish", b"{}"])
def test_a_store_with_a_missing_or_broken_file_is_refused(complete, name, content):
    if content is None:
        (complete / name).unlink()
    else:
        (complete / name).write_bytes(content)
    expected = rf"{complete} is not a complete crop store .*run `hocbench crop` again"
    if name == "crops.json" and content in (b"", b"rubbish"):
        expected = rf"{complete / name} is damaged .*; delete it and start again"
    with pytest.raises(HocbenchError, match=expected):
        CropStore(complete)


def test_a_truncated_array_is_refused(complete):
    content = (complete / "crops.npy").read_bytes()
    (complete / "crops.npy").write_bytes(content[:-100])
    with pytest.raises(FaceError, match="not a complete crop store"):
        CropStore(complete)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_store_whose_rows_do_not_match_its_crops_is_refused(complete, change):
    crops = np.load(complete / "crops.npy")
    count = len(crops)
    np.save(complete / "crops.npy", crops[:-1] if change < 0 else np.concatenate([crops, crops[:1]]))
    with pytest.raises(FaceError, match=rf"{count + change} crops but {count} rows; run `hocbench crop` again"):
        CropStore(complete)


def test_a_pickled_array_is_refused_and_not_executed(complete):
    touched = complete / "touched"

    class Bomb:
        def __reduce__(self):
            return touched.touch, ()

    np.save(complete / "crops.npy", np.array([Bomb()] * 27, dtype=object), allow_pickle=True)
    with pytest.raises(FaceError, match="not a complete crop store"):
        CropStore(complete)
    assert not touched.exists()


def test_an_interrupted_crop_leaves_an_older_store_as_it_was(stores, rendered, tmp_path, monkeypatch):
    older = crop("afew_va", rendered / "afew_va", tmp_path, size=40)
    before = {name: (tmp_path / name).read_bytes() for name in DATA_FILES}
    cut, done = clips.cut, []

    def interrupt(*arguments):
        done.append(1)
        if len(done) > 10:
            raise KeyboardInterrupt
        return cut(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(clips, "cut", interrupt)
        make_crops(tmp_path, rendered / "afew_va", tmp_path, size=48, margin=1.25)
    assert {name: (tmp_path / name).read_bytes() for name in DATA_FILES} == before
    np.testing.assert_array_equal(CropStore(tmp_path).crops, older.crops)
    make_crops(tmp_path, rendered / "afew_va", tmp_path, size=48, margin=1.25)
    assert {name: (tmp_path / name).read_bytes() for name in DATA_FILES} == {
        name: (stores / "afew_va" / name).read_bytes() for name in DATA_FILES
    }
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "options",
    [
        {"method": "box"},
        {"size": 200_000},
        {"margin": -1},
        {"workers": 0},
        {"store": "tar"},
    ],
)
def test_a_refused_crop_leaves_an_older_store_and_an_interrupted_one_as_they_were(
    rendered, tmp_path, monkeypatch, options
):
    crop("sewa", rendered / "sewa", tmp_path)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(crops, "_join", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        make_crops(tmp_path, rendered / "sewa", tmp_path, size=40, margin=1.25)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(HocbenchError):
        make_crops(tmp_path, rendered / "sewa", tmp_path, **({"size": 48, "margin": 1.25} | options))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("store", ["raw", "jpeg"])
@pytest.mark.parametrize("moved", range(5))
def test_a_kill_while_a_store_is_replaced_leaves_no_mixture_and_costs_nothing(
    rendered, stores, tmp_path, monkeypatch, store, moved
):
    crop("afew_va", rendered / "afew_va", tmp_path, size=40)
    replace, count = Path.replace, []

    def killed(path, target):
        if path.parent.name == crops.STORE and not path.name.startswith("."):
            if len(count) == moved:
                raise KeyboardInterrupt
            count.append(path.name)
        return replace(path, target)

    options = {"size": 48, "margin": 1.25, "store": store}
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        if moved < len(DATA_FILES):
            with pytest.raises(KeyboardInterrupt):
                make_crops(tmp_path, rendered / "afew_va", tmp_path, **options)
            with pytest.raises(FaceError, match=r"not a complete crop store \(no crops.json\)"):
                CropStore(tmp_path)
            patched.setattr(Path, "replace", replace)
            patched.setattr(crops, "crop_batch", None)  # nothing is cropped again
        make_crops(tmp_path, rendered / "afew_va", tmp_path, **options)
    make_crops(tmp_path, rendered / "afew_va", tmp_path / "fresh", **options)
    for name in DATA_FILES:
        assert (tmp_path / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_new_store_is_not_seen_before_it_is_whole(rendered, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(crops, "sealed", fail)
    with pytest.raises(OSError, match="disk full"):
        crop("afew_va", rendered / "afew_va", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [crops.PARTS, "index.json", "index.parquet"]


def test_the_summary_holds_the_hash_of_the_crops(stores):
    for folder in stores.iterdir():
        summary = json.loads((folder / "crops.json").read_text())
        names = ("frames.parquet", "ledger.csv", "crops.npy")
        assert summary["files"] == {name: file_hash(folder / name) for name in names}
