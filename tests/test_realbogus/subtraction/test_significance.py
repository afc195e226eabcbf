"""The S/N image of known differences: the matched filter's values, its noise, and pixels without data."""

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.model import constant_psf
from realbogus.subtraction.significance import NoiseSource, estimate_variance, measure_significance
from tests.star_field import gaussian_stamp, plain_frame

SHAPE = (60, 70)
SIZE, SIGMA = 21, 1.5
STAMP = gaussian_stamp(SIZE, SIGMA)
FWHM = 2.355 * SIGMA  # 2.5 FWHM is 9 pixels: the filter is 19 wide
POWER = float((STAMP[1:-1, 1:-1] ** 2).sum())


def even_noise(variance, kernel=None):
    return NoiseSource(np.full(SHAPE, variance, np.float32), kernel)


def kernel_of(image):
    return VaryingKernel(np.asarray(image, float)[None], 0, SHAPE)


def source_at(x, y, flux, stamp=STAMP):
    return constant_psf(stamp, SHAPE).draw([x], [y], [flux], SHAPE)


def measure(pixels, sources, stamp=STAMP, fwhm=FWHM):
    return measure_significance(pixels, constant_psf(stamp, SHAPE), fwhm, sources)


def test_the_variance_is_that_of_sky_and_smoothed_light():
    signal = np.zeros((11, 11), np.float32)
    signal[5, 5] = 50
    frame = plain_frame(signal, rms=3.0, gain=2.0)
    unusable = np.zeros((11, 11), bool)
    unusable[0, 0] = True
    expected = np.full((11, 11), 9.0)
    expected[3:8, 3:8] += 50 / 25 / 2
    expected[0, 0] = 0
    np.testing.assert_allclose(estimate_variance(frame, signal, unusable), expected, rtol=1e-6)
    np.testing.assert_allclose(estimate_variance(frame, -signal, unusable)[5, 5], 9, rtol=1e-6)


@pytest.mark.parametrize(("x", "y"), [(30, 25), (52, 40)])
def test_a_source_has_the_snr_of_the_matched_filter(x, y):
    snr, error = measure(source_at(x, y, 80.0), [even_noise(3.0), even_noise(1.0)])
    assert np.unravel_index(snr.argmax(), SHAPE) == (y, x)
    assert snr[y, x] == pytest.approx(80 * np.sqrt(POWER / 4), rel=1e-3)
    np.testing.assert_allclose(error[12:-12, 12:-12], np.sqrt(4 / POWER), rtol=1e-3)
    assert snr[y, x] * error[y, x] == pytest.approx(80, rel=1e-3)


@pytest.mark.parametrize("shift", [(4, 0), (0, 4)])
def test_the_filter_is_the_mirrored_psf(shift):
    """The correlation with a lopsided PSF peaks where the source's origin is."""
    lopsided = np.roll(STAMP, shift, axis=(0, 1)) * 0.7 + STAMP
    snr, _ = measure(source_at(33, 28, 50.0, lopsided), [even_noise(1.0)], lopsided / lopsided.sum())
    assert np.unravel_index(snr.argmax(), SHAPE) == (28, 33)


def test_the_noise_follows_the_variance_of_each_pixel():
    uneven = np.full(SHAPE, 1.0, np.float32)
    uneven[:, 35:] = 9.0
    _, error = measure(np.zeros(SHAPE, np.float32), [NoiseSource(uneven, None)])
    np.testing.assert_allclose(error[30, 15:24], np.sqrt(1 / POWER), rtol=1e-3)
    np.testing.assert_allclose(error[30, 46:55], 3 * np.sqrt(1 / POWER), rtol=1e-3)
    bright = np.ones(SHAPE, np.float32)
    bright[20, 30] = 101
    _, error = measure(np.zeros(SHAPE, np.float32), [NoiseSource(bright, None)])
    assert error[20, 30] ** 2 == pytest.approx(
        (POWER + 100 * STAMP[10, 10] ** 4 / POWER * 0) / POWER**2 + 100 * STAMP[10, 10] ** 2 / POWER**2, rel=1e-3
    )
    # two columns beside, the filter's value two pixels from its middle decides
    assert error[20, 32] ** 2 == pytest.approx((POWER + 100 * STAMP[10, 12] ** 2) / POWER**2, rel=1e-3)


def test_noise_goes_through_the_kernel_of_its_image():
    tripled = kernel_of([[3.0]])
    _, error = measure(np.zeros(SHAPE, np.float32), [even_noise(1.0, tripled), even_noise(2.0)])
    np.testing.assert_allclose(error[18:-18, 18:-18], np.sqrt(11 / POWER), rtol=1e-3)
    blurred = np.zeros((5, 5))
    blurred[2, 2], blurred[2, 3], blurred[1, 2] = 0.5, 0.3, 0.2
    _, error = measure(np.zeros(SHAPE, np.float32), [even_noise(1.0, kernel_of(blurred))])
    filters = np.pad(STAMP[1:-1, 1:-1][::-1, ::-1], 5)
    combined = sum(
        blurred[2 + up, 2 + across] * np.roll(filters, (up, across), axis=(0, 1))
        for up in (-2, -1, 0, 1, 2)
        for across in (-2, -1, 0, 1, 2)
    )
    np.testing.assert_allclose(error[20:-20, 20:-20], np.sqrt((combined**2).sum()) / POWER, rtol=1e-3)


def test_pixels_without_data_have_no_weight():
    pixels, variance = source_at(30, 25, 80.0), np.full(SHAPE, 4.0, np.float32)
    pixels[25, 30], variance[25, 30] = np.nan, 0
    snr, error = measure(pixels, [NoiseSource(variance, None)])
    left = POWER - STAMP[10, 10] ** 2
    assert snr[25, 30] == pytest.approx(80 * np.sqrt(left / 4), rel=1e-3)
    assert error[25, 30] == pytest.approx(np.sqrt(4 / left), rel=1e-3)


def test_a_pixel_without_data_is_measured_while_most_of_the_filter_is_there():
    pixels, variance = np.zeros(SHAPE, np.float32), np.ones(SHAPE, np.float32)
    pixels[25, 29:32] = np.nan  # holds less than half of the filter's power about its middle
    pixels[40:47, 49:56] = np.nan
    variance[np.isnan(pixels)] = 0
    snr, _ = measure(pixels, [NoiseSource(variance, None)])
    assert STAMP[10, 9:12].sum() > 0
    assert (STAMP[10, 9:12] ** 2).sum() < 0.5 * POWER < (STAMP[7:14, 7:14] ** 2).sum()
    assert np.isfinite(snr[25, 29:32]).all()
    assert np.isnan(snr[43, 52])
    assert np.isfinite(snr[np.isfinite(pixels)]).all(), "beside a hole there is a value"
    # at the corner of the hole more than half of the power lies outside of it
    assert np.isfinite(snr[40, 49])


def test_the_filter_is_no_wider_than_the_psf():
    snr, _ = measure(source_at(30, 25, 80.0), [even_noise(1.0)], fwhm=50.0)
    assert snr[25, 30] == pytest.approx(80 * np.sqrt((STAMP**2).sum()), rel=1e-3)


def test_masks_of_frames_do_not_enter():
    frame = plain_frame(np.ones((5, 5)), mask=np.full((5, 5), int(Mask.SATURATED)))
    assert (estimate_variance(frame, frame.signal(), np.zeros((5, 5), bool)) == 2).all()


def test_the_filter_reaches_two_and_a_half_fwhm():
    snr, error = measure(source_at(30, 25, 80.0), [even_noise(1.0)], fwhm=1.0)
    power = (STAMP[7:14, 7:14] ** 2).sum()  # 3 pixels, rounded up
    assert snr[25, 30] == pytest.approx(80 * np.sqrt(power), rel=1e-5)
    assert error[25, 30] == pytest.approx(1 / np.sqrt(power), rel=1e-5)


def test_noise_through_a_kernel_is_followed_five_pixels_beyond_the_filter():
    far = np.zeros((17, 17))
    far[8, 16] = 1  # moves by 8: of a filter of 3 pixels about its middle four columns stay within 3 + 5
    _, error = measure(np.zeros(SHAPE, np.float32), [even_noise(1.0, kernel_of(far))], fwhm=1.0)
    power = (STAMP[7:14, 7:14] ** 2).sum()
    assert error[30, 35] == pytest.approx(np.sqrt((STAMP[7:14, 7:11] ** 2).sum()) / power, rel=1e-4)
