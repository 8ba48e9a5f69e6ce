import numpy as np
import pytest

from hocbench.synthetic.face import sample_identities
from hocbench.synthetic.scenes import render_clip, render_stills

SIZE = 48


def clip(seed, motion_cues=True, length=24):
    rng = np.random.default_rng(seed)
    return render_clip(rng, sample_identities(rng, 1), length, SIZE, SIZE, 25, motion_cues)


@pytest.fixture(scope="module")
def stills():
    return render_stills(np.random.default_rng(11), 300, SIZE)


@pytest.fixture(scope="module")
def clips():
    """Forty clips with and without motion cues, from the same seeds."""
    return {cues: [clip(seed, cues) for seed in range(40)] for cues in (True, False)}


def eye_distance(landmarks):
    return np.linalg.norm(landmarks[:, 36] - landmarks[:, 45], axis=1)


def head_motion(pictures):
    """Return how far the nose tip moves to the side and up between frames, against the outline of the face."""
    points = pictures.landmarks
    nose = points[:, 30] - points[:, [0, 16]].mean(axis=1)
    return np.abs(np.diff(nose, axis=0)).mean(axis=0) / eye_distance(points).mean()


def test_stills_have_a_picture_landmarks_and_labels_each(stills):
    assert (stills.frames.shape, stills.frames.dtype) == ((300, SIZE, SIZE, 3), np.uint8)
    assert stills.landmarks.shape == (300, 68, 2)
    assert stills.frames.std(axis=(1, 2, 3)).min() > 5
    assert len({picture.tobytes() for picture in stills.frames}) == 300


def test_labels_of_stills_fill_the_unit_disc(stills):
    radius = np.hypot(stills.valence, stills.arousal)
    assert radius.max() <= 1
    # Uniform on a disc: the squared radius is uniform, and all quadrants are alike.
    assert abs(np.mean(radius**2) - 0.5) < 0.06
    quadrants = 2 * (stills.valence > 0) + (stills.arousal > 0)
    assert np.bincount(quadrants, minlength=4).min() > 50


def test_landmarks_of_stills_lie_in_the_picture_and_in_order(stills):
    points = stills.landmarks
    assert points.min() >= 0
    assert points.max() < SIZE
    brows, nose, eyes, mouth = np.split(points[:, 17:, 1], [10, 19, 31], axis=1)
    assert (brows.mean(axis=1) < eyes.mean(axis=1)).all()
    assert (eyes.max(axis=1) < mouth.min(axis=1)).all()
    assert (nose.mean(axis=1) < mouth.mean(axis=1)).all()
    assert (points[:, 36, 0] < points[:, 45, 0]).all()


def test_mouth_corners_tell_valence(stills):
    points = stills.landmarks
    raised = points[:, [51, 57], 1].mean(axis=1) - points[:, [48, 54], 1].mean(axis=1)
    # 0.89 to 0.94 over ten seeds.
    assert np.corrcoef(raised / eye_distance(points), stills.valence)[0, 1] > 0.8


def test_eyes_and_brows_tell_arousal(stills):
    points = stills.landmarks
    opening = points[:, [40, 41, 46, 47], 1].mean(axis=1) - points[:, [37, 38, 43, 44], 1].mean(axis=1)
    brows = points[:, [36, 39, 42, 45], 1].mean(axis=1) - points[:, 17:27, 1].mean(axis=1)
    for sign in (opening, brows):
        assert np.corrcoef(sign / eye_distance(points), stills.arousal)[0, 1] > 0.35


def test_pixels_of_the_mouth_tell_valence_beyond_chance(stills):
    """Ridge regression on grey mouths, fitted on one half and tested on the other."""
    mouths = []
    for frame, points in zip(stills.frames, stills.landmarks, strict=True):
        x, y = points[48:].mean(axis=0).round().astype(int)
        patch = frame[max(0, y - 6) : y + 6, max(0, x - 10) : x + 10].mean(axis=2)
        mouths.append(np.resize(patch, (12, 20)).ravel() if patch.shape == (12, 20) else np.full(240, patch.mean()))
    pixels = np.array(mouths)
    pixels = (pixels - pixels.mean(axis=1, keepdims=True)) / (pixels.std(axis=1, keepdims=True) + 1)
    train, test = slice(0, 200), slice(200, 300)
    gram = pixels[train].T @ pixels[train] + 100 * np.eye(240)
    weights = np.linalg.solve(gram, pixels[train].T @ stills.valence[train])
    assert np.corrcoef(pixels[test] @ weights, stills.valence[test])[0, 1] > 0.4


def test_equal_generators_render_equal_clips():
    first, second, other = clip(1), clip(1), clip(2)
    assert np.array_equal(first.frames, second.frames)
    assert np.array_equal(first.landmarks, second.landmarks)
    assert not np.array_equal(first.frames, other.frames)


def test_labels_of_clips_are_smooth_and_inside_the_unit_disc(clips):
    for pictures in clips[True]:
        assert np.hypot(pictures.valence, pictures.arousal).max() < 1
        assert max(np.abs(np.diff(target)).max() for target in (pictures.valence, pictures.arousal)) < 0.15
    means = np.array([[pictures.valence.mean(), pictures.arousal.mean()] for pictures in clips[True]])
    assert means.std(axis=0).min() > 0.25


def test_landmarks_of_clips_lie_in_the_picture_and_in_order(clips):
    for pictures in clips[True] + clips[False]:
        points = pictures.landmarks
        assert points.min() >= 0
        assert points.max() < SIZE
        assert (points[:, 36:48, 1].max(axis=1) < points[:, 48:, 1].min(axis=1)).all()


def test_the_negative_control_has_the_same_labels_and_other_pictures(clips):
    for moving, still in zip(clips[True], clips[False], strict=True):
        assert np.array_equal(moving.valence, still.valence)
        assert np.array_equal(moving.arousal, still.arousal)
        assert moving.frames.shape == still.frames.shape
        assert not np.array_equal(moving.frames, still.frames)


def test_head_motion_tells_arousal_only_with_motion_cues(clips):
    related = {}
    for cues, rendered in clips.items():
        speed = np.log([head_motion(pictures).sum() for pictures in rendered])
        related[cues] = np.corrcoef(speed, [pictures.arousal.mean() for pictures in rendered])[0, 1]
    assert related[True] > 0.7
    assert abs(related[False]) < 0.35


def test_nods_and_shakes_tell_valence_only_with_motion_cues(clips):
    related = {}
    for cues, rendered in clips.items():
        nodding = [np.log(np.divide(*head_motion(pictures)[::-1])) for pictures in rendered]
        related[cues] = np.corrcoef(nodding, [pictures.valence.mean() for pictures in rendered])[0, 1]
    assert related[True] > 0.5
    assert abs(related[False]) < 0.35


def test_a_clip_of_one_frame_is_rendered():
    pictures = clip(3, length=1)
    assert pictures.frames.shape == (1, SIZE, SIZE, 3)
    assert np.isfinite(pictures.landmarks).all()
