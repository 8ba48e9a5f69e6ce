"""What a copy holds beside and instead of the release: named and counted, and never taken without a word."""

import json
import os
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.check import check_dataset, describe_inventory
from hocbench.datasets.index import read_index
from hocbench.datasets.litter import OURS, litter_kind
from hocbench.datasets.names import canonical, near_names, without_copy_mark
from hocbench.datasets.persons import unite_spellings
from tests.datasets.conftest import refusal
from tests.datasets.layouts import IMAGES, LISTS, edit_json, pack, pack_afew_va, to_affectnet_2021


@pytest.fixture
def root_of(copy_of, rendered, tmp_path):
    def make(layout):
        if layout == "affectnet_2021":
            return to_affectnet_2021(rendered["affectnet"], tmp_path / layout)
        return copy_of(layout)

    return make


def segment_of(root, number="001"):
    return next(root.glob(f"*_P{number}_*"))


def changed(path, target):
    """Copy a file with another byte at its end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes() + b" ")


def copied(path, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


# -- two files for one thing: layout, the file, a second one for the same thing ---------------------------------------
PAIRS = {
    "a picture and its copy": ("afew_va", "003/00001.png", "003/00001 (1).png"),
    "a picture in two formats": ("afew_va", "003/00001.png", "003/1.jpg"),
    "names that differ in case": ("afew_va", "003/00001.png", "003/00001.PNG"),
    "two descriptions": ("afew_va", "003/003.json", "003/003 - Copy.json"),
    "two lists": ("affectnet", f"{LISTS}/training.csv", f"{LISTS}/Training (2).csv"),
    "two pictures of an image": ("affectnet_2021", "train_set/images/3.jpg", "train_set/images/3.jpeg"),
    "padded numbers": ("affectnet_2021", "train_set/images/3.jpg", "train_set/images/0003.jpg"),
    "a value twice": ("affectnet_2021", "val_set/annotations/3_exp.npy", "val_set/annotations/3_EXP copy.npy"),
    "a set twice": ("affectnet_2021", "val_set/annotations/3_val.npy", "old/Val_Set/annotations/3_val.npy"),
    "two videos": ("sewa", "{0}/{0}.avi", "{0} (1)/{0}.AVI"),
    "two annotations": ("sewa", "{0}/{0}_Valence_AV_Aligned.csv", "moved/{0}/{0}_valence_av_aligned copy.csv"),
    "two landmark files": ("sewa", "{0}/{0}-Landmarks/000003.txt", "{0}/{0}-landmarks (1)/000003.txt"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_two_files_for_one_thing_are_refused_with_both_names_unless_they_are_the_same(root_of, pair):
    layout, *names = PAIRS[pair]
    root = root_of(layout)
    name = layout.removesuffix("_2021")
    segment = segment_of(root).name if layout == "sewa" else ""
    first, second = (root / each.format(segment) for each in names)
    expected = read_index(name, root).frames.drop(columns="source")
    changed(first, second)
    message = refusal(name, root)
    assert " is there twice, and the two differ: " in message
    assert str(first) in message
    assert str(second) in message
    assert "copy" not in message.rpartition(";")[2]
    copied(first, second)
    index = read_index(name, root)
    pd.testing.assert_frame_equal(index.frames.drop(columns="source"), expected)
    (note,) = index.notes["held_twice"]
    assert {str(root / each) for each in note.split(" = ")} == {str(first), str(second)}


@pytest.mark.parametrize("where", ["02/{}", "{} (1)", "{} - Kopie", "{} copy 2", "old/{}"])
def test_a_clip_in_two_folders_is_refused_unless_they_hold_the_same(root_of, where):
    root = root_of("afew_va")
    second = root / where.format("003")
    shutil.copytree(root / "003", second)
    index = read_index("afew_va", root)
    assert index.notes["held_twice"] == [f"{where.format('003')} = 003"]
    assert index.frames["source"].str.startswith("003/").sum() == (index.frames["clip"] == "003").sum()
    edit_json(second / "003.json", lambda clip: clip["frames"]["00001"].update(valence=-9))
    message = refusal("afew_va", root)
    assert f"clip 003 is there twice, and the two differ: {root / '003'} and {second}; remove" in message


def test_clips_of_one_number_in_two_batches_are_not_merged(root_of):
    root = root_of("afew_va")
    for batch, clip in (("01", "001"), ("02", "002")):
        (root / batch).mkdir()
        shutil.move(root / clip, root / batch / "001")
        for path in (root / batch / "001").glob("*.json"):
            path.rename(path.with_name("001.json"))
    assert f"the two differ: {root / '01/001'} and {root / '02/001'}" in refusal("afew_va", root)


def test_an_archive_and_its_unpacked_folder_are_one_as_long_as_they_agree(root_of):
    root = root_of("afew_va")
    files = [path for path in (root / "003").iterdir() if path.suffix != ".txt"]
    shutil.copytree(root / "003", root / "spare")
    pack(root / "01.zip", files, root)
    shutil.rmtree(root / "003")
    shutil.move(root / "spare", root / "003")
    index = read_index("afew_va", root)
    assert index.notes["held_twice"] == ["01.zip/003 = 003"]
    assert index.notes["archives"] == 1
    (root / "003" / "00002.png").unlink()
    assert f"{root / '003'} and {root / '01.zip/003'}" in refusal("afew_va", root)


def test_one_name_twice_in_an_archive_is_refused(root_of):
    root = root_of("afew_va")
    pack_afew_va(root, 1)
    with zipfile.ZipFile(root / "01.zip", "a") as archive:
        archive.writestr("003\\00001.png", b"another picture")
    assert refusal("afew_va", root) == (
        f"afew_va: {root / '01.zip'} holds two files for 003/00001.png, named '003/00001.png' and "
        "'003\\\\00001.png', and they differ; take one of them out of the archive"
    )


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"00001": {', '"00001": {"valence": 1, "arousal": 1}, "00001": {', "00001"),
        ('"actor": ', '"actor": "Somebody else", "actor": ', "actor"),
        ('"valence": ', '"valence": 9, "valence": ', "valence"),
    ],
)
def test_a_key_that_comes_twice_in_the_text_is_named(root_of, old, new, key):
    path = root_of("afew_va") / "003" / "003.json"
    path.write_text(path.read_text().replace(old, new, 1))
    assert f"{path}: the key {key!r} comes twice in one table; remove the wrong one" in refusal(
        "afew_va", path.parents[1]
    )


@pytest.mark.parametrize("actor", [None, "", "  ", 7, ["A"]])
def test_a_clip_whose_actor_has_no_name_is_refused(root_of, actor):
    root = root_of("afew_va")
    edit_json(root / "003" / "003.json", lambda clip: clip.update(actor=actor))
    assert f"actor is {actor!r}, not a name; enter it, or exclude the clip" in refusal("afew_va", root)


def test_a_row_in_both_lists_is_refused_with_both(root_of):
    root = root_of("affectnet")
    for split, row in (("training", 4), ("validation", 2)):
        path = root / LISTS / f"{split}.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[row, "subDirectory_filePath"] = f"1000/{'Same' if row == 4 else 'SAME'}.jpg"
        table.to_csv(path, index=False)
    assert refusal("affectnet", root) == (
        f"affectnet: {root / LISTS / 'training.csv'}, row 5, and {root / LISTS / 'validation.csv'}, row 3: "
        "'1000/Same' and '1000/SAME' are one picture; remove one of the rows"
    )


def test_pictures_whose_names_differ_in_case_are_two_if_both_are_there(root_of):
    root = root_of("affectnet")
    path = root / LISTS / "training.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    first, last = table["subDirectory_filePath"].iloc[[0, -1]]
    shouted = first.replace("training", "TRAINING")
    table.loc[len(table) - 1, "subDirectory_filePath"] = shouted
    table.to_csv(path, index=False)
    (root / IMAGES / last).rename(root / IMAGES / shouted)
    clips = set(read_index("affectnet", root).frames["clip"])
    assert {name.removesuffix(".jpg") for name in (first, shouted)} <= clips


def test_both_releases_in_one_folder_are_refused_with_both(root_of, rendered):
    root = root_of("affectnet")
    to_affectnet_2021(rendered["affectnet"], root)
    message = refusal("affectnet", root)
    assert f"{root} holds two releases, {root / 'train_set'}" in message
    assert str(root / IMAGES.partition("/")[0]) in message


# -- what is not recognised -------------------------------------------------------------------------------------------
def stock(layout, root):
    """Return the notes and the text of the inventory."""
    name = layout.removesuffix("_2021")
    index = read_index(name, root)
    inventory = check_dataset(name, root, index)
    json.dumps(inventory)
    return index.notes, describe_inventory(inventory)


UNKNOWN = {
    "a table": ("afew_va", ["labels.xlsx"], "not_recognised"),
    "crops in a clip": ("afew_va", ["003/crops/00001.png"], "not_recognised"),
    "crops in a numbered folder": ("afew_va", ["003/224/00000.png"], "not_recognised"),
    "crops beside": ("afew_va", ["faces/003/00000.png"], "not_recognised"),
    "a tar archive": ("afew_va", ["02.tar.gz"], "not_recognised"),
    "a picture that the JSON file does not list": ("afew_va", ["003/00099.png"], "pictures_not_in_the_json_file"),
    "a picture that no list names": ("affectnet", [f"{IMAGES}/1000/more.jpg"], "pictures_not_in_the_lists"),
    "the automatic part": ("affectnet", ["Automatically_Annotated/1/x.jpg"], "not_recognised"),
    "another list": ("affectnet", [f"{LISTS}/automatically_annotated.csv"], "not_recognised"),
    "a text among images": ("affectnet_2021", ["train_set/images/list.txt"], "not_recognised"),
    "a folder in a folder": ("affectnet_2021", ["train_set/images/more/1.jpg"], "not_recognised"),
    "another array": ("affectnet_2021", ["val_set/annotations/3_pose.npy"], "not_recognised"),
    "a sound track": ("sewa", ["{0}/{0}.wav"], "not_recognised"),
    "a video of another segment": ("sewa", ["{0}/SAH_C6_S181_P362_VC1_000742_001590.avi"], "not_recognised"),
    "an unknown folder": ("sewa", ["SAH_C6_S181_P362/notes.doc"], "not_recognised"),
}


@pytest.mark.parametrize("unknown", UNKNOWN)
def test_what_is_not_recognised_is_named_and_changes_nothing(root_of, unknown):
    layout, names, note = UNKNOWN[unknown]
    root = root_of(layout)
    segment = segment_of(root).name if layout == "sewa" else ""
    names = [each.format(segment) for each in names]
    before = read_index(layout.removesuffix("_2021"), root)
    assert note not in before.notes
    for each in names:
        (root / each).parent.mkdir(parents=True, exist_ok=True)
        (root / each).write_bytes(b"whatever it is")
    notes, text = stock(layout, root)
    assert notes[note] == names
    assert all(f"    {each}\n" in text for each in names)
    pd.testing.assert_frame_equal(read_index(layout.removesuffix("_2021"), root).frames, before.frames)


def test_annotations_and_pictures_without_each_other_are_named(root_of):
    root = root_of("affectnet_2021")
    (root / "train_set" / "images" / "4.jpg").unlink()
    for path in (root / "train_set" / "annotations").glob("6_*.npy"):
        path.unlink()
    notes, text = stock("affectnet_2021", root)
    assert notes["annotations_without_picture"] == ["train_set/4"]
    assert notes["pictures_without_annotation"] == ["train_set/images/6.jpg"]
    assert "  annotations without picture: 1\n    train_set/4\n" in text


def test_many_unknown_files_are_named_by_their_folder(root_of):
    root = root_of("afew_va")
    for folder, count in (("003/crops", 25), ("old", 3)):
        (root / folder).mkdir()
        for number in range(count):
            (root / folder / f"face{number}.png").write_bytes(b"x")
    (root / "empty").mkdir()
    notes, _ = stock("afew_va", root)
    assert notes["not_recognised"] == ["003/crops/ (25 files)", "empty/", *(f"old/face{i}.png" for i in range(3))]


def test_an_empty_segment_is_a_segment_that_lacks_its_video(root_of):
    root = root_of("sewa")
    (root / "SAH_C6_S181_P362_VC1_000742_001590").mkdir()
    assert "SAH_C6_S181_P362_VC1_000742_001590.avi is missing" in refusal("sewa", root)
    (root / "SAH_C6_S181_P362_VC1_000742_001590" / ".DS_Store").write_bytes(b"")
    assert "SAH_C6_S181_P362_VC1_000742_001590.avi is missing" in refusal("sewa", root)


def test_near_names_are_proposed_for_a_missing_file(root_of):
    root = root_of("sewa")
    folder = segment_of(root)
    (folder / f"{folder.name}.avi").rename(folder / f"{folder.name}.mp4")
    assert refusal("sewa", root).endswith(f"copy the segment again; did you mean {folder.name}.mp4?")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(root_of):
    root = root_of("afew_va")
    (root / "003").chmod(0)
    try:
        assert refusal("afew_va", root).endswith("change its permissions")
    finally:
        (root / "003").chmod(0o755)


def test_a_name_that_is_not_utf_8_is_named(root_of):
    root = root_of("afew_va")
    (root / os.fsdecode(b"tr\xe4ge.png")).write_bytes(b"x")
    assert read_index("afew_va", root).notes["not_recognised"] == ["tr\\udce4ge.png"]


# -- persons ----------------------------------------------------------------------------------------------------------
def subjects(*names):
    clips = [f"{number:03d}" for number in range(len(names))]
    united, notes = unite_spellings(pd.Series(names), pd.Series(clips))
    return united.to_list(), notes


@pytest.mark.parametrize(
    "other", ["ann  lee", " Ann Lee", "ANN LEE", "Ann\u00a0Lee", "Ann_Lee", "Ann-Lee", "Ann Lee.", "\uff21nn Lee"]
)
def test_spellings_of_one_name_are_one_person(other):
    united, notes = subjects("Ann Lee", other, "Ann Lee", "Bo Lee")
    assert united == ["Ann Lee", "Ann Lee", "Ann Lee", "Bo Lee"]
    assert notes == {"persons_in_several_spellings": [f"{other!a} = 'Ann Lee'"]}


def test_unicode_forms_of_one_name_are_one_person(root_of):
    root = root_of("afew_va")
    for number, name in (("001", "Zo\u00eb K."), ("002", "Zoe\u0308 K.")):
        edit_json(root / number / f"{number}.json", lambda clip, name=name: clip.update(actor=name))
    index = read_index("afew_va", root)
    assert index.frames.query("clip in ('001', '002')")["subject"].nunique() == 1
    assert len(index.notes["persons_in_several_spellings"]) == 1


@pytest.mark.parametrize(("one", "other"), [("Zoë K", "Zoe K"), ("Robert De Niro", "Robert DeNiro")])
def test_names_that_may_be_one_person_s_are_a_warning(one, other):
    united, notes = subjects(one, other, "Bo Lee")
    assert united == [one, other, "Bo Lee"]
    assert notes == {"persons_who_may_be_one": [" and ".join(map(repr, sorted((one, other))))]}


def test_numbers_tell_persons_apart_and_clips_are_no_persons():
    assert subjects("actor 1 2", "actor 12", "actor 1", "actor 01")[1] == {}
    same = pd.Series(["train_set/A b", "train_set/a_b"])
    assert unite_spellings(same, same)[1] == {}


# -- names ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        *("__MACOSX/01/._001.json", "a/._b.png", ".DS_Store", "Icon\r", ".Spotlight-V100/Store-V2/x", ".Trashes/501/x"),
        *("Thumbs.db", "a/thumbs.db", "ehthumbs_vista.db", "desktop.ini", "3.jpg:Zone.Identifier", "~$labels.xlsx"),
        *(
            "$RECYCLE.BIN/S-1-5/x.png",
            "System Volume Information/x",
            "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
            ".directory",
        ),
        *(".Trash-1000/files/1.png", "lost+found/#1", "#recycle/1.png", "1.png.part", "01.zip.crdownload", "1.jpg~"),
        *("README.txt", "ReadMe.1st", "Read Me.pdf", "LICENCE", "License agreement.docx", "md5sums.txt", "MD5SUMS"),
        *("sha256sums.txt", "01.zip.md5", "checksums.csv", ".git/config", "__pycache__/x.pyc", ".~lock.a.csv#"),
    ],
)
def test_litter_is_told(path):
    assert litter_kind(path) not in ("", OURS)
    assert litter_kind(f"outer/{path}") == litter_kind(path)


@pytest.mark.parametrize(
    "path",
    [
        *("001/00000.png", "01.zip/001/001.json", "training.csv", "train_set/annotations/3_exp.npy", "thumbs/1.jpg"),
        *("SAH_C6_S181_P362_VC1_000742_001590/metadata.ini", "a/SAH_C6_S181_P362_VC1_000742_001590-Landmarks/1.txt"),
        *("ffd8e0a1b2c3d4e5f60718293a4b5c6d.jpg", "desktop1.jpg", "shah.png", "party.png", "reading.csv"),
    ],
)
def test_data_are_no_litter(path):
    assert litter_kind(path) == ""


@pytest.mark.parametrize(
    "name",
    ["a (1).jpg", "a (12).jpg", "a - Copy.jpg", "a - Copy (2).jpg", "a copy.jpg", "a_copy3.jpg", "Copy of a.jpg"],
)
def test_marks_of_copies_are_taken_off(name):
    assert without_copy_mark(name) == "a.jpg"


def test_names_without_mark_stay():
    for name in ("a.jpg", "001", "photocopy.png", "copy.jpg", "a.b.c", "SAH_C6_S181_P362_VC1_000742_001590-Video.zip"):
        assert without_copy_mark(name) == name


def test_names_are_alike_whatever_case_form_and_separators():
    assert len({canonical(each) for each in ("Éa_b-c", "E\u0301A b c", "éa-b_C")}) == 1
    assert near_names("0003", ["004", "003", "100"])[0] == "003"
    assert near_names("x", ["abc"]) == []


def test_arrays_of_a_moved_set_are_compared_by_content(root_of):
    """A set in two folders of which one lacks a value: each image has one file of each, wherever it lies."""
    root = root_of("affectnet_2021")
    path = root / "val_set" / "annotations" / "3_val.npy"
    expected = read_index("affectnet", root).frames
    (root / "rest" / "val_set" / "annotations").mkdir(parents=True)
    shutil.move(path, root / "rest" / "val_set" / "annotations" / path.name)
    pd.testing.assert_frame_equal(read_index("affectnet", root).frames, expected)
    np.save(path, np.array("0.125"))
    assert "val of val_set/3 is there twice" in refusal("affectnet", root)
