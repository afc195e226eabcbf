"""Frames: variance, signal and the measured background in exact numbers."""

import numpy as np
import pytest

from realbogus.frames import FrameError, Mask, measure_background
from tests.star_field import plain_frame


def test_variance_is_sky_and_photon_noise_and_infinite_without_data():
    mask = np.array([[0, 0, Mask.NO_DATA, Mask.SATURATED]])
    frame = plain_frame([[10.0, -10.0, 5.0, 20.0]], sky=100.0, rms=3.0, gain=2.0, mask=mask)
    assert frame.variance().tolist() == [[14, 9, np.inf, 19]]
    assert frame.signal().tolist() == [[10, -10, 0, 20]]
    assert frame.signal().dtype == frame.variance().dtype == np.float32
    assert frame.shape == (1, 4)


def test_a_frame_with_other_pixels_keeps_its_background():
    frame = plain_frame(np.zeros((2, 3)), sky=7.0)
    other = frame.with_pixels(np.ones((2, 3), np.float32), np.full((2, 3), 2, np.uint8))
    assert other.background is frame.background
    assert (other.pixels.sum(), other.mask.sum()) == (6, 12)
    assert frame.pixels.sum() == 42, "the frame itself is not changed"


def test_the_background_is_level_and_scatter_of_the_usable_pixels():
    pixels = np.random.default_rng(0).normal(50, 4, (192, 256)).astype(np.float32)
    unusable = np.zeros(pixels.shape, bool)
    unusable[60:80] = True
    pixels[60:70], pixels[70:80] = np.nan, 1e6
    level, rms = measure_background(pixels, unusable)
    assert level.shape == rms.shape == pixels.shape
    assert level.mean() == pytest.approx(50, abs=0.2)
    assert rms.mean() == pytest.approx(4, rel=0.03)


def test_the_scatter_does_not_fall_below_three_tenths_of_its_median():
    pixels = np.random.default_rng(0).normal(50, 4, (192, 256)).astype(np.float32)
    pixels[:64, :64] = 50 + (pixels[:64, :64] - 50) / 100
    _, rms = measure_background(pixels, np.zeros(pixels.shape, bool))
    assert rms.min() == pytest.approx(0.3 * np.median(rms), rel=1e-5)


def test_a_frame_without_a_usable_pixel_has_no_background():
    with pytest.raises(FrameError, match="no usable pixel: all are masked or NaN"):
        measure_background(np.zeros((64, 64), np.float32), np.ones((64, 64), bool))
