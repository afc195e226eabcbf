"""The measured PSF against the one that the stars were drawn with."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from realbogus.frames import Mask
from realbogus.psf.measure import PsfError, constant_psf, find_stars, measure_psf
from tests.star_field import SHAPE, Optics, draw_light, expose, scatter_stars

OPTICS = Optics(3.1)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(1)
    x, y, flux = scatter_stars(rng, 150)
    return expose(draw_light(SHAPE, x, y, flux, OPTICS), 800.0, rng)


@pytest.fixture(scope="module")
def model(frame):
    return measure_psf(frame)


def true_stamps(x, y, size, optics=OPTICS):
    """Stamps of unit flux at the places of `x, y`, which are drawn one by one in an empty chip."""
    half, stamps = size // 2, []
    for column, row in zip(x, y, strict=True):
        image = np.pad(draw_light(SHAPE, [column], [row], [1.0], optics, radius=half + 2), half)
        left, top = int(np.floor(column + 0.5)), int(np.floor(row + 0.5))
        stamps.append(image[top : top + size, left : left + size])
    return np.array(stamps)


def test_flux_centre_and_shape_are_the_true_ones_at_every_phase_and_place(model):
    rng = np.random.default_rng(2)
    x, y = rng.uniform(20, SHAPE[1] - 20, 60), rng.uniform(20, SHAPE[0] - 20, 60)
    drawn, true = model.at(x, y), true_stamps(x, y, model.size)
    flux = (drawn * true).sum(axis=(1, 2)) / (drawn**2).sum(axis=(1, 2))
    assert abs(flux.mean() - 1) < 0.015
    assert flux.std() < 0.01
    gradient = np.gradient(true, axis=(1, 2))
    for slope in gradient:
        shift = -((drawn - true) * slope).sum(axis=(1, 2)) / (slope**2).sum(axis=(1, 2))
        assert np.abs(shift).max() < 0.02
    peak = true.max(axis=(1, 2), keepdims=True)
    assert np.abs((drawn - true) / peak).max() < 0.05


def test_width_follows_the_chip(model):
    middle = SHAPE[0] / 2
    left, right = (np.square(model.at([place], [middle])).sum() for place in (30.0, SHAPE[1] - 30.0))
    # the noise-equivalent area of a Moffat star goes with the square of its FWHM, here 0.955 and 1.045 of the middle's
    assert left / right == pytest.approx((1.0446 / 0.9554) ** 2, rel=0.06)


def test_one_star_sums_to_one_within_the_radius(model):
    offsets = np.arange(model.size) - model.size // 2
    disc = np.hypot(offsets, offsets[:, None]) <= model.radius_px
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, SHAPE[1], 50), rng.uniform(0, SHAPE[0], 50)
    for realisation in (None, 0, 9):
        sums = (model.at(x, y, realisation) * disc).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, 1, atol=4e-3)


def test_fwhm_is_that_of_the_pixels_and_seeing_together(model):
    fine = true_stamps([SHAPE[1] / 2], [SHAPE[0] / 2], 25)[0]
    zoomed = ndimage.zoom(fine, 8, order=5, grid_mode=True, mode="nearest")
    expected = 2 * np.sqrt((zoomed > zoomed.max() / 2).sum() / np.pi) / 8
    assert model.fwhm_px == pytest.approx(expected, rel=0.02)


def test_jackknife_is_as_wide_as_the_error(model):
    rng = np.random.default_rng(4)
    x, y = rng.uniform(30, SHAPE[1] - 30, 40), rng.uniform(30, SHAPE[0] - 30, 40)
    error = model.at(x, y) - true_stamps(x, y, model.size)
    spread = np.std([model.at(x, y, k) for k in range(len(model.jackknife))], axis=0)
    core = slice(model.size // 2 - 3, model.size // 2 + 4)
    ratio = np.sqrt((error[:, core, core] ** 2).mean() / (spread[:, core, core] ** 2).mean())
    assert 0.4 < ratio < 2.5


def test_drawing_many_is_adding_each_where_it_falls(model):
    rng = np.random.default_rng(5)
    x, y, flux = rng.uniform(-5, SHAPE[1] + 5, 40), rng.uniform(-5, SHAPE[0] + 5, 40), rng.uniform(1, 9, 40)
    expected = np.zeros((SHAPE[0] + 200, SHAPE[1] + 200))
    for stamp, column, row, counts in zip(model.at(x, y), x, y, flux, strict=True):
        left, top = (
            int(np.floor(column + 0.5)) + 100 - model.size // 2,
            int(np.floor(row + 0.5)) + 100 - model.size // 2,
        )
        expected[top : top + model.size, left : left + model.size] += counts * stamp
    np.testing.assert_allclose(model.draw(x, y, flux, SHAPE), expected[100:-100, 100:-100], atol=1e-5)


def test_neighbours_and_background_light_stay_out_of_the_wings():
    rng = np.random.default_rng(6)
    x, y, flux = scatter_stars(rng, 300, least=4e3, most=1e5, apart=8.0)
    crowded = measure_psf(expose(draw_light(SHAPE, x, y, flux, OPTICS), 800.0, rng))
    place = np.array([150.3, 400.7]), np.array([120.2, 300.4])
    drawn, true = crowded.at(*place), true_stamps(*place, crowded.size)
    flux_of_true = (drawn * true).sum(axis=(1, 2)) / (drawn**2).sum(axis=(1, 2))
    np.testing.assert_allclose(flux_of_true, 1, atol=0.03)


def test_stars_are_told_from_galaxies_hits_and_saturated_ones():
    rng = np.random.default_rng(7)
    x, y, flux = scatter_stars(rng, 90, apart=30.0)
    kinds = np.repeat(["star", "galaxy", "saturated"], [70, 10, 10])
    light = draw_light(SHAPE, x[kinds == "star"], y[kinds == "star"], flux[kinds == "star"], OPTICS)
    light += draw_light(SHAPE, x[kinds == "galaxy"], y[kinds == "galaxy"], 3 * flux[kinds == "galaxy"], Optics(5.5))
    light += draw_light(SHAPE, x[kinds == "saturated"], y[kinds == "saturated"], np.full(10, 2e6), OPTICS)
    stars = find_stars(expose(light, 800.0, rng, saturation=3e4))
    nearest = np.hypot(stars.x[:, None] - x, stars.y[:, None] - y).argmin(axis=1)
    usable = stars.star_like & ~stars.saturated
    assert (kinds[nearest[usable]] == "star").all()
    assert usable.sum() > 60
    bright = kinds[nearest] == "star"
    off = np.hypot(stars.x - x[nearest], stars.y - y[nearest])[bright & (stars.snr > 100)]
    assert np.median(off) < 0.05


def test_too_few_stars_are_refused_by_number():
    rng = np.random.default_rng(8)
    x, y, flux = scatter_stars(rng, 3)
    with pytest.raises(PsfError, match=r"^3 usable stars .* 12 are needed"):
        measure_psf(expose(draw_light(SHAPE, x, y, flux, OPTICS), 800.0, rng))
    with pytest.raises(PsfError, match=r"^0 usable stars"):
        measure_psf(expose(np.zeros(SHAPE), 800.0, rng))


def test_masked_stars_are_not_used(frame, model):
    mask = frame.mask.copy()
    mask[:, : SHAPE[1] // 2] = Mask.DEFECT
    assert 12 <= measure_psf(frame.with_pixels(frame.pixels, mask)).stars < 0.7 * model.stars


def test_defects_and_the_edge_cost_no_star_outside_of_its_core(frame, model):
    """A grid of defects, a bad column in each star's wings or none: the same stars give nearly the same model."""
    mask = frame.mask.copy()
    mask[:, ::29] = Mask.DEFECT
    pixels = np.where(mask > 0, 3000, frame.pixels).astype(np.float32)
    spotted = measure_psf(frame.with_pixels(pixels, mask))
    assert spotted.stars > 0.5 * model.stars
    place = np.array([100.2, 400.6]), np.array([300.4, 90.7])
    drawn, true = spotted.at(*place), true_stamps(*place, spotted.size)
    flux = (drawn * true).sum(axis=(1, 2)) / (drawn**2).sum(axis=(1, 2))
    np.testing.assert_allclose(flux, 1, atol=0.02)


def test_what_is_smaller_than_a_star_stays_in_the_frame():
    """Hits near the upper edge, with a dark spot below, from which a windowed centroid runs away."""
    rng = np.random.default_rng(1)
    x, y, flux = scatter_stars(rng, 60, least=4e4, most=4e5, apart=40.0)
    one = expose(draw_light(SHAPE, x, y, flux, Optics(6.0)), 800.0, rng)
    pixels, height = one.pixels.copy(), SHAPE[0]
    for left in range(20, SHAPE[1] - 20, 12):
        pixels[height - 9 : height - 7, left : left + 3] += 200
        pixels[height - 12 : height - 10, left : left + 3] -= 200
    hit = one.with_pixels(pixels, one.mask)
    stars = find_stars(hit)
    assert len(stars) > 60
    assert stars.x.min() > -0.5
    assert stars.y.max() < height - 0.5
    assert measure_psf(hit).fwhm_px == pytest.approx(measure_psf(one).fwhm_px, rel=0.01)


def test_a_stamp_becomes_a_constant_model():
    stamp = true_stamps([200.0], [200.0], 25)[0]
    known = constant_psf(3 * stamp, SHAPE)
    np.testing.assert_allclose(known.at([7.0, 300.0], [9.0, 2.0]), [stamp / stamp.sum()] * 2, atol=1e-6)
    with pytest.raises(PsfError, match=r"\(24, 25\)"):
        constant_psf(stamp[1:], SHAPE)
    with pytest.raises(PsfError, match="positive sum"):
        constant_psf(-stamp, SHAPE)


def test_stars_that_determine_no_psf_are_refused(frame):
    """Without a weight in any pixel the normal equations are singular."""
    stars = find_stars(frame)
    blind = replace(frame, background_rms=np.full(frame.shape, np.inf, np.float32))
    with pytest.raises(PsfError, match=r"the stars give no PSF \(Singular matrix\): check the frame's gain"):
        measure_psf(blind, stars)
