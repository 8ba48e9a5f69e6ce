"""The units of labels: found for a whole copy, stated, and files against it named."""

import json

import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.check import check_dataset
from hocbench.datasets.index import read_index
from hocbench.datasets.scales import LabelFile, check_signs, decide_scale
from hocbench.errors import DatasetError
from tests.datasets.conftest import refusal
from tests.datasets.layouts import LISTS, change_labels, edit_json, to_affectnet_2021

TARGETS = ["valence", "arousal"]


def file(*values, list_of_stills=False, name="f"):
    places = [f"{name}, row {row + 1}" for row in range(len(values))]
    return LabelFile("valence", np.array(values, dtype=np.float64), places.__getitem__, list_of_stills)


CALM, WIDE = file(0.1, -0.2), file(3.5, -7.2)


@pytest.mark.parametrize(
    ("files", "released", "scale"),
    [
        ([CALM] * 4, 1, 1),
        ([WIDE] * 5 + [CALM], 1, 10),
        ([file(35, -72)] * 9 + [WIDE], 1, 100),
        ([file(350.5, -720)] * 4, 1, 1000),
        ([file(np.nan, np.nan)] * 9 + [WIDE] * 2, 1, 10),
        ([file()] * 3, 1, 1),
        # Whole numbers up to 1 cannot tell whether they were divided: others decide.
        ([file(0, 0)] * 9 + [file(-1, 1)] * 9 + [file(4, -3)], 10, 10),
        ([file(0.0, 0.0)] * 9 + [file(-1.0, 1.0)] * 9 + [file(0.4, -0.3)], 10, 1),
        ([file(4.0, -3.0)] * 3, 10, 10),
        ([file(40, -30)] * 3, 10, 100),
        ([file(0, 0)] * 3, 10, 10),
    ],
)
def test_all_files_decide(files, released, scale):
    found, notes = decide_scale("x", files, released)
    assert found == notes["label_scale"] == scale


def test_where_no_file_can_tell_the_scale_of_the_release_is_taken_and_said():
    scale, notes = decide_scale("x", [file(1, 0), file(-1, 0)], 10)
    assert (scale, notes["label_scale_by_convention"]) == (10, "all labels are -1, 0 or 1, read as steps of 1/10")


@pytest.mark.parametrize(
    ("files", "released", "text"),
    [
        ([CALM] * 5 + [WIDE], 1, "x: f, row 1: valence 3.5 is outside [-1, 1], the scale of the other files; "),
        ([file(4, -3)] * 5 + [CALM], 10, "x: f, row 1: valence from -0.2 to 0.1 where other files go to 10; they seem"),
        ([WIDE] * 5 + [CALM] * 3, 1, "x: 3 parts cannot be read:"),
        ([file(0.4, -0.3)] * 5 + [file(4, -3)], 10, "x: f, row 1: valence 4 is outside [-1, 1]"),
        ([file(*[4.5] * 9, list_of_stills=True)] * 2 + [file(*[0.5] * 9, list_of_stills=True)], 1, "other files go to"),
    ],
)
def test_files_on_another_scale_are_named(files, released, text):
    with pytest.raises(DatasetError) as error:
        decide_scale("x", files, released)
    assert text in str(error.value)


def test_a_calm_clip_on_a_wide_scale_is_named_and_read():
    scale, notes = decide_scale("x", [WIDE] * 5 + [CALM])
    assert (scale, notes["labels_small_for_the_scale"]) == (10, {"f, row 1": "valence from -0.2 to 0.1"})


def test_labels_that_hardly_use_their_scale_are_remarked():
    _, notes = decide_scale("x", [file(*np.linspace(-0.09, 0.08, 1000))])
    assert notes["label_range"] == "no label beyond 0.09 of 1; check that they were not divided twice"


# -- whole copies ----------------------------------------------------------------------------------------------------


def affectnet(root, change, only=("training", "validation")):
    for split in only:
        path = root / LISTS / f"{split}.csv"
        table = pd.read_csv(path)
        marked = table["expression"].isin([9, 10])
        table[TARGETS] = change(table[TARGETS], marked.to_numpy()[:, None].repeat(2, axis=1))
        table.to_csv(path, index=False)


def whatever(change):
    """Change labels and marks alike."""
    return lambda values, marked: change(values)


def but_marks(change):
    return lambda values, marked: values.where(marked, change(values))


def afew_va(root, change):
    for path in root.glob("*/*.json"):
        edit_json(
            path, lambda clip: [each.update({t: change(each[t]) for t in TARGETS}) for each in clip["frames"].values()]
        )


def sewa(root, change):
    def of_all(table, _):
        table.iloc[:, 1] = change(table.iloc[:, 1])
        return table

    change_labels(root, of_all)


def to_zero_one(values):
    return (values + 1) / 2


MOVED = {
    "affectnet": lambda root: affectnet(root, but_marks(to_zero_one)),
    "affectnet with its marks": lambda root: affectnet(root, whatever(to_zero_one)),
    "affectnet, one list": lambda root: affectnet(root, but_marks(to_zero_one), ["training"]),
    "sewa": lambda root: sewa(root, to_zero_one),
    "sewa in percent": lambda root: sewa(root, lambda values: 50 * (values + 1)),
    "afew_va": lambda root: afew_va(root, lambda value: (value + 10) / 20),
    "afew_va from 0 to 10": lambda root: afew_va(root, lambda value: (value + 10) / 2),
}


@pytest.mark.parametrize("what", MOVED)
def test_labels_moved_above_zero_are_refused(copy_of, what):
    name = what.replace(",", " ").split()[0]
    root = copy_of(name)
    MOVED[what](root)
    text = refusal(name, root)
    where = "all of training" if name == "affectnet" else "the whole copy"
    assert text.startswith(f"{name}: no label of valence and arousal is negative in {where} (valence from ")
    assert text.endswith("take the annotations as released, or move them back")


@pytest.mark.parametrize(
    ("target", "clips", "stills", "refused"),
    [
        ("valence", 10, False, True),
        ("valence", 9, False, False),
        ("arousal", 29, False, False),
        ("arousal", 30, False, True),
        ("valence", 40, True, True),
        ("arousal", 199, True, False),
    ],
)
def test_one_target_without_a_negative_label_takes_more_clips(target, clips, stills, refused):
    each = 1 if stills else 3
    frames = pd.DataFrame({"clip": np.repeat(np.arange(clips), each).astype(str), "split": ""})
    frames[TARGETS] = np.linspace(-1, 1, clips * each)[:, None].repeat(2, axis=1)
    frames[target] = frames[target].abs() + 0.01
    if refused:
        with pytest.raises(DatasetError, match=f"x: no label of {target} is negative in the whole copy"):
            check_signs("x", frames)
    else:
        check_signs("x", frames)


def test_a_few_clips_without_a_negative_label_are_no_sign(copy_of):
    """Of five clips, half of which have no negative label by chance."""
    root = copy_of("afew_va")
    (root / "006" / "006.json").unlink()
    for path in (root / "006").iterdir():
        path.unlink()
    (root / "006").rmdir()
    afew_va(root, abs)
    assert read_index("afew_va", root).frames["valence"].min() >= 0


def test_constant_zeros_are_no_sign(copy_of):
    root = copy_of("sewa")
    sewa(root, lambda values: 0 * values)
    assert read_index("sewa", root).frames["valence"].eq(0).all()


@pytest.mark.parametrize(
    ("name", "change", "scale"),
    [
        ("affectnet", lambda root: affectnet(root, but_marks(lambda values: 10 * values)), 10),
        ("affectnet", lambda root: affectnet(root, whatever(lambda values: 10 * values)), 10),
        ("affectnet", lambda root: affectnet(root, whatever(lambda values: 1000 * values)), 1000),
        ("sewa", lambda root: sewa(root, lambda values: 100 * values), 100),
        ("afew_va", lambda root: afew_va(root, lambda value: value / 10), 1),
        ("afew_va", lambda root: afew_va(root, float), 10),
        ("afew_va", lambda root: afew_va(root, lambda value: 10 * value), 100),
    ],
)
def test_a_copy_on_another_scale_reads_like_the_release(copy_of, indices, name, change, scale):
    root = copy_of(name)
    change(root)
    index = read_index(name, root)
    assert index.notes["label_scale"] == scale
    columns = ["clip", "frame", "status", *TARGETS]
    pd.testing.assert_frame_equal(index.frames[columns], indices[name].frames[columns])
    assert check_dataset(name, root, index)["layout"]["label_scale"] == scale


def test_one_divided_clip_is_named(copy_of):
    root = copy_of("afew_va")
    path = root / "002" / "002.json"
    clip = json.loads(path.read_text())
    for frame in clip["frames"].values():
        frame["valence"], frame["arousal"] = 0.4, -0.3
    path.write_text(json.dumps(clip))
    first, *lines = refusal("afew_va", root).splitlines()
    assert first == "afew_va: 2 parts cannot be read:"
    assert lines[0] == (
        f"  afew_va: {path}, frame 00000: valence from 0.4 to 0.4 where other files go to 10; "
        "they seem to be divided by 10 already. Bring all files to one scale"
    )


def test_one_list_of_affectnet_on_another_scale_is_named(copy_of):
    root = copy_of("affectnet")
    affectnet(root, but_marks(lambda values: 10 * values), ["training"])
    text = refusal("affectnet", root)
    assert f"{root / LISTS / 'training.csv'}, row " in text
    assert "is outside [-1, 1], the scale of the other files, and not -2 (uncertain)" in text


def test_the_release_of_2021_is_judged_as_a_whole(copy_of, indices, tmp_path):
    source = copy_of("affectnet")
    root = to_affectnet_2021(source, tmp_path / "2021")
    expected = read_index("affectnet", root).frames
    affectnet(source, whatever(lambda values: 10 * values))
    wide = read_index("affectnet", to_affectnet_2021(source, tmp_path / "wide"))
    assert wide.notes["label_scale"] == 10
    pd.testing.assert_frame_equal(wide.frames[["status", *TARGETS]], expected[["status", *TARGETS]])
    affectnet(source, whatever(lambda values: to_zero_one(values / 10)))
    text = refusal("affectnet", to_affectnet_2021(source, tmp_path / "moved"))
    assert "no label of valence and arousal is negative in all of training" in text
