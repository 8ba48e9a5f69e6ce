import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from tests.datasets.conftest import refusal
from tests.datasets.layouts import to_affectnet_2021


@pytest.fixture
def root(rendered, tmp_path):
    return to_affectnet_2021(rendered["affectnet"], tmp_path / "affectnet")


def annotation(root, number, value, folder="train_set"):
    return root / folder / "annotations" / f"{number}_{value}.npy"


def row(root, clip):
    frames = read_index("affectnet", root).frames
    return frames[frames["clip"] == clip].iloc[0]


def test_it_reads_the_same_labels_landmarks_and_splits_as_the_original_layout(root, indices):
    index = read_index("affectnet", root)
    frames, original = index.frames, indices["affectnet"].frames
    # Numbers are sorted as text there; the original position is the number.
    order = frames["clip"].str.rsplit("/", n=1).str[1].astype(int)
    frames = frames.assign(place=order).sort_values(["split", "place"], ignore_index=True)
    for column in ("split", "status", "valence", "arousal"):
        pd.testing.assert_series_equal(frames[column], original[column], check_exact=False)
    assert all(np.array_equal(a, b) for a, b in zip(frames["landmarks"], original["landmarks"], strict=True))
    assert index.notes["layout"] == "2021, one file per value"
    assert sum(index.notes["expressions"]["training"].values()) == 30
    assert all((root / source).is_file() for source in frames["source"])
    assert index.label == "real"


def test_labels_may_be_numbers_or_text(root):
    np.save(annotation(root, 3, "val"), np.array(0.25))
    np.save(annotation(root, 3, "aro"), np.array("-0.5"))
    found = row(root, "train_set/3")
    assert (found["valence"], found["arousal"]) == (0.25, -0.5)


@pytest.mark.parametrize(("value", "status"), [("val", "label_missing"), ("lnd", "landmarks_failed"), ("exp", "ok")])
def test_a_missing_annotation_is_the_status_of_its_image(root, value, status):
    annotation(root, 3, value).unlink()
    assert row(root, "train_set/3")["status"] == status


def test_an_image_that_is_missing_and_one_without_annotations_keep_their_rows(root):
    (root / "train_set" / "images" / "3.jpg").unlink()
    (root / "train_set" / "images" / "777.jpg").write_bytes(b"x")
    assert row(root, "train_set/3")["status"] == "frame_missing"
    assert row(root, "train_set/777")["status"] == "label_missing"


def test_minus_two_is_uncertain(root):
    np.save(annotation(root, 3, "val"), np.array("-2"))
    found = row(root, "train_set/3")
    assert found["status"] == "uncertain_label"
    assert np.isnan(found["valence"])
    assert np.isnan(found["arousal"])


@pytest.mark.parametrize("part", ["images", "annotations"])
def test_a_missing_folder_is_named(root, part):
    (root / "val_set" / part).rename(root / "val_set" / "other")
    text = refusal("affectnet", root)
    assert text.startswith(f"affectnet: {root / 'val_set' / part} is missing; expected layout: {{train_set,val_set}}")


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array("high"), "holds array('high', dtype='<U4'), not one number; use the file as released"),
        (np.array([0.1, 0.2]), "not one number; use the file as released"),
        (
            np.array(1.5),
            "[-1, 1], the scale of the other files, and not -2 (uncertain); check the scale of the file",
        ),
        (np.array(np.nan), ": valence nan is not a label; check the file"),
        (np.array([]), "holds no value; use the file as released"),
    ],
)
def test_a_bad_label_is_named_by_its_file(root, array, text):
    np.save(annotation(root, 3, "val"), array)
    found = refusal("affectnet", root)
    assert found.startswith(f"affectnet: {annotation(root, 3, 'val').with_name('3_')}")
    assert found.endswith(text)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY"])
def test_a_file_that_is_no_array_is_named(root, content):
    annotation(root, 3, "val").write_bytes(content)
    text = refusal("affectnet", root)
    assert text.startswith(f"affectnet: {annotation(root, 3, 'val')} cannot be read as an array (")


def test_all_bad_files_are_named_at_once(root):
    for number in (2, 5):
        annotation(root, number, "val").write_bytes(b"")
    first, *lines = refusal("affectnet", root).splitlines()
    assert first == "affectnet: 2 parts cannot be read:"
    assert [line.split(" cannot be read")[0] for line in lines] == [
        f"  affectnet: {annotation(root, number, 'val')}" for number in (2, 5)
    ]


def test_a_pickled_array_is_refused_and_not_executed(root, tmp_path):
    touched = tmp_path / "touched"

    class Bomb:
        def __reduce__(self):
            return touched.touch, ()

    np.save(annotation(root, 3, "val"), np.array(Bomb(), dtype=object), allow_pickle=True)
    assert "cannot be read as an array (Object arrays cannot be loaded" in refusal("affectnet", root)
    assert not touched.exists()
