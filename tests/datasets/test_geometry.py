"""Landmarks and boxes of other pictures than those that lie beside them."""

import av
import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hocbench.datasets.check import check_dataset, describe_inventory
from hocbench.datasets.geometry import inspect_geometry
from hocbench.datasets.index import read_index
from hocbench.synthetic.writers import _write_video
from tests.datasets.conftest import refusal
from tests.datasets.layouts import LISTS, edit_json, pack_afew_va


def resize(root, x, y=None, pattern="**/*.[jp][pn]g"):
    """Resize pictures and videos, and leave the annotations as they are."""
    for path in root.glob(pattern):
        picture = cv2.imread(str(path))
        if picture is not None:
            cv2.imwrite(str(path), cv2.resize(picture, None, fx=x, fy=y or x))
    for path in root.glob("*/*.avi"):
        with av.open(str(path)) as container:
            pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        size = [round(pictures[0].shape[1] * x / 2) * 2, round(pictures[0].shape[0] * (y or x) / 2) * 2]
        _write_video(path, [cv2.resize(picture, size) for picture in pictures], 25)


@pytest.mark.parametrize("name", ["affectnet", "sewa", "afew_va"])
@pytest.mark.parametrize(("x", "y", "factor"), [(0.5, None, 0.5), (2, None, 2), (0.7, None, 0.7), (0.5, 0.9, None)])
def test_pictures_of_another_size_than_their_landmarks_are_refused(copy_of, name, x, y, factor):
    root = copy_of(name)
    resize(root, x, y)
    text = refusal(name, root)
    assert f"{name}: {root}: the landmarks" in text
    assert "do not fit the pictures" in text
    assert ("outside" if x < 0.7 else "corner" if x > 1 else "do not fit") in text
    guess = text.partition("seem to be about ")[2].partition(" times as large as those that the landmarks are of")[0]
    if factor:
        assert float(guess) == pytest.approx(factor, rel=0.1)
    else:
        assert [float(each) for each in guess.split(" × ")] == pytest.approx([x, y], rel=0.15)


def test_one_resized_split_is_named(copy_of):
    root = copy_of("affectnet")
    resize(root, 0.5, pattern="**/2*/*.jpg")
    text = refusal("affectnet", root)
    assert "the landmarks of validation do not fit" in text
    assert "the boxes of validation do not fit the pictures: " in text
    assert "of training" not in text


def test_pictures_in_archives_are_measured(copy_of):
    root = copy_of("afew_va")
    resize(root, 0.5)
    pack_afew_va(root, 2)
    assert "pictures have a fifth or more of their points outside, first 01.zip/001/" in refusal("afew_va", root)


def points(change):
    """Change the landmarks of all film clips; they come as an array of x and y."""

    def damage(root):
        for path in root.glob("*/*.json"):
            edit_json(
                path,
                lambda clip: [
                    frame.update(landmarks=change(np.array(frame["landmarks"])).tolist())
                    for frame in clip["frames"].values()
                    if frame["landmarks"]
                ],
            )

    return damage


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda xy: xy / 64, "as if in units of the picture, and pixels are expected"),
        (lambda xy: xy / 32 - 1, "as if in units of the picture, and pixels are expected"),
        (lambda xy: xy[:, ::-1], "as if y came before x"),
        (lambda xy: np.stack([xy[:, 0], 64 - xy[:, 1]], 1), "as if y were counted from below"),
        (lambda xy: np.stack([64 - xy[:, 0], xy[:, 1]], 1), "as if the pictures were mirrored"),
        (lambda xy: xy + np.array([0, 40]), "have a fifth or more of their points outside"),
    ],
)
def test_landmarks_in_other_coordinates_are_refused(copy_of, change, says):
    root = copy_of("afew_va")
    points(change)(root)
    assert says in refusal("afew_va", root)


@pytest.mark.parametrize("alike", [True, False])
def test_points_that_are_no_face_do_not_tell_how_pictures_are_turned(copy_of, alike):
    root, rng = copy_of("afew_va"), np.random.default_rng(0)
    same = rng.uniform(10, 54, (68, 2))
    same[36:42, 0], same[42:48, 0] = 50, 14  # left and right exchanged, in every picture, but once only
    points(lambda xy: same if alike else rng.uniform(10, 54, (68, 2)))(root)
    assert len(read_index("afew_va", root).frames)


def boxes(root, change):
    for split in ("training", "validation"):
        path = root / LISTS / f"{split}.csv"
        table = pd.read_csv(path)
        x, y, width, height = (table[f"face_{each}"] for each in ("x", "y", "width", "height"))
        table["face_x"], table["face_y"], table["face_width"], table["face_height"] = change(x, y, width, height)
        table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y, w, h: (3 * x, 3 * y, 3 * w, 3 * h), "lie partly or wholly outside"),
        (lambda x, y, w, h: (x, y, x + w, y + h), "lie partly or wholly outside"),
        (lambda x, y, w, h: (x / 5, y / 5, w / 5, h / 5), "boxes and landmarks of training do not fit each other"),
    ],
)
def test_boxes_in_other_coordinates_are_refused(copy_of, change, says):
    root = copy_of("affectnet")
    boxes(root, change)
    assert says in refusal("affectnet", root)


def test_a_face_at_the_border_is_fine_and_one_outside_is_named_by_the_check(copy_of):
    root = copy_of("afew_va")
    path = root / "003" / "003.json"

    def move(clip):
        frames = list(clip["frames"].values())
        frames[0]["landmarks"] = [[x - 25, y] for x, y in frames[0]["landmarks"]]
        frames[1]["landmarks"] = [[x - 90, y] for x, y in frames[1]["landmarks"]]

    edit_json(path, move)
    index = read_index("afew_va", root)
    inventory = check_dataset("afew_va", root, index)
    assert inventory["problems"] == []
    assert inventory["landmarks_outside"] == ["003/00001.png"]
    assert "with most points, or the box, outside the picture: 1\n    003/00001.png\n" in describe_inventory(inventory)


def test_the_check_looks_at_every_picture(copy_of, monkeypatch):
    """Where the index looks at two of six clips, and four others are of another size."""
    root = copy_of("afew_va")
    resize(root, 0.5, pattern="00[2345]/*.png")
    monkeypatch.setattr("hocbench.datasets.geometry.SAMPLE", 2)
    index = read_index("afew_va", root)
    inventory = check_dataset("afew_va", root, index)
    assert not inventory["usable"]
    assert "have a fifth or more of their points outside, first 002/00000.png" in inventory["problems"][0]


def test_pictures_that_exif_turns_are_measured_upright(copy_of):
    root = copy_of("afew_va")
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in root.glob("*/*.png"):
        picture = cv2.imread(str(path))
        if picture is not None:
            high = cv2.copyMakeBorder(picture, 0, 60, 0, 0, cv2.BORDER_REPLICATE)
            Image.fromarray(high[..., ::-1]).rotate(90, expand=True).save(path, "JPEG", exif=exif)
    geometry = inspect_geometry(read_index("afew_va", root).frames, root, everything=True)
    assert geometry.outside == []


def test_a_slight_change_of_size_is_remarked(copy_of):
    root = copy_of("affectnet")
    resize(root, 0.83)
    index = read_index("affectnet", root)
    assert "of training are at 5" in index.notes["landmark_remarks"]
    assert "times as large without their landmarks?" in describe_inventory(check_dataset("affectnet", root, index))


def test_many_stills_are_measured_in_parts_alike(indices, rendered, monkeypatch):
    whole = inspect_geometry(indices["affectnet"].frames, rendered["affectnet"], everything=True)
    monkeypatch.setattr("hocbench.datasets.geometry.CHUNK", 7)
    assert inspect_geometry(indices["affectnet"].frames, rendered["affectnet"], everything=True) == whole


def test_rendered_data_fit_their_pictures(indices, rendered):
    for name, index in indices.items():
        geometry = inspect_geometry(index.frames, rendered[name], everything=True)
        assert (geometry.faults, geometry.outside, geometry.remarks) == ([], [], []), name
