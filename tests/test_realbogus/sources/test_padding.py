"""Padding is found whatever its value; noise, saturated stars and their trails are not."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from realbogus.sources.padding import BRIGHT_SIDE_PX, LEAST_AREA_PX, find_padding

SHAPE = (260, 340)
VALUES = (0.0, -999.0, 65535.0, 300.0, 1e-3)


def draw_noise(seed: int, level: float = 300.0, sigma: float = 12.0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, sigma, shape).astype(np.float32)


def make_areas() -> dict[str, np.ndarray]:
    """Return areas of a frame by name, each (y, x) bool."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return {
        "edges": (x < 30) | (y >= 200),
        "corner": x + y < 120,
        "inside": (abs(x - 170) < 20) & (abs(y - 130) < 25),
        "round": np.hypot(x - 170, y - 130) < 30,
        "gap": abs(x - 170) < 10,
        "most": y > 40,
    }


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("area", make_areas().values(), ids=make_areas())
def test_padding_of_any_value_is_found_exactly(value, quantised, area):
    image = draw_noise(1)
    image = np.rint(image) if quantised else image
    image[area] = np.float32(value)
    found = find_padding(image)
    if quantised and value == 300:  # a value of the sky, so neighbours with it may be taken, and sharp corners left
        assert np.count_nonzero(found != area) < 0.05 * area.sum()
    else:
        np.testing.assert_array_equal(found, area)


def test_areas_of_several_values_are_found():
    image = draw_noise(2)
    image[:, :20], image[-15:], image[100:130, 100:130] = 0, -1, 7
    expected = np.isin(image, (0, -1, 7))
    np.testing.assert_array_equal(find_padding(image), expected)


@pytest.mark.parametrize("width", [2, 5])
def test_narrow_strips_at_an_edge_are_found(width):
    image = draw_noise(3)
    image[:, :width] = image[-width:] = 0
    np.testing.assert_array_equal(find_padding(image), image == 0)


@pytest.mark.parametrize(("side", "is_padding"), [(14, False), (15, True)])
def test_an_area_below_the_stated_size_is_left(side, is_padding):
    assert (side**2 >= LEAST_AREA_PX) == is_padding
    image = draw_noise(4)
    image[50 : 50 + side, 60 : 60 + side] = 0
    assert np.count_nonzero(find_padding(image)) == side**2 * is_padding


def test_nan_is_no_padding():
    image = draw_noise(5)
    image[:, :50] = np.nan
    assert not find_padding(image).any()
    assert not find_padding(np.full(SHAPE, np.nan, np.float32)).any()


@given(st.floats(0.3, 20), st.integers(0, 2**32 - 1), st.floats(0, 30))
@example(0.3046875, 0, 29.0)  # a value fills bands of 11 pixels
@settings(max_examples=60, deadline=None)
def test_quantised_noise_is_never_padding(sigma, seed, slope):
    """Whole numbers of any scatter, also where the sky rises over the frame."""
    sky = draw_noise(seed, 1000, sigma) + np.linspace(0, slope, SHAPE[1], dtype=np.float32)
    assert not find_padding(np.rint(sky)).any()


@given(st.floats(1e-3, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_photon_counts_are_never_padding(mean, seed):
    assert not find_padding(np.random.default_rng(seed).poisson(mean, SHAPE).astype(np.float32)).any()


@given(st.floats(-1, 1), st.floats(0, 1.5), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_sky_clipped_at_zero_is_never_padding(level, smoothing, seed):
    """Half of its pixels may be zero, and resampling makes neighbours alike."""
    sky = ndimage.gaussian_filter(draw_noise(seed, 0, 1), smoothing)
    assert not find_padding(np.maximum(sky / sky.std() + np.float32(level), 0)).any()


def test_padding_beside_a_sky_clipped_at_zero_is_found():
    image = np.maximum(draw_noise(6, 0, 5), 0)
    image[:, :60] = 0
    found = find_padding(image)
    assert found[:, :60].all()
    assert not found[:, 62:].any()


@pytest.mark.parametrize("core_px", [3, 12])
def test_saturated_stars_and_their_trails_are_not_padding(core_px):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 60_000 * 2 ** (4 - 4 * np.hypot(x - 170, y - 130) / (2 * core_px))
    image = draw_noise(7) + light.astype(np.float32)
    image[20:240, 167:174] = 1e6  # the trail
    image = np.minimum(image, np.float32(60_000))
    assert np.count_nonzero(image == 60_000) > LEAST_AREA_PX
    assert not find_padding(image).any()


@pytest.mark.parametrize(("width", "is_padding"), [(BRIGHT_SIDE_PX - 1, False), (BRIGHT_SIDE_PX, True)])
def test_bright_padding_is_as_wide_as_stated(width, is_padding):
    image = draw_noise(8)
    image[:, 100 : 100 + width] = 65535
    assert np.count_nonzero(find_padding(image)) == width * SHAPE[0] * is_padding


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (9, 9), (30, 12)])
def test_small_frames_have_padding_too(shape):
    constant = np.full(shape, 4, np.float32)
    assert find_padding(constant).all() == (constant.size >= LEAST_AREA_PX)
    assert not find_padding(draw_noise(9, shape=shape)).any()
