"""Fits of a point source to stamps: known fluxes, shifts, widths and noise come back."""

import numpy as np
import pytest

from realbogus.psf.model import constant_psf
from realbogus.psf.point_fits import fit_points, stamp_radius, windowed_moments
from tests.star_field import gaussian_stamp

SIGMA = 1.8
FWHM = 2.355 * SIGMA
PSF = constant_psf(gaussian_stamp(21, SIGMA), (60, 60))


def fit_one(plane, x=30.0, y=30.0, rms=1.0, gain=1e9):
    phase = np.array([[x - np.floor(x + 0.5), y - np.floor(y + 0.5)]])
    return fit_points(plane[None], PSF.at(x, y), phase, np.array([rms]), np.array([gain]), np.array([FWHM]))


@pytest.mark.parametrize(("x", "y"), [(30.0, 30.0), (30.3, 29.6)])
def test_flux_is_that_of_the_source_and_nothing_is_left(x, y):
    fit = fit_one(500 * PSF.at(x, y)[0] + 7, x, y)
    assert fit.flux == pytest.approx([500], rel=1e-4)
    assert (fit.shift_x, fit.shift_y) == (pytest.approx([0], abs=1e-4), pytest.approx([0], abs=1e-4))
    assert fit.chi2 == pytest.approx([0], abs=1e-4)
    for name in ("size", "stretch_plus", "stretch_cross"):
        assert getattr(fit, name) == pytest.approx([0], abs=1e-3)


def test_shifts_are_from_the_claimed_place():
    fit = fit_one(500 * PSF.at(30.1, 29.95)[0])
    assert fit.shift_x == pytest.approx([0.1], abs=0.01)
    assert fit.shift_y == pytest.approx([-0.05], abs=0.01)


def test_missing_pixels_and_those_beyond_the_core_do_not_count():
    plane = 500 * PSF.at(30.0, 30.0)[0].astype(float)
    plane[10, 11], plane[10, 10 + 7] = np.nan, 1e6  # the core reaches 6.4 pixels
    fit = fit_one(plane)
    assert fit.flux == pytest.approx([500], rel=1e-4)
    assert fit.chi2 == pytest.approx([0], abs=1e-4)
    plane[10, 10 + 6] += 50
    assert fit_one(plane).chi2[0] > 1


def test_moments_tell_broad_and_stretched_sources():
    y, x = np.mgrid[-10:11, -10:11]

    def gaussian(across, up, turn=0.0):
        along = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        image = np.exp(-(along[0] ** 2) / (2 * across**2) - along[1] ** 2 / (2 * up**2))
        return 500 * image / image.sum()

    broad, narrow = fit_one(gaussian(2.0, 2.0)), fit_one(gaussian(1.6, 1.6))
    assert broad.size[0] > 0.1 > -0.1 > narrow.size[0]
    assert abs(broad.stretch_plus[0]) < 0.01
    wide, high = fit_one(gaussian(2.0, 1.6)), fit_one(gaussian(1.6, 2.0))
    assert wide.stretch_plus[0] == pytest.approx(-high.stretch_plus[0], rel=1e-3)
    assert wide.stretch_plus[0] > 0.1
    rising = fit_one(gaussian(2.0, 1.6, np.pi / 4))
    assert rising.stretch_cross[0] > 0.1
    assert abs(rising.stretch_plus[0]) < 0.01


def test_noise_gives_chi_squared_of_one_and_no_excess_and_no_correlation():
    rng = np.random.default_rng(0)
    count, gain = 2000, 2.0
    light = np.broadcast_to(4000 * PSF.at(30.0, 30.0), (count, 21, 21)).astype(float)
    planes = light + np.sqrt(9 + light / gain) * rng.standard_normal(light.shape)
    full = np.full(count, 1.0)
    fit = fit_points(planes, light / 4000, np.zeros((count, 2)), 3 * full, gain * full, FWHM * full)
    assert fit.flux.mean() == pytest.approx(4000, rel=2e-3)
    assert fit.chi2.mean() == pytest.approx(1, abs=0.01)
    assert fit.neighbour.mean() == pytest.approx(0, abs=0.05)
    # photon noise: the excess over the sky's variance is the light over the gain
    assert fit.excess.mean() == pytest.approx(fit.expected.mean() / gain, rel=0.05)
    assert fit.excess.std() == pytest.approx(fit.scatter.mean(), rel=0.15)


def test_neighbours_that_agree_correlate():
    rng = np.random.default_rng(1)
    pairs = np.repeat(rng.standard_normal((200, 21, 11)), 2, axis=2)[:, :, :21]
    full = np.ones(200)
    fit = fit_points(pairs, np.repeat(PSF.at(30.0, 30.0), 200, 0), np.zeros((200, 2)), full, 1e9 * full, FWHM * full)
    assert fit.neighbour.mean() > 0.1


def test_moments_of_one_pixel_are_its_place():
    image = np.zeros((1, 7, 7))
    image[0, 5, 4] = 1  # 1 right of and 2 above the middle
    window = np.exp(-(0.5**2 + 2.0**2) / (2 * (1.5 * 4 / 2.355) ** 2))
    moments = windowed_moments(image, np.array([[0.5, 0.0]]), np.array([4.0]))
    assert moments[0] == pytest.approx(window * np.array([0.25 + 4, 0.25 - 4, 2 * 0.5 * 2]))


@pytest.mark.parametrize("size", [5, 6])
def test_radii_are_from_the_middle_pixel(size):
    radius = stamp_radius(size)
    assert radius.shape == (size, size)
    assert (radius[2, 2], radius[2, 4], radius[0, 0]) == (0, 2, pytest.approx(np.sqrt(8)))
