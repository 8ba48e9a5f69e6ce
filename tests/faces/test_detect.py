import json

import cv2
import numpy as np
import pytest
from skimage import data

from hocbench.faces.align import TEMPLATE, from_box, similarity
from hocbench.faces.clips import FARTHEST_NEIGHBOUR
from hocbench.faces.detect import DETECTORS, detect_face, face_frame
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


def sides_and_levels(detector, found):
    """Sizes and heights of faces in crops by a detector, in those of crops by landmarks; one row per picture."""
    rows = []
    for picture, points in found:
        box = detect_face(picture, detector)
        if box is not None:
            by_landmarks, by_box = from_points(points), from_box(face_frame(box, detector), 1, 1.0)
            scale = np.hypot(*by_box[:, 0]) / np.hypot(*by_landmarks[:, 0])
            middle = cv2.invertAffineTransform(by_landmarks) @ [0.5, 0.5, 1]
            rows.append([scale, *(by_box @ [*middle, 1] - 0.5)])
    return np.array(rows)


def from_points(points):
    return similarity(np.asarray(points, dtype=float), TEMPLATE + 0.5)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detected_face_is_as_large_and_as_high_as_by_landmarks(astronaut, detector):
    (scale, right, down), *_ = sides_and_levels(detector, [(astronaut, [(203, 101), (249, 101), (223, 146)])])
    assert 0.93 < scale < 1.07
    assert abs(right) < 0.03
    assert abs(down) < 0.05
    drawn = render_stills(np.random.default_rng(11), 40, 160)
    found = [
        (
            np.ascontiguousarray(frame[:, :, ::-1]),
            [points[36:42].mean(0), points[42:48].mean(0), points[[48, 54]].mean(0)],
        )
        for frame, points in zip(drawn.frames, drawn.landmarks, strict=True)
    ]
    scale, right, down = np.median(sides_and_levels(detector, found), axis=0)
    assert 0.88 < scale < 1.05
    assert abs(right) < 0.03
    assert abs(down) < 0.06


LENGTH = 40


def far_clip(root, astronaut, blank):
    """A clip of one still face without landmarks but in its first frame, with a picture in some frames only."""
    folder = root / "001"
    folder.mkdir(parents=True)
    eyes, mouth = [[203.0, 101.0]] * 6 + [[249.0, 101.0]] * 6, [[223.0, 146.0]] * 20
    points = [[223.0, 120.0]] * 36 + eyes + mouth
    frames = {}
    for number in range(LENGTH):
        if number not in blank:
            small = cv2.cvtColor(astronaut[:240, 100:340], cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / f"{number:05d}.png"), small)
        moved = [[x - 100, y] for x, y in points]
        frames[f"{number:05d}"] = {"landmarks": moved if number == 0 else [], "valence": 1, "arousal": 2}
    (folder / "001.json").write_text(json.dumps({"actor": "a", "video_id": "001", "frames": frames}))
    return root


@pytest.mark.parametrize(("method", "farther"), [("auto", "detector"), ("landmarks", "none")])
def test_a_framing_is_borrowed_only_from_near_by(astronaut, tmp_path, method, farther):
    store = crop("afew_va", far_clip(tmp_path / "root", astronaut, ()), tmp_path / "out", method=method)
    near = ["landmarks"] + ["neighbour"] * FARTHEST_NEIGHBOUR
    rest = LENGTH - len(near)
    if method == "landmarks":
        # A crop may be repeated as far as a framing, and no farther.
        near += ["neighbour"] * FARTHEST_NEIGHBOUR
        rest -= FARTHEST_NEIGHBOUR
    assert store.frames["face"].tolist() == near + [farther] * rest


def test_a_missing_picture_is_repaired_only_from_near_by(astronaut, tmp_path):
    root = far_clip(tmp_path / "root", astronaut, range(1, LENGTH))
    store = crop("afew_va", root, tmp_path / "out")
    far = LENGTH - 1 - FARTHEST_NEIGHBOUR
    assert store.frames["face"].tolist() == ["landmarks"] + ["neighbour"] * FARTHEST_NEIGHBOUR + ["none"] * far
    ledger = read_ledger(tmp_path / "out")
    assert ledger["action"].tolist() == ["repaired"] * FARTHEST_NEIGHBOUR + ["dropped"] * far


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
