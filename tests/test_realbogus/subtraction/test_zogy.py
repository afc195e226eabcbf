"""Proper subtraction of small images with known PSFs: closed forms of its difference, S/N and noise."""

import numpy as np
import pytest

from realbogus.psf.model import constant_psf
from realbogus.subtraction.zogy import KnownImage, subtract_properly
from tests.star_field import gaussian_stamp

SHAPE = (70, 80)
SIZE = 21
NARROW, WIDE = gaussian_stamp(SIZE, 1.4), gaussian_stamp(SIZE, 2.0)


def image_of(x, y, flux, stamp, rms):
    signal = constant_psf(stamp, SHAPE).draw([x], [y], [flux], SHAPE)
    return KnownImage(signal, np.full(SHAPE, rms**2, np.float32), stamp, rms)


def nothing(stamp, rms):
    return image_of(40, 35, 0.0, stamp, rms)


@pytest.mark.parametrize("stamps", [(NARROW, NARROW), (NARROW, WIDE), (WIDE, NARROW)])
@pytest.mark.parametrize(("rms_new", "rms_reference", "scale"), [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0)])
def test_a_source_in_either_frame_has_its_flux_in_new_counts(stamps, rms_new, rms_reference, scale):
    new = image_of(40, 35, 500.0, stamps[0], rms_new)
    proper = subtract_properly(new, nothing(stamps[1], rms_reference), scale)
    assert np.unravel_index(proper.snr.argmax(), SHAPE) == (35, 40)
    assert (proper.snr * proper.flux_error)[35, 40] == pytest.approx(500, rel=1e-3)
    reference = image_of(41, 30, 500.0, stamps[1], rms_reference)
    proper = subtract_properly(nothing(stamps[0], rms_new), reference, scale)
    assert np.unravel_index(proper.snr.argmin(), SHAPE) == (30, 41)
    assert (proper.snr * proper.flux_error)[30, 41] == pytest.approx(-500 * scale, rel=1e-3)


@pytest.mark.parametrize(("rms_new", "rms_reference", "scale"), [(1.0, 1.0, 1.0), (2.0, 0.5, 3.0)])
def test_the_difference_shows_the_source_with_the_stated_psf(rms_new, rms_reference, scale):
    proper = subtract_properly(image_of(40, 35, 500.0, NARROW, rms_new), nothing(WIDE, rms_reference), scale)
    assert proper.stamp.shape == (SIZE, SIZE)
    window = proper.pixels[25:46, 30:51]
    np.testing.assert_allclose(window, 500 * proper.stamp, atol=0.02)
    np.testing.assert_allclose(proper.pixels, proper.new_part - proper.reference_part, atol=1e-4)
    assert not proper.reference_part.any()


def test_a_constant_source_leaves_nothing():
    new, reference = image_of(40, 35, 600.0, NARROW, 1.0), image_of(40, 35, 200.0, WIDE, 1.0)
    proper = subtract_properly(new, reference, 3.0)
    assert np.abs(proper.pixels).max() < 0.05
    assert np.abs(proper.snr).max() < 0.05


def test_with_one_psf_the_noise_is_that_of_the_plain_difference():
    proper = subtract_properly(nothing(NARROW, 2.0), nothing(NARROW, 0.5), 3.0)
    expected = np.sqrt((4 + 9 * 0.25) / (NARROW**2).sum())
    np.testing.assert_allclose(proper.flux_error[25:-25, 25:-25], expected, rtol=2e-3)
    np.testing.assert_allclose(proper.stamp, NARROW, atol=1e-4)


def test_bright_pixels_add_their_own_noise_only_where_they_are():
    variance = np.ones(SHAPE, np.float32)
    variance[35, 40] = 101
    new = KnownImage(np.zeros(SHAPE, np.float32), variance, NARROW, 1.0)
    proper = subtract_properly(new, nothing(NARROW, 1.0), 1.0)
    power = (NARROW**2).sum()
    assert proper.flux_error[35, 40] ** 2 == pytest.approx((2 * power + 100 * NARROW[10, 10] ** 2) / power**2, rel=2e-3)
    assert proper.flux_error[35, 43] ** 2 == pytest.approx((2 * power + 100 * NARROW[10, 13] ** 2) / power**2, rel=2e-3)
    assert proper.flux_error[60, 70] ** 2 == pytest.approx(2 / power, rel=0.3)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_unit_of_counts_scales_fluxes_and_leaves_the_significance(unit):
    one, other = (
        subtract_properly(image_of(40, 35, 500 * u, NARROW, 2.0 * u), nothing(WIDE, 0.5 * u), 3.0) for u in (1.0, unit)
    )
    np.testing.assert_allclose(other.snr, one.snr, atol=1e-3 * one.snr.max())
    np.testing.assert_allclose(other.pixels, unit * one.pixels, atol=1e-3 * unit * one.pixels.max())
