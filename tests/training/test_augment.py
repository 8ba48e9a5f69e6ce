import cv2
import numpy as np
import pytest

from hocbench.config.training import Augmentation
from hocbench.training.augment import draw
from tests.training.specs import STEPS

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8), (9, 9), 3)


def changes(count=64, mirror=False, seed=0, **wanted):
    steps = STEPS.model_copy(update={"mirror": mirror, "augmentation": Augmentation(**wanted)})
    return draw(count, steps, np.random.default_rng(seed))


def apply(augmentation, place=0, frames=3):
    """Change a clip of equal frames; return them and check that they stay equal."""
    clip = np.tile(PICTURE, (1, frames, 1, 1, 1))
    changed = augmentation.apply(clip, [place])[0]
    assert (changed == changed[:1]).all()
    return changed[0]


def test_nothing_is_changed_unless_asked_for():
    for place in range(8):
        np.testing.assert_array_equal(apply(changes(), place), PICTURE)


def test_about_half_is_mirrored_and_exactly_so():
    augmentation = changes(400, mirror=True)
    assert 160 < augmentation.mirror.sum() < 240
    for place in range(8):
        expected = PICTURE[:, ::-1] if augmentation.mirror[place] else PICTURE
        np.testing.assert_array_equal(apply(augmentation, place), expected)


@pytest.mark.parametrize(
    ("wanted", "low", "high"),
    [({"rotation_degrees": 20.0}, -20, 20), ({"scale": 0.3}, 0.7, 1.3), ({"shift": 0.2}, -0.2, 0.2)],
)
def test_geometry_is_drawn_from_the_whole_range_and_no_further(wanted, low, high):
    matrices = changes(2000, **wanted).matrices
    turn = matrices[:, 0, 0] + 1j * matrices[:, 1, 0]
    found = {
        "rotation_degrees": np.rad2deg(np.angle(turn)),
        "scale": np.abs(turn),
        "shift": matrices[:, :, 2].ravel(),
    }
    for name, values in found.items():
        if name in wanted:
            assert low <= values.min() < low + 0.02 * (high - low)
            assert high >= values.max() > high - 0.02 * (high - low)
        else:
            np.testing.assert_allclose(values, 1.0 if name == "scale" else 0.0, atol=1e-12)


@pytest.mark.parametrize("wanted", [{"rotation_degrees": 30.0}, {"scale": 0.2}, {"shift": 0.1}])
def test_geometry_is_that_of_a_general_warp_about_the_middle(wanted):
    augmentation = changes(**wanted)
    matrix = augmentation.matrices[3]
    turn = np.rad2deg(np.arctan2(-matrix[1, 0], matrix[0, 0]))
    general = cv2.getRotationMatrix2D((23.5, 23.5), turn, float(np.hypot(*matrix[:, 0])))
    general[:, 2] += 48 * matrix[:, 2]
    expected = cv2.warpAffine(PICTURE, general, (48, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(apply(augmentation, 3).astype(int) - expected).max() <= 1


def test_brightness_scales_all_pixels():
    augmentation = changes(brightness=0.2)
    expected = np.clip(np.rint(PICTURE * augmentation.colours[5, 0]), 0, 255)
    np.testing.assert_allclose(apply(augmentation, 5), expected, atol=1)


def test_contrast_keeps_the_mean_and_scales_the_spread():
    augmentation = changes(contrast=0.3)
    factor = augmentation.colours[4, 1]
    changed = apply(augmentation, 4).astype(float)
    assert abs(changed.mean() - PICTURE.mean()) < 1.5
    assert changed.std() == pytest.approx(factor * PICTURE.std(), rel=0.05)


def test_saturation_keeps_the_grey_of_each_pixel():
    augmentation = changes(saturation=1.0)
    changed = apply(augmentation, 2)
    weights = np.array([0.299, 0.587, 0.114])
    inside = (changed > 0).all(-1) & (changed < 255).all(-1)
    np.testing.assert_allclose((changed @ weights)[inside], (PICTURE @ weights)[inside], atol=1)
    factor = augmentation.colours[2, 2]
    spread = np.ptp(changed.astype(float), axis=-1)[inside]
    np.testing.assert_allclose(spread, factor * np.ptp(PICTURE.astype(float), axis=-1)[inside], atol=2)


def test_a_sample_is_changed_alike_whatever_batch_it_is_in():
    augmentation = changes(16, mirror=True, rotation_degrees=10.0, scale=0.1, shift=0.05, brightness=0.2, contrast=0.2)
    pictures = np.random.default_rng(1).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    together = augmentation.apply(pictures.copy(), list(range(16)))
    for batch in ([3], [15, 0, 3], list(range(8, 16))):
        np.testing.assert_array_equal(augmentation.apply(pictures[batch], batch), together[batch])
    assert len({crop.tobytes() for crop in together}) == 16


def test_the_same_generator_draws_the_same_and_another_one_does_not():
    first, again, other = (changes(16, seed=seed, rotation_degrees=10.0) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.matrices, again.matrices)
    assert (first.matrices != other.matrices).any()
