"""Residuals, noise and photometry of differences of small fields whose truth is known."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from realbogus.frames import Mask
from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.measure import PsfError, find_stars, measure_psf
from realbogus.subtraction.kernel_fit import KernelFitError
from realbogus.subtraction.sfft_engine import EngineError
from realbogus.subtraction.subtract import SubtractionError, SubtractionSettings, subtract
from tests.star_field import SHAPE, Optics, draw_light, expose, make_pair, scatter_stars

SHARP, BROAD = Optics(2.7, stretch=-0.02), Optics(3.4)
SKY = 900.0
TRANSIENTS = np.array([90.4, 210.7, 333.2, 420.0, 505.5]), np.array([300.1, 77.6, 250.5, 120.3, 380.8])
TRANSIENT_COUNTS = np.array([8e3, 8e3, 1.2e4, 1.2e4, 2e4])


def make_sky(optics_new=BROAD, optics_reference=SHARP, *, seed=1, ratio=1.0, transients=False, stars=110, **frame):
    """A pair whose reference has `ratio` times the new frame's variance and twice its counts; and the stars' light."""
    rng = np.random.default_rng(seed)
    x, y, flux = scatter_stars(rng, stars, least=5e3)
    light = draw_light(SHAPE, x, y, flux, optics_new)
    if transients:
        light += draw_light(SHAPE, *TRANSIENTS, TRANSIENT_COUNTS, optics_new)
    seen = 2 * draw_light(SHAPE, x, y, flux, optics_reference)
    new = expose(light, SKY, rng, **frame)
    # the reference counts double, so that the same variance in units of the new frame is four times as large
    reference = expose(seen, 2 * SKY, rng, noise=np.sqrt(2 * ratio), exact_sky=frame.get("exact_sky", False))
    return make_pair(new, reference), light


@pytest.fixture(scope="module")
def difference():
    pair, _ = make_sky(transients=True)
    return subtract(pair)


@pytest.fixture(scope="module")
def swapped():
    pair, _ = make_sky(SHARP, BROAD, transients=True)
    return subtract(pair)


def test_the_sharper_frame_is_convolved_and_the_scale_is_the_new_frames(difference, swapped):
    assert (difference.convolved, swapped.convolved) == ("reference", "new")
    assert difference.scale == pytest.approx(0.5, rel=0.02)
    assert swapped.scale == pytest.approx(0.5, rel=0.02)


def test_a_difference_is_the_new_frame_less_the_convolved_reference(difference):
    """Recomputed pixel by pixel from the kernel at each place."""
    pair, radius = difference.pair, difference.kernel.radius_px
    reference = pair.reference.signal()
    for x, y in ((60, 50), (301, 222), (333, 251), (530, 400)):
        window = reference[y - radius : y + radius + 1, x - radius : x + radius + 1]
        matched = (window[::-1, ::-1] * difference.kernel_at(x, y)).sum()
        left = pair.new.pixels[y, x] - matched - difference.background[y, x] - difference.pixels[y, x]
        assert abs(left) < 1e-5 * pair.new.pixels.max()


def test_parts_balance_for_every_engine(difference, swapped):
    proper = subtract(difference.pair, SubtractionSettings(engine="zogy"))
    given = subtract(difference.pair, SubtractionSettings(engine="precomputed"), precomputed=difference.pixels)
    for one in (difference, swapped, proper, given):
        left = one.matched_new - one.matched_reference - one.background - one.pixels
        assert np.nanmax(np.abs(left)) < 0.01


def test_stars_left_out_of_the_fit_subtract_to_the_noise(difference, swapped):
    for one in (difference, swapped):
        assert 0.85 < one.fit.heldout_chi2 < 1.15
        assert one.fit.held_out >= 10
        assert one.kernel.order == 2


@pytest.mark.parametrize("which", ["difference", "swapped"])
def test_fluxes_of_transients_are_the_true_ones(which, request):
    one = request.getfixturevalue(which)
    stamps = one.psf.at(*TRANSIENTS)
    size = one.psf.size
    for stamp, x, y, counts in zip(stamps, *TRANSIENTS, TRANSIENT_COUNTS, strict=True):
        left, top = int(np.floor(x + 0.5)) - size // 2, int(np.floor(y + 0.5)) - size // 2
        cut = one.pixels[top : top + size, left : left + size]
        flux = (cut * stamp).sum() / (stamp**2).sum()
        error = one.flux_error[int(y), int(x)]
        assert abs(flux - counts) < 0.02 * counts + 3.5 * error


@pytest.mark.parametrize("ratio", [0.0, 0.2, 1.0, 2.0])
@pytest.mark.parametrize("optics", [(BROAD, SHARP), (SHARP, BROAD)])
def test_empty_sky_has_unit_noise_and_gaussian_tails(ratio, optics):
    snr, expected = [], []
    rng = np.random.default_rng(7)
    for seed in (1, 2):
        pair, light = make_sky(*optics, seed=seed, ratio=ratio, stars=60, exact_sky=True)
        one = subtract(pair)
        empty = (ndimage.maximum_filter(light, 25) < 30) & np.isfinite(one.snr)
        snr.append(one.snr[empty])
        profile = one.psf.at([280.0], [220.0])[0]
        pure = ndimage.convolve(rng.standard_normal(SHAPE), profile)
        expected.append((pure / np.sqrt((profile**2).sum()))[empty])
    snr, expected = np.concatenate(snr), np.concatenate(expected)
    assert snr.std() == pytest.approx(1, abs=0.03)
    assert abs(snr.mean()) < 0.1
    for tail in (lambda z: z > 2, lambda z: z < -2, lambda z: np.abs(z) > 3):
        assert 1 / 1.5 < tail(snr).sum() / tail(expected).sum() < 1.5


def test_a_source_adds_its_own_noise():
    """Over many stars that subtract perfectly but for photon noise the S/N image scatters as on the sky."""
    rng = np.random.default_rng(3)
    x, y, flux = scatter_stars(rng, 130, least=3e4, most=3e5)
    light = draw_light(SHAPE, x, y, flux, BROAD)
    pair = make_pair(expose(light, SKY, rng), expose(light, SKY, rng))
    one = subtract(pair)
    inside = (x > 15) & (y > 15) & (x < SHAPE[1] - 15) & (y < SHAPE[0] - 15)
    at_stars = one.snr[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)]
    assert 0.7 < at_stars.std() < 1.4


def test_variables_do_not_touch_the_kernel(difference):
    """What a transient on a tenth of the stars does to the kernel stays under the noise of the fit."""
    pair, _ = make_sky(transients=True)
    stars = find_stars(pair.new)
    chosen = np.flatnonzero(stars.star_like & (stars.snr > 60))[::10]
    extra = draw_light(SHAPE, stars.x[chosen], stars.y[chosen], 0.7 * stars.flux[chosen], BROAD)
    risen = replace(pair, new=pair.new.with_pixels((pair.new.pixels + extra).astype(np.float32), pair.new.mask))
    psf = measure_psf(pair.new, stars), measure_psf(pair.reference)
    before, after = subtract(pair, None, stars, *psf), subtract(risen, None, stars, *psf)
    assert after.fit.clipped >= before.fit.clipped + len(chosen) // 2
    assert after.scale == pytest.approx(before.scale, rel=0.01)
    far = (ndimage.maximum_filter(extra, 31) < 1) & np.isfinite(before.snr)
    assert (after.pixels - before.pixels)[far].std() < 0.2 * before.pair.new.background_rms.mean()


def test_lost_pixels_are_nan_and_poison_nothing_else(difference):
    pair = difference.pair
    mask, pixels = pair.reference.mask.copy(), pair.reference.pixels.copy()
    mask[200:220, 300:330], pixels[200:220, 300:330] = Mask.NO_DATA, np.nan
    mask[100, 100], pixels[100, 100] = Mask.DEFECT, 1e6
    holed = subtract(replace(pair, reference=pair.reference.with_pixels(pixels, mask)))
    assert np.isnan(holed.pixels[200:220, 300:330]).all()
    assert np.isnan(holed.snr[200:220, 300:330]).all()
    assert np.isfinite(holed.pixels[120:180, 60:500]).all()
    assert np.abs(holed.pixels[95:106, 95:106] - difference.pixels[95:106, 95:106]).max() < 500
    assert np.abs(holed.snr[98:103, 98:103] - difference.snr[98:103, 98:103]).max() < 4


def test_saturated_stars_stay_out_of_the_fit():
    pair, _ = make_sky(saturation=4000.0, seed=4)
    assert (pair.new.mask & Mask.SATURATED).any()
    assert 0.85 < subtract(pair).fit.heldout_chi2 < 1.2


def test_zogy_agrees_in_flux_and_noise():
    constant = Optics(3.4, slope=0, stretch=0), Optics(2.7, slope=0, stretch=0)
    pair, light = make_sky(*constant, transients=True, seed=5)
    one = subtract(pair, SubtractionSettings(engine="zogy"))
    empty = (ndimage.maximum_filter(light, 31) < 30) & np.isfinite(one.snr)
    assert one.snr[empty].std() == pytest.approx(1, abs=0.03)
    column, row = (np.rint(place).astype(int) for place in TRANSIENTS)
    flux = (one.snr * one.flux_error)[row, column]
    # read at the nearest pixel's centre, so up to half a pixel from the peak
    np.testing.assert_allclose(flux / TRANSIENT_COUNTS, 1, atol=0.2)
    assert one.convolved == "both"
    with pytest.raises(SubtractionError, match="alard-lupton has one"):
        one.kernel_at(5, 5)


def test_a_given_difference_is_taken_with_unit_noise(difference):
    given = subtract(difference.pair, SubtractionSettings(engine="precomputed"), precomputed=difference.pixels)
    np.testing.assert_array_equal(given.pixels, difference.pixels)
    low, high = np.nanpercentile(given.snr, [25, 75])
    assert (high - low) / 1.349 == pytest.approx(1, abs=1e-3)


def test_a_varying_kernel_convolves_as_its_definition():
    rng = np.random.default_rng(0)
    kernel = VaryingKernel(rng.standard_normal((6, 7, 7)), 2, (150, 210))
    image = rng.standard_normal((150, 210)).astype(np.float32)
    convolved = kernel.convolve(image)
    for x, y in ((0, 0), (104, 3), (106, 75), (209, 149), (120, 119)):
        window = np.pad(image, 3)[y : y + 7, x : x + 7]
        expected = (window[::-1, ::-1] * kernel.at(np.array([x]), np.array([y]))[0]).sum()
        assert convolved[y, x] == pytest.approx(expected, abs=1e-3)
    np.testing.assert_allclose(kernel.sums()[75, 106], kernel.at(np.array([106]), np.array([75])).sum(), rtol=1e-4)


def test_what_cannot_be_subtracted_is_refused_by_name(difference):
    pair = difference.pair
    with pytest.raises(SubtractionError, match="d0 visit 1 is not aligned"):
        subtract(replace(pair, aligned=False))
    small = pair.reference.with_pixels(pair.reference.pixels[:-4], pair.reference.mask[:-4])
    with pytest.raises(SubtractionError, match=r"new \(440, 560\), reference \(436, 560\)"):
        subtract(replace(pair, reference=small))
    empty = pair.new.with_pixels(np.full(SHAPE, np.nan, np.float32), np.full(SHAPE, Mask.NO_DATA, np.uint8))
    with pytest.raises(SubtractionError, match=r"the new frame of d0 visit 1 has 0.0% usable pixels"):
        subtract(replace(pair, new=empty))
    with pytest.raises(SubtractionError, match=r"has 246400 NaN pixels that its mask calls good"):
        subtract(replace(pair, new=pair.new.with_pixels(empty.pixels, pair.new.mask)))
    with pytest.raises(SubtractionError, match="needs a difference"):
        subtract(pair, SubtractionSettings(engine="precomputed"))
    with pytest.raises(ValueError, match="3 width_ratios but 1 degrees"):
        SubtractionSettings(degrees=(2,))


def test_a_pair_without_stars_is_refused(difference):
    rng = np.random.default_rng(9)
    blank = make_pair(expose(np.zeros(SHAPE), SKY, rng), expose(np.zeros(SHAPE), SKY, rng))
    with pytest.raises(PsfError, match="0 usable stars"):
        subtract(blank)
    psf = measure_psf(difference.pair.new), measure_psf(difference.pair.reference)
    with pytest.raises(KernelFitError, match="0 unmasked stars to fit a kernel, 6 are needed"):
        subtract(blank, None, find_stars(blank.new), *psf)


@pytest.mark.skipif(importlib.util.find_spec("sfft") is not None, reason="sfft is installed")
def test_an_engine_that_is_not_installed_is_named(difference):
    with pytest.raises(EngineError, match="pip install sfft"):
        subtract(difference.pair, SubtractionSettings(engine="sfft"))
