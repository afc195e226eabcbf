"""Occlusion maps of a model that looks at one known place."""

import numpy as np
import pytest

from tasks.learning.occlusion import occlusion_maps
from tasks.learning.scoring import IMAGE_BATCH


class OnePlace:
    """Probability of the second class: the brightness of one place, from 0 to 1."""

    def __init__(self, place):
        self.place, self.shapes = place, set()

    def predict_on_batch(self, x):
        self.shapes.add(x.shape)
        bright = x[:, *self.place].mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1)


PLACE = (slice(30, 34), slice(8, 12))


@pytest.fixture
def image():
    lit = np.full((1, 48, 40, 3), 51, np.uint8)
    lit[0, *PLACE] = 255
    return lit


def test_covering_the_place_that_matters_lowers_the_probability_to_the_sky_s(image):
    (heat,) = occlusion_maps(OnePlace(PLACE), image, np.array([1]))
    assert heat.shape == (48, 40)
    # A patch is 7 x 6 px. One covers rows 29 to 35 and columns 7 to 12, all of the place, which is 1 and becomes 0.2:
    # its centre lies between columns 9 and 10, and that of its neighbour, which covers a quarter, at 5.5.
    assert heat[32, 9] == pytest.approx(0.8 - (0.8 - 0.2) * 0.5 / 4)
    assert np.unravel_index(heat.argmax(), heat.shape)[0] in range(30, 34)
    far = heat.copy()
    far[30 - 3 - 5 : 34 + 3 + 5, : 12 + 3 + 4] = 0  # half a patch and one place beyond the place
    assert not far.any()


def test_the_other_class_gains_what_this_one_loses(image):
    model, both = OnePlace(PLACE), np.repeat(image, 2, axis=0)
    first, second = occlusion_maps(model, both, np.array([0, 1]))
    np.testing.assert_allclose(first, -second, atol=1e-12)
    assert model.shapes == {(IMAGE_BATCH, 48, 40, 3)}


@pytest.mark.parametrize("side", [5, 11, 16, 64, 101])
def test_every_pixel_is_covered(side):
    whole = (slice(None), slice(None))
    heat = occlusion_maps(OnePlace(whole), np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8), [1])
    assert np.isfinite(heat).all()


def test_no_images_have_no_maps():
    assert occlusion_maps(OnePlace(PLACE), np.empty((0, 8, 8, 3), np.uint8), np.empty(0, int)).shape == (0, 8, 8)
