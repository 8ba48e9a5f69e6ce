"""Clips that a user leaves out by name, and how that is said."""

import json
import shutil

import pandas as pd
import pytest

from hocbench.datasets.index import read_index, write_index
from hocbench.errors import DatasetError
from hocbench.faces.crops import make_crops
from tests.datasets.layouts import IMAGES, pack_afew_va, to_affectnet_2021


def left_out(name, root, *exclude):
    index = read_index(name, root, exclude)
    assert index.notes["excluded"] == sorted(exclude)
    return index.frames


def without(frames, *clips):
    return frames[~frames["clip"].isin(clips)].reset_index(drop=True)


def refused(name, root, exclude):
    with pytest.raises(DatasetError) as error:
        read_index(name, root, exclude)
    return str(error.value)


def test_a_film_clip_that_cannot_be_read_is_left_out_by_name(copy_of, indices):
    root = copy_of("afew_va")
    (root / "004" / "004.json").write_text("{")
    pd.testing.assert_frame_equal(left_out("afew_va", root, "004"), without(indices["afew_va"].frames, "004"))


def test_a_segment_is_left_out_though_its_archive_is_damaged(copy_of, indices):
    root = copy_of("sewa")
    folder = next(root.glob("*_P004_*"))
    (folder / f"{folder.name}-Landmarks.zip").write_bytes(b"cut short")
    assert "cannot be read as a zip archive" in refused("sewa", root, [])
    expected = without(indices["sewa"].frames, folder.name)
    pd.testing.assert_frame_equal(left_out("sewa", root, folder.name), expected)


def test_a_stray_archive_is_left_out_by_its_path(copy_of, indices):
    root = copy_of("afew_va")
    (root / "old").mkdir()
    (root / "old" / "backup.zip").write_bytes(b"cut short")
    pd.testing.assert_frame_equal(left_out("afew_va", root, "old/backup.zip"), indices["afew_va"].frames)


def test_the_wrong_one_of_two_places_is_left_out_by_its_path(copy_of, indices):
    root = copy_of("afew_va")
    shutil.copytree(root / "002", root / "02" / "003")
    shutil.move(root / "02" / "003" / "002.json", root / "02" / "003" / "003.json")
    message = refused("afew_va", root, [])
    assert f"{root / '003'} and {root / '02' / '003'}; remove the wrong one, or exclude '02/003'" in message
    pd.testing.assert_frame_equal(left_out("afew_va", root, "02/003"), indices["afew_va"].frames)
    pd.testing.assert_frame_equal(left_out("afew_va", root, "02"), indices["afew_va"].frames)


def test_an_archive_is_left_out_whole(copy_of, indices):
    root = copy_of("afew_va")
    pack_afew_va(root, 2)
    frames = left_out("afew_va", root, "02.zip")
    assert frames["clip"].unique().tolist() == ["001", "003", "005"]


def test_a_bad_row_of_a_list_is_left_out_and_rows_keep_their_numbers(copy_of, indices):
    root = copy_of("affectnet")
    path = next(root.rglob("training.csv"))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[3, "valence"] = "high"
    table.to_csv(path, index=False)
    clip = "1000/training000003"
    pd.testing.assert_frame_equal(left_out("affectnet", root, clip), without(indices["affectnet"].frames, clip))
    table.loc[5, "valence"] = "low"
    table.to_csv(path, index=False)
    assert f"{path}, row 6: valence 'low' is not a number" in refused("affectnet", root, [f"{clip}.jpg"])


def test_an_image_of_2021_is_left_out(rendered, tmp_path):
    root = to_affectnet_2021(rendered["affectnet"], tmp_path / "affectnet")
    whole = read_index("affectnet", root).frames
    (root / "val_set" / "annotations" / "7_aro.npy").write_bytes(b"")
    pd.testing.assert_frame_equal(left_out("affectnet", root, "val_set/7"), without(whole, "val_set/7"))


@pytest.mark.parametrize(
    ("name", "wrong", "near"),
    [("afew_va", "0003", "003"), ("affectnet", "1000/training0000003", "1000/training000003")],
)
def test_a_name_that_no_clip_has_is_refused_with_near_ones(rendered, name, wrong, near):
    message = refused(name, rendered[name], [wrong])
    assert message.startswith(f"{name}: exclude names {wrong!r}, which {rendered[name]} does not hold; did you mean ")
    assert near in message


def test_a_misspelt_segment_is_refused_with_near_ones(rendered):
    name = next(rendered["sewa"].glob("*_P002_*")).name
    assert f"did you mean {name}" in refused("sewa", rendered["sewa"], [name.replace("_P002", "_P02")])


def test_everything_left_out_is_no_dataset(rendered):
    names = [f"{number:03d}" for number in range(1, 7)]
    assert "no frame found below" in refused("afew_va", rendered["afew_va"], names)


def test_ledger_summary_and_check_say_what_was_left_out(hocbench, rendered, tmp_path):
    root, out = rendered["afew_va"], tmp_path / "out"
    code, printed, _ = hocbench("data", "check", "afew_va", root, "--out", out, "--exclude", "002", "--exclude=005")
    assert code == 0
    assert "  left out by name (exclude): 2\n    002\n    005\n" in printed
    assert json.loads((out / "check.json").read_text())["layout"]["excluded"] == ["002", "005"]
    assert hocbench("index", "afew_va", root, out, "--exclude", "002", "--exclude", "005")[0] == 0
    make_crops(out, root, out, size=32, margin=1.25)
    ledger = pd.read_csv(out / "ledger.csv", dtype=str, keep_default_na=False)
    assert ledger.iloc[:2].to_numpy().tolist() == [
        [clip, "", "index", "excluded", "excluded", "left out by name"] for clip in ("002", "005")
    ]
    assert not ledger.iloc[2:]["frame"].str.contains("[^0-9]").any()
    assert json.loads((out / "crops.json").read_text())["excluded"] == ["002", "005"]


def test_a_ledger_of_the_whole_copy_has_no_line_of_clips_left_out(rendered, tmp_path):
    write_index(read_index("afew_va", rendered["afew_va"]), tmp_path)
    make_crops(tmp_path, rendered["afew_va"], tmp_path, size=32, margin=1.25)
    assert "excluded" not in (tmp_path / "ledger.csv").read_text() + (tmp_path / "crops.json").read_text()


def test_excluded_pictures_are_not_taken_for_unlisted_ones(copy_of):
    root = copy_of("affectnet")
    (root / IMAGES / "1000" / "stray.jpg").write_bytes(b"x")
    index = read_index("affectnet", root, ["1000/training000003"])
    assert [source.rsplit("/", 1)[1] for source in index.notes["pictures_not_in_the_lists"]] == ["stray.jpg"]
