import json

import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.faces import align
from hocbench.faces.store import CropStore
from hocbench.paths import DATA_FILES
from tests.faces.conftest import SETTINGS, crop, read_ledger


def defects(root):
    return json.loads((root / "SYNTHETIC.json").read_text())["defects"]


def ledger_rows(out):
    return sorted(map(tuple, read_ledger(out).values.tolist()))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_store_has_a_row_and_a_crop_for_each_frame_of_the_index(stores, name):
    found = CropStore(stores / name)
    index = pd.read_parquet(stores / name / "index.parquet")
    keys = ["dataset", "subject", "session", "clip", "frame", "valence", "arousal", "split"]
    pd.testing.assert_frame_equal(found.frames[keys], index[keys])
    assert found.crops.shape == (len(index), 48, 48, 3)
    assert (found.label, found.size, found.crops.dtype) == ("synthetic", 48, np.uint8)
    filled = found.crops.reshape(len(index), -1).any(axis=1)
    np.testing.assert_array_equal(filled, found.frames["face"] != "none")
    labelled = found.frames[["valence", "arousal"]].notna().all(axis=1)
    np.testing.assert_array_equal(found.frames["usable"], filled & labelled)
    summary = json.loads((stores / name / "crops.json").read_text())
    assert summary["usable"] == found.frames["usable"].sum()
    ledger = read_ledger(stores / name)
    assert [summary[action] for action in ("dropped", "repaired")] == [
        (ledger["action"] == action).sum() for action in ("dropped", "repaired")
    ]


def test_the_crops_cannot_be_changed(stores):
    with pytest.raises(ValueError, match="read-only"):
        CropStore(stores / "sewa").crops[0, 0, 0, 0] = 1


def test_the_ledger_of_stills_lists_each_deliberate_defect_and_no_more(rendered, stores):
    lists = rendered / "affectnet" / "Manually_Annotated" / "Manually_Annotated_file_lists"
    table = pd.concat([pd.read_csv(lists / f"{split}.csv") for split in ("training", "validation")])
    table["clip"] = table["subDirectory_filePath"].str.removesuffix(".jpg")
    (broken,) = (d["file"].removesuffix(".jpg") for d in defects(rendered / "affectnet") if "file" in d)
    expected = [(broken, 0, "crop", "image_unreadable", "dropped", "face from none; cut short")]
    expected += [
        (clip, 0, "index", "uncertain_label", "dropped", "face from landmarks")
        for clip in table.loc[table["valence"] == -2, "clip"]
    ]
    expected += [
        (clip, 0, "index", "landmarks_failed", "repaired", "face from box")
        for clip in table.loc[table["facial_landmarks"].isna(), "clip"]
    ]
    assert len(expected) == 5
    assert ledger_rows(stores / "affectnet") == sorted(expected)


def test_the_ledger_of_videos_lists_each_frame_that_was_not_tracked(rendered, stores):
    lost = [(d["segment"], frame) for d in defects(rendered / "sewa") for frame in d["frames"]]
    assert lost
    assert ledger_rows(stores / "sewa") == sorted(
        (segment, frame, "index", "landmarks_failed", "repaired", "face from neighbour") for segment, frame in lost
    )


def test_the_ledger_of_frames_on_disk_lists_the_broken_image_and_the_missing_landmarks(rendered, stores):
    broken, lost = sorted(defects(rendered / "afew_va"), key=lambda defect: "frames" in defect)
    assert ledger_rows(stores / "afew_va") == sorted(
        [
            (broken["file"][:3], 1, "crop", "image_unreadable", "repaired", "face from neighbour; cut short"),
            (lost["file"][:3], 2, "index", "landmarks_failed", "repaired", "face from neighbour"),
        ]
    )


def test_a_frame_without_landmarks_is_cut_like_the_nearest_one_that_has_them(rendered, stores):
    root = rendered / "afew_va"
    clip = next(defect["file"][:3] for defect in defects(root) if "frames" in defect)
    found = CropStore(stores / "afew_va")
    place = int(found.frames.query(f"clip == '{clip}' and frame == 2").index[0])
    landmarks = json.loads((root / clip / f"{clip}.json").read_text())["frames"]["00001"]["landmarks"]
    matrix = align.from_landmarks(np.array(landmarks, np.float32).ravel(), 48, 1.25)
    picture = cv2.cvtColor(cv2.imread(str(root / clip / "00002.png")), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(found.crops[place], align.cut(picture, matrix, 48))
    assert (found.crops[place] != found.crops[place - 1]).any()


def test_a_frame_without_a_picture_repeats_its_neighbour(rendered, stores):
    clip = next(defect["file"][:3] for defect in defects(rendered / "afew_va") if "frames" not in defect)
    found = CropStore(stores / "afew_va")
    place = int(found.frames.query(f"clip == '{clip}' and frame == 1").index[0])
    assert found.frames.loc[place, ["status", "face", "usable"]].tolist() == ["image_unreadable", "neighbour", True]
    np.testing.assert_array_equal(found.crops[place], found.crops[place - 1])


@pytest.mark.parametrize("name", SETTINGS)
def test_two_runs_write_the_same_bytes(rendered, stores, tmp_path, name):
    crop(name, rendered / name, tmp_path)
    for file in DATA_FILES:
        assert (tmp_path / file).read_bytes() == (stores / name / file).read_bytes(), file


@pytest.mark.parametrize("name", SETTINGS)
def test_eyes_and_mouth_lie_at_the_same_place_in_all_crops(stores, name):
    found = CropStore(stores / name)
    mean = found.crops[(found.frames["face"] == "landmarks").to_numpy()].mean(axis=0)
    grey, redness = mean.mean(axis=2), mean[:, :, 0] - mean[:, :, 1]
    (left, top), (right, _), (middle, mouth) = np.rint(24 + 48 * align.TEMPLATE / 1.25).astype(int)
    eyes = [grey[top - 2 : top + 3, x - 2 : x + 3].mean() for x in (left, right)]
    nose, cheeks = grey[top : top + 4, 22:26].mean(), grey[top + 7 : top + 11, [left, right]].mean()
    assert max(eyes) < min(nose, cheeks) - 10
    # The darkest row at either eye is that of the eye; teeth and an open mouth are the least red in the middle.
    for x in (left, right):
        column = grey[top - 4 : mouth - 4, x - 1 : x + 2].mean(axis=1)
        assert abs(int(column.argmin()) - 4) <= 2
    column = redness[top : mouth + 8, middle - 1 : middle + 2].mean(axis=1)
    assert abs(int(column.argmin()) - (mouth - top)) <= 3


def test_the_box_of_stills_is_used_when_asked_for(rendered, tmp_path):
    found = crop("affectnet", rendered / "affectnet", tmp_path, method="box")
    assert set(found.frames["face"]) == {"box", "none"}
    index = pd.read_parquet(tmp_path / "index.parquet")
    row = index.iloc[30]
    matrix = align.from_box((row.box_x, row.box_y, row.box_width, row.box_height), 48, 1.25)
    picture = cv2.cvtColor(cv2.imread(str(rendered / "affectnet" / row.source)), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(found.crops[30], align.cut(picture, matrix, 48))


def test_landmarks_alone_leave_stills_without_them_out(rendered, tmp_path):
    found = crop("affectnet", rendered / "affectnet", tmp_path, method="landmarks")
    index = pd.read_parquet(tmp_path / "index.parquet")
    without = (index["landmarks"].map(len) == 0).to_numpy()
    assert without.sum() == 2
    assert set(found.frames.loc[without, "status"]) == {"no_face"}
    assert not found.frames.loc[without, "usable"].any()
    listed = read_ledger(tmp_path).query("reason == 'no_face'")
    assert listed["clip"].tolist() == index.loc[without, "clip"].tolist()
    assert set(listed["action"]) == {"dropped"}


def test_a_missing_label_drops_the_frame_and_not_its_crop(copy, tmp_path):
    root = copy("afew_va")
    path = root / "003" / "003.json"
    clip = json.loads(path.read_text())
    clip["frames"]["00000"]["valence"] = None
    path.write_text(json.dumps(clip))
    found = crop("afew_va", root, tmp_path / "out")
    row = found.frames.query("clip == '003' and frame == 0").iloc[0]
    assert row[["status", "face", "usable"]].tolist() == ["label_missing", "landmarks", False]
    assert ("003", 0, "index", "label_missing", "dropped", "face from landmarks") in ledger_rows(tmp_path / "out")


def test_a_missing_image_is_repaired_and_a_clip_without_images_dropped(copy, tmp_path):
    root = copy("afew_va")
    (root / "003" / "00000.png").unlink()
    for path in (root / "004").glob("*.png"):
        path.unlink()
    found = crop("afew_va", root, tmp_path / "out")
    first, second = (found.frames.query("clip == '003'").index[i] for i in (0, 1))
    assert found.frames.loc[first, ["status", "face"]].tolist() == ["frame_missing", "neighbour"]
    np.testing.assert_array_equal(found.crops[first], found.crops[second])
    gone = read_ledger(tmp_path / "out").query("clip == '004'")
    assert len(gone) == len(found.frames.query("clip == '004'")) >= 5
    assert gone[["step", "reason", "action"]].drop_duplicates().values.tolist() == [
        ["index", "frame_missing", "dropped"]
    ]
