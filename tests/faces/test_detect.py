import cv2
import numpy as np
import pytest
from skimage import data

from hocbench.faces.detect import DETECTORS, detect_face
from hocbench.synthetic.scenes import render_stills
from tests.faces.conftest import crop, read_ledger, write_photograph

FACE = (222.0, 118.0)  # middle of the astronaut's face


def middle(box):
    return np.array([box[0] + box[2] / 2, box[1] + box[3] / 2])


def shared_part(box, other):
    """Area of the intersection over that of the union, of boxes as x, y, width, height."""
    low = np.maximum(box[:2], other[:2])
    high = np.minimum(np.add(box[:2], box[2:]), np.add(other[:2], other[2:]))
    inside = np.prod(np.clip(high - low, 0, None))
    return inside / (box[2] * box[3] + other[2] * other[3] - inside)


def as_colour(picture):
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else np.ascontiguousarray(picture)


@pytest.mark.parametrize("detector", DETECTORS)
def test_the_face_of_a_photograph_is_found_by_every_detector(astronaut, detector):
    assert shared_part(detect_face(astronaut, detector), (170, 60, 110, 120)) > 0.7


@pytest.mark.parametrize("degrees", [-28, -15, 15, 28])
def test_a_tilted_face_is_found(astronaut, degrees):
    turn = cv2.getRotationMatrix2D((256, 256), degrees, 1.0)
    box = detect_face(cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE))
    assert np.hypot(*(middle(box) - turn @ np.array([*FACE, 1.0]))) < 15
    assert 80 < box[2] < 150


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("shape", [(96, 96), (200, 200), (120, 200)])
def test_noise_has_no_face(shape, detector):
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
        assert detect_face(noise, detector) is None


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("name", ["rocket", "coffee", "gravel", "hubble_deep_field"])
def test_photographs_of_other_things_have_no_face(name, detector):
    assert detect_face(as_colour(getattr(data, name)()[:400, :500]), detector) is None


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_has_no_face(level, detector):
    assert detect_face(np.full((90, 120, 3), level, np.uint8), detector) is None


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_picture_smaller_than_any_face_is_no_error(detector):
    assert detect_face(np.zeros((12, 9, 3), np.uint8), detector) is None


def test_nearly_all_drawn_faces_are_found_where_they_are():
    pictures = render_stills(np.random.default_rng(11), 60, 96)
    found = 0
    for frame, landmarks in zip(pictures.frames, pictures.landmarks, strict=True):
        box = detect_face(np.ascontiguousarray(frame[:, :, ::-1]))
        if box is not None:
            found += np.hypot(*(middle(box) - landmarks[17:].mean(axis=0))) < 0.3 * box[2]
    assert found >= 54


def test_a_photograph_without_landmarks_is_cropped_around_its_face(astronaut, tmp_path):
    root = write_photograph(tmp_path / "photographs", [astronaut])
    store = crop("afew_va", root, tmp_path / "out", size=160, method="detector")
    assert store.label == "real"
    assert store.frames[["status", "face", "usable"]].values.tolist() == [["landmarks_failed", "detector", True]]
    picture = np.array(store.crops[0])
    box = detect_face(picture)
    assert shared_part(box, (16, 16, 128, 128)) > 0.6
    eyes = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_eye.xml")
    found = eyes.detectMultiScale(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 1.05, 20)
    assert len(found) == 2
    assert all(middle(eye)[1] < 80 for eye in found)
    assert sorted(middle(eye)[0] < 80 for eye in found) == [False, True]


def test_a_photograph_without_a_face_is_dropped_and_listed(astronaut, tmp_path):
    root = write_photograph(tmp_path / "photographs", [astronaut, data.coffee()])
    store = crop("afew_va", root, tmp_path / "out")
    assert store.frames[["clip", "status", "face", "usable"]].values.tolist() == [
        ["001", "landmarks_failed", "detector", True],
        ["002", "no_face", "none", False],
    ]
    assert not store.crops[1].any()
    assert read_ledger(tmp_path / "out").values.tolist() == [
        ["001", 0, "index", "landmarks_failed", "repaired", "face from detector"],
        ["002", 0, "crop", "no_face", "dropped", "face from none"],
    ]


def test_the_detector_is_a_repair_only_where_it_was_not_asked_for(rendered, tmp_path):
    root, out = rendered / "affectnet", tmp_path / "out"
    store = crop("affectnet", root, out, method="detector")
    frames = store.frames
    assert set(frames["face"]) == {"detector", "none"}
    assert (frames["face"] == "detector").mean() > 0.9
    listed = set(read_ledger(out)["clip"])
    assert listed == set(frames.loc[frames["status"] != "ok", "clip"])
    assert len(listed) < len(frames) / 4
