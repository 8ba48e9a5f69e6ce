import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hocbench.faces.align import TEMPLATE, cut, from_box, from_landmarks, similarity

GROUPS = (range(36, 42), range(42, 48), (48, 54))  # both eyes, and the corners of the mouth
WITHOUT_JAW = [n for n in range(17, 68) if n not in (60, 64)]
PLACES = np.array([[203.0, 101.0], [249.0, 101.0], [223.0, 146.0]])  # eyes and mouth of the astronaut


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def turn_and_scale(angle, scale, shift):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


def make_landmarks(places, rng):
    """68 points whose eyes and mouth corners lie around three places; all others are anywhere."""
    points = rng.uniform(0, 100, (68, 2))
    for group, place in zip(GROUPS, places, strict=True):
        offsets = rng.normal(0, 2, (len(group), 2))
        points[list(group)] = place + offsets - offsets.mean(axis=0)
    return points


def mean_difference(first, second):
    return np.abs(first.astype(float) - second.astype(float)).mean()


@given(
    st.floats(-np.pi, np.pi),
    st.floats(0.01, 100),
    st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    st.integers(0, 10_000),
)
def test_a_similarity_transform_is_recovered_from_its_points(angle, scale, shift, seed):
    points = np.random.default_rng(seed).normal(0, 10, (5, 2))
    truth = turn_and_scale(angle, scale, shift)
    found = similarity(points, apply(truth, points))
    np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-9 * (scale + np.abs(shift).max()))


def test_the_fit_of_points_that_are_not_similar_is_the_best_one():
    rng = np.random.default_rng(0)
    source, target = rng.normal(0, 10, (3, 2)), rng.normal(0, 10, (3, 2))
    # The least squares of the four free numbers, written out without complex numbers.
    x, y = source.T
    rows = [np.stack([x, -y, x * 0 + 1, x * 0], 1), np.stack([y, x, x * 0, x * 0 + 1], 1)]
    a, b, right, down = np.linalg.lstsq(np.concatenate(rows), target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose(similarity(source, target), [[a, -b, right], [b, a, down]], atol=1e-9)


def test_points_that_all_coincide_give_a_finite_transform():
    matrix = similarity(np.ones((3, 2)), TEMPLATE)
    assert np.isfinite(matrix).all()


@pytest.mark.parametrize("margin", [1.0, 1.25, 2.0])
def test_eyes_and_mouth_come_to_the_template(margin):
    rng = np.random.default_rng(3)
    places = apply(turn_and_scale(0.4, 60, (120, 80)), TEMPLATE)
    matrix = from_landmarks(make_landmarks(places, rng).ravel(), 48, margin)
    expected = 24 + 48 * np.array([[-0.215, -0.21], [0.215, -0.21], [0.0, 0.275]]) / margin
    np.testing.assert_allclose(apply(matrix, places), expected, atol=1e-9)


def test_the_points_without_jaw_give_the_same_crop_as_all_points():
    points = make_landmarks(PLACES, np.random.default_rng(5))
    all_points = from_landmarks(points.ravel(), 64, 1.25)
    np.testing.assert_array_equal(from_landmarks(points[WITHOUT_JAW].ravel(), 64, 1.25), all_points)


def test_a_wider_margin_shrinks_the_face_towards_the_middle():
    points = make_landmarks(PLACES, np.random.default_rng(5))
    tight, wide = (from_landmarks(points.ravel(), 64, margin) for margin in (1.0, 2.0))
    np.testing.assert_allclose(apply(wide, points) - 32, (apply(tight, points) - 32) / 2, atol=1e-9)


@pytest.mark.parametrize("degrees", [-40, 17, 90])
def test_a_turned_picture_with_turned_landmarks_gives_the_same_crop(astronaut, degrees):
    landmarks = make_landmarks(PLACES, np.random.default_rng(1))
    turn = cv2.getRotationMatrix2D((222, 118), degrees, 1.0)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    upright = cut(astronaut, from_landmarks(landmarks.ravel(), 64, 1.25), 64)
    followed = cut(turned, from_landmarks(apply(turn, landmarks).ravel(), 64, 1.25), 64)
    ignored = cut(turned, from_landmarks(landmarks.ravel(), 64, 1.25), 64)
    assert mean_difference(upright, followed) < 3
    assert mean_difference(upright, ignored) > 15


def test_a_box_is_centred_and_its_longer_side_fills_the_crop_but_for_the_margin():
    matrix = from_box((10.0, 20.0, 30.0, 60.0), 48, 1.5)
    np.testing.assert_allclose(apply(matrix, np.array([[25.0, 50.0]])), [[24, 24]])
    top, bottom = apply(matrix, np.array([[25.0, 20.0], [25.0, 80.0]]))
    assert bottom[1] - top[1] == pytest.approx(48 / 1.5)
    left, right = apply(matrix, np.array([[10.0, 50.0], [40.0, 50.0]]))
    assert right[0] - left[0] == pytest.approx(48 / 1.5 / 2)


def test_the_identity_cuts_the_pixels_themselves():
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    crop = cut(picture, np.array([[1.0, 0, -5], [0, 1.0, -7]]), 24)
    np.testing.assert_array_equal(crop, picture[7:31, 5:29])


def test_a_large_picture_is_averaged_down_and_not_sampled():
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    matrix = np.array([[0.125, 0, 0], [0, 0.125, 0]])
    sampled = cv2.warpAffine(noise, matrix, (32, 32), flags=cv2.INTER_LINEAR)
    # An average of at least 16 independent pixels has at most a quarter of their spread.
    assert cut(noise, matrix, 32).std() < noise.std() / 4
    assert sampled.std() > noise.std() / 2


@pytest.mark.parametrize("factor", [3, 4, 8])
def test_a_large_photograph_shrinks_to_its_block_means(astronaut, factor):
    size, middle = 512 // factor, (factor - 1) / 2
    blocks = astronaut[: size * factor, : size * factor].reshape(size, factor, size, factor, 3).mean((1, 3))
    crop = cut(astronaut, np.array([[1.0, 0, -middle], [0, 1.0, -middle]]) / factor, size)
    assert mean_difference(crop, blocks) < 8
    # A shift by one pixel is far worse.
    for axis in (0, 1):
        assert mean_difference(crop, np.roll(blocks, 1, axis)) > 3 * mean_difference(crop, blocks)


def test_pixels_outside_the_picture_repeat_its_edge():
    picture = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    crop = cut(picture, np.array([[1.0, 0, 6], [0, 1.0, 6]]), 40)
    np.testing.assert_array_equal(crop[6:26, 6:26], picture)
    np.testing.assert_array_equal(crop[6:26, :6], np.repeat(picture[:, :1], 6, axis=1))
    np.testing.assert_array_equal(crop[26:, 6:26], np.repeat(picture[-1:], 14, axis=0))
