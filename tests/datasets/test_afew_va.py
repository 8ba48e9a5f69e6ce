import json

import cv2
import numpy as np
import pandas as pd
import pytest

from hocbench.datasets.index import read_index
from hocbench.seeds import generator
from hocbench.synthetic.face import sample_identities
from hocbench.synthetic.scenes import render_clip
from tests.datasets.conftest import refusal


@pytest.fixture
def root(copy_of):
    return copy_of("afew_va")


@pytest.fixture
def path(root):
    """The JSON file of a clip without defects."""
    return root / "002" / "002.json"


def edit(path, change):
    clip = json.loads(path.read_text())
    change(clip)
    path.write_text(json.dumps(clip))


def test_each_picture_of_each_clip_has_a_row(indices, rendered):
    frames = indices["afew_va"].frames
    pictures = sorted(path.relative_to(rendered["afew_va"]).as_posix() for path in rendered["afew_va"].glob("*/*.png"))
    assert frames["source"].to_list() == pictures
    assert indices["afew_va"].notes == {
        "clips": 6,
        "archives": 0,
        "label_scale": 10,
        "picture_numbering": "as the frames, as 6 of 6 say",
    }
    assert frames["clip"].unique().tolist() == ["001", "002", "003", "004", "005", "006"]


def test_the_actor_is_the_subject(indices):
    actors = indices["afew_va"].frames.groupby("clip")["subject"].unique().map(list).to_list()
    assert actors == [[f"synthetic actor {number:03d}"] for number in (0, 1, 2, 3, 0, 1)]


@pytest.mark.parametrize("clip", range(1, 7))
def test_labels_landmarks_and_pictures_are_what_was_rendered(indices, rendered, clip):
    rng = generator(3, dataset="afew_va", clip=clip)
    person = sample_identities(generator(3, dataset="afew_va", actor=(clip - 1) % 4), 1)
    truth = render_clip(rng, person, int(rng.integers(5, 10)), 64, 64, fps=25)
    frames = indices["afew_va"].frames.query("clip == @name", local_dict={"name": f"{clip:03d}"})
    assert frames["frame"].to_list() == list(range(len(truth.frames)))
    np.testing.assert_allclose(frames["valence"], truth.valence.round(1), atol=1e-9)
    np.testing.assert_allclose(frames["arousal"], truth.arousal.round(1), atol=1e-9)
    for row in frames.itertuples():
        picture = cv2.imread(str(rendered["afew_va"] / row.source))
        assert picture is None or np.array_equal(picture, truth.frames[row.frame])
        if row.status == "ok":
            np.testing.assert_allclose(row.landmarks.reshape(68, 2), truth.landmarks[row.frame], atol=0.006)


@pytest.mark.parametrize(("integer", "expected"), [(10, 1.0), (-10, -1.0), (3, 0.3), (0, 0.0)])
def test_labels_are_divided_by_ten(root, path, integer, expected):
    edit(path, lambda clip: clip["frames"]["00001"].update(valence=integer, arousal=-integer))
    frame = read_index("afew_va", root).frames.query("clip == '002' and frame == 1").iloc[0]
    assert (frame["valence"], frame["arousal"]) == (expected, -expected)


def test_a_frame_without_label_is_kept_as_missing(root, path):
    edit(path, lambda clip: clip["frames"]["00001"].pop("arousal"))
    edit(path, lambda clip: clip["frames"]["00003"].update(valence=None))
    frames = read_index("afew_va", root).frames.query("clip == '002'")
    assert frames["status"].to_list()[:5] == ["ok", "label_missing", "ok", "label_missing", "ok"]


def test_a_frame_without_picture_is_kept_as_missing(root, path, indices):
    (path.parent / "00002.png").unlink()
    frames = read_index("afew_va", root).frames
    assert len(frames) == len(indices["afew_va"].frames)
    assert frames.query("status == 'frame_missing'")[["clip", "frame"]].to_numpy().tolist() == [["002", 2]]


@pytest.mark.parametrize(
    "points", [[], None, [[1, 2]] * 67, "garbage", [["a", "b"]] * 68, [[1, 2], [3]], {"x": 1}, [[None, 1]] * 68]
)
def test_landmarks_that_are_not_68_points_count_as_failed(root, path, points):
    edit(path, lambda clip: clip["frames"]["00001"].update(landmarks=points))
    frames = read_index("afew_va", root).frames.query("clip == '002'")
    assert frames["status"].to_list()[:3] == ["ok", "landmarks_failed", "ok"]
    assert frames["landmarks"].map(len).to_list()[:3] == [136, 0, 136]


def test_folders_that_are_no_clips_are_left_alone(root, indices):
    (root / "notes").mkdir()
    pd.testing.assert_frame_equal(read_index("afew_va", root).frames, indices["afew_va"].frames)


def test_a_missing_json_file_is_named(root, path):
    path.unlink()
    text = refusal("afew_va", root)
    assert text == f"afew_va: {path} is missing; each clip folder holds its frames and one JSON file"


@pytest.mark.parametrize("content", [b"", b"{", b'{"actor": "\xff"}', b"\x89PNG\r\n"])
def test_a_file_that_is_not_json_is_named(root, path, content):
    path.write_bytes(content)
    text = refusal("afew_va", root)
    assert text.startswith(f"afew_va: {path} is not JSON (")
    assert text.endswith("); copy it again")


@pytest.mark.parametrize("content", ["[]", "7", '"clip"', "null", '{"frames": {}}', '{"actor": "A"}'])
def test_json_without_actor_and_frames_is_refused(root, path, content):
    path.write_text(content)
    assert refusal("afew_va", root) == f"afew_va: {path} has no keys actor and frames; use the file as released"


@pytest.mark.parametrize("frames", [[], [{"valence": 1}], None, "00000", {}])
def test_frames_that_are_no_table_are_refused(root, path, frames):
    edit(path, lambda clip: clip.update(frames=frames))
    text = refusal("afew_va", root)
    assert text == f"afew_va: {path}: frames is not a table of frames by number; use the file as released"


@pytest.mark.parametrize(("name", "frame"), [("first", {}), ("-1", {}), ("²", {}), ("00001", []), ("00001", None)])
def test_a_frame_without_number_or_labels_is_named(root, path, name, frame):
    edit(path, lambda clip: clip["frames"].update({name: frame}))
    text = refusal("afew_va", root)
    assert text == f"afew_va: {path}, frame {name!r}: not a frame number with labels; use the file as released"


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (11, "arousal 11 is outside [-10, 10], the scale of the other files; check the scale of the file"),
        (-10.5, "arousal -10.5 is outside [-10, 10], the scale of the other files; check the scale of the file"),
        (float("nan"), "arousal nan is no label; check the file"),
        ("high", "arousal 'high' is not a number; check the file"),
        ("3", "arousal '3' is not a number; check the file"),
        (True, "arousal True is not a number; check the file"),
        ([1], "arousal [1] is not a number; check the file"),
    ],
)
def test_a_bad_label_is_named_by_its_frame(root, path, value, fault):
    edit(path, lambda clip: clip["frames"]["00001"].update(arousal=value))
    assert refusal("afew_va", root) == f"afew_va: {path}, frame 00001: {fault}"


def test_a_frame_listed_under_two_names_is_refused(root, path):
    edit(path, lambda clip: clip["frames"].update({"1": clip["frames"]["00001"]}))
    assert refusal("afew_va", root) == f"afew_va: {path}: '00001' and '1' are one frame; remove the wrong one"
