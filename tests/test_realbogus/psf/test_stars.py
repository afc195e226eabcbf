"""Which sources of a small frame are stars, and where the sources are."""

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.psf.model import constant_psf
from realbogus.psf.stars import find_stars
from tests.star_field import gaussian_stamp, list_stars, plain_frame

SHAPE = (150, 190)
SIGMA = 1.7
PSF = constant_psf(gaussian_stamp(21, SIGMA), SHAPE)
X, Y = (grid.ravel() for grid in np.meshgrid(np.arange(20.3, 180, 30), np.arange(20.7, 140, 30)))
FLUX = np.linspace(2e3, 8e3, len(X))


def make_frame(extra=0.0, **facts):
    light = PSF.draw(X, Y, FLUX, SHAPE) + extra
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    return plain_frame(light + noise, sky=100.0, gain=1e9, **facts)


def nearest(stars, x, y):
    return int(np.argmin(np.hypot(stars.x - x, stars.y - y)))


def test_stars_are_found_where_they_are_and_all_are_stars():
    stars = find_stars(make_frame())
    assert len(stars) == len(X)
    order = [nearest(stars, *place) for place in zip(X, Y, strict=True)]
    np.testing.assert_allclose(stars.x[order], X, atol=0.05)
    np.testing.assert_allclose(stars.y[order], Y, atol=0.05)
    np.testing.assert_allclose(stars.flux[order], FLUX, rtol=0.05)
    np.testing.assert_allclose(stars.peak[order], FLUX / (2 * np.pi * SIGMA**2), rtol=0.1)
    assert np.median(stars.fwhm) == pytest.approx(2.355 * SIGMA, rel=0.05)
    assert stars.star_like.all()
    assert stars.isolated.all()
    assert not stars.saturated.any()
    assert (stars.snr > 100).all()


def test_a_galaxy_and_a_particle_hit_are_sources_but_no_stars():
    extra = constant_psf(gaussian_stamp(41, 3.5), SHAPE).draw([65.0], [66.0], [1e4], SHAPE)
    extra[95, 94:97] += 900
    extra[96, 95:97] += 900
    stars = find_stars(make_frame(extra))
    assert len(stars) == len(X) + 2
    assert not stars.star_like[nearest(stars, 65, 66)]
    assert not stars.star_like[nearest(stars, 95, 95)]
    assert stars.star_like.sum() == len(X)


@pytest.mark.parametrize(("share", "is_isolated"), [(0.04, True), (0.08, False)])
def test_a_star_with_a_near_neighbour_is_not_isolated(share, is_isolated):
    bright = nearest(list_stars(X, Y, FLUX), 140, 80)
    extra = PSF.draw([X[bright] + 10], [Y[bright]], [share * FLUX[bright]], SHAPE)
    stars = find_stars(make_frame(extra))
    assert bool(stars.isolated[nearest(stars, X[bright], Y[bright])]) is is_isolated
    assert not stars.isolated[nearest(stars, X[bright] + 10, Y[bright])], "the faint one never is"


def test_a_saturated_pixel_within_two_counts():
    mask = np.zeros(SHAPE, np.uint8)
    mask[21 + 2, 20 + 2], mask[21 + 3, 50] = Mask.SATURATED, Mask.SATURATED
    stars = find_stars(make_frame(mask=mask))
    assert stars.saturated[nearest(stars, 20, 21)]
    assert stars.saturated.sum() == 1


def test_a_peak_near_the_well_counts_as_saturated():
    peaks = np.sort(find_stars(make_frame()).peak)
    between = (peaks[-3] + peaks[-4]) / 2 + 100
    assert find_stars(make_frame(saturation=between / 0.9)).saturated.sum() == 3


def test_defects_are_not_sources_and_an_empty_frame_has_none():
    mask = np.zeros(SHAPE, np.uint8)
    extra = np.zeros(SHAPE)
    extra[50:53, 60:63], mask[50:53, 60:63] = 1e5, Mask.DEFECT
    assert len(find_stars(make_frame(extra, mask=mask))) == len(X)
    assert len(find_stars(plain_frame(np.zeros(SHAPE)))) == 0


def test_stars_can_be_taken_by_number_or_flag():
    stars = list_stars(X, Y, FLUX)
    assert stars.take(np.array([2, 0])).flux.tolist() == [FLUX[2], FLUX[0]]
    assert stars.take(FLUX > 7e3).x.tolist() == X[FLUX > 7e3].tolist()
