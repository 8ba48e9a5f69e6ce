from dataclasses import fields

import numpy as np
import pytest

from hocbench.synthetic.draw import project
from hocbench.synthetic.face import (
    ACTION_UNITS,
    NEUTRAL,
    RANGES,
    action_units,
    face_geometry,
    sample_identities,
)

COUNT = 50


@pytest.fixture(scope="module")
def persons():
    return sample_identities(np.random.default_rng(0), COUNT)


def landmarks(persons, valence, arousal):
    units = action_units(np.full(COUNT, valence), np.full(COUNT, arousal), persons)
    return face_geometry(persons, units)["landmarks"]


def smile(points):
    return points[:, [51, 57], 1].mean(axis=1) - points[:, [48, 54], 1].mean(axis=1)


def eye_opening(points):
    return points[:, [41, 46], 1].mean(axis=1) - points[:, [37, 44], 1].mean(axis=1)


def mouth_opening(points):
    return points[:, 66, 1] - points[:, 62, 1]


def brow_height(points):
    return -points[:, 17:27, 1].mean(axis=1)


def test_persons_are_drawn_within_their_ranges(persons):
    for name, (low, high) in RANGES.items():
        assert low <= persons.shape[name].min() < persons.shape[name].max() <= high
    for colour in (persons.skin, persons.hair, persons.iris, persons.cloth):
        assert colour.shape == (COUNT, 3)
        assert 0 <= colour.min() <= colour.max() <= 255
    assert 0 < persons.glasses.sum() < COUNT / 2


def test_persons_can_be_picked_and_repeated(persons):
    rows = np.array([3, 3, 7])
    taken = persons.take(rows)
    for field in fields(persons):
        if field.name != "shape":
            assert np.array_equal(getattr(taken, field.name), getattr(persons, field.name)[rows])
    assert np.array_equal(taken.shape["jaw"], persons.shape["jaw"][rows])


def test_a_neutral_face_shows_neutral_units_around_a_persons_own(persons):
    units = action_units(np.zeros(COUNT), np.zeros(COUNT), persons)
    assert units.shape == (COUNT, len(ACTION_UNITS))
    np.testing.assert_allclose(units - persons.bias, np.tile(NEUTRAL, (COUNT, 1)), atol=1e-12)


@pytest.mark.parametrize(
    ("sign", "more", "less"),
    [
        (smile, (0.9, 0.0), (0.0, 0.0)),
        (smile, (0.0, 0.0), (-0.9, 0.0)),
        (eye_opening, (0.0, 0.9), (0.0, 0.0)),
        (eye_opening, (0.0, 0.0), (0.0, -0.9)),
        (brow_height, (0.0, 0.9), (0.0, -0.9)),
        (mouth_opening, (0.0, 0.9), (0.0, 0.0)),
    ],
)
def test_every_person_shows_affect_in_the_face(persons, sign, more, less):
    assert (sign(landmarks(persons, *more)) > sign(landmarks(persons, *less))).all()


def test_anger_draws_the_brows_together_and_sadness_raises_them_inside(persons):
    angry, calm, sad = (landmarks(persons, *affect) for affect in ((-0.7, 0.7), (0, 0), (-0.7, -0.7)))

    def gap(points):
        return points[:, 22, 0] - points[:, 21, 0]

    def inner_raise(points):
        return points[:, [17, 26], 1].mean(axis=1) - points[:, [21, 22], 1].mean(axis=1)

    # Brows that someone holds high at rest are drawn down, not together.
    assert (gap(angry) <= gap(calm)).all()
    assert (gap(angry) < gap(calm)).mean() > 0.9
    assert (inner_raise(sad) > inner_raise(angry)).all()


def test_there_are_68_landmarks_mirrored_left_and_right(persons):
    points = landmarks(persons, 0.3, 0.2)
    assert points.shape == (COUNT, 68, 3)
    mirror = [*range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1), *(45, 44, 43, 42, 47, 46)]
    mirror += [39, 38, 37, 36, 41, 40, *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1)]
    # The eyes tilt and the lips bow a little unevenly.
    np.testing.assert_allclose(points[:, mirror] * [-1, 1, 1], points, atol=0.05)


def test_extreme_units_are_clipped_to_what_a_face_can_do(persons):
    units = np.full((COUNT, len(ACTION_UNITS)), 40.0)
    shapes = face_geometry(persons, units)
    assert all(np.isfinite(shape).all() for shape in shapes.values())
    assert np.abs(shapes["landmarks"]).max() < 3
    closed = np.tile(NEUTRAL, (COUNT, 1))
    closed[:, ACTION_UNITS.index("lid")] = -5
    points = face_geometry(persons, closed)["landmarks"]
    assert (eye_opening(points) >= 0).all()
    assert (eye_opening(points) < 0.03).all()


def pose(yaw=0.0, pitch=0.0, roll=0.0, scale=1.0, x=0.0, y=0.0):
    return np.array([[yaw, pitch, roll, scale, x, y]])


@pytest.mark.parametrize(
    ("point", "how", "expected"),
    [
        ((1, 2, 3), {}, (1, 2)),
        ((1, 2, 3), {"scale": 10, "x": 5, "y": 7}, (15, 27)),
        ((1, 0, 0), {"roll": np.pi / 2}, (0, 1)),
        ((0, 0, 1), {"yaw": np.pi / 2}, (1, 0)),
        ((0, 0, 1), {"pitch": np.pi / 2}, (0, -1)),
        ((0, 0, 1), {"pitch": -np.pi / 2, "roll": np.pi / 2}, (-1, 0)),
    ],
)
def test_points_are_turned_scaled_and_shifted(point, how, expected):
    projected = project(np.array([[point]], float), pose(**how))
    np.testing.assert_allclose(projected, [[expected]], atol=1e-12)
