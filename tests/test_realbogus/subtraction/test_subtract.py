"""Residuals, noise and photometry of differences of small fields whose truth is known."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, signal

from realbogus.frames import Mask
from realbogus.psf.kernels import VaryingKernel
from realbogus.psf.measure import PsfError, find_stars, measure_psf
from realbogus.psf.model import constant_psf
from realbogus.subtraction.kernel_fit import KernelFitError
from realbogus.subtraction.sfft_engine import EngineError
from realbogus.subtraction.subtract import SubtractionError, SubtractionSettings, subtract
from tests.star_field import (
    SHAPE,
    Optics,
    draw_light,
    expose,
    gaussian_stamp,
    list_stars,
    make_pair,
    plain_frame,
    scatter_stars,
)

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


SMALL_SHAPE = (176, 210)
SMALL_SHARP, SMALL_BROAD = (constant_psf(gaussian_stamp(21, sigma), SMALL_SHAPE) for sigma in (1.4, 1.9))
COLUMNS, ROWS = (grid.ravel() + 0.3 for grid in np.meshgrid(np.arange(40, 180, 22), np.arange(40, 150, 22)))
COUNTS = np.linspace(3e3, 9e3, len(COLUMNS))
SMALL_STARS = list_stars(COLUMNS, ROWS, COUNTS)
PLACE = 95, 73


def make_small(psf_new, psf_reference, *, offset=0.0, masks=(None, None), stars=(COLUMNS, ROWS, COUNTS)):
    """A noiseless pair: the reference has twice the counts, the new frame 500 more at `PLACE` and a false sky level."""
    x, y, flux = stars
    new = psf_new.draw([*x, PLACE[0]], [*y, PLACE[1]], [*flux, 500.0], SMALL_SHAPE) + offset
    reference = psf_reference.draw(x, y, 2 * flux, SMALL_SHAPE)
    facts = {"gain": 1e9}
    return make_pair(
        plain_frame(new, sky=100.0, rms=2.0, mask=masks[0], **facts),
        plain_frame(reference, sky=60.0, rms=1.5, mask=masks[1], **facts),
    )


DIRECTIONS = pytest.mark.parametrize(
    ("psf_new", "psf_reference", "convolved"),
    [(SMALL_BROAD, SMALL_SHARP, "reference"), (SMALL_SHARP, SMALL_BROAD, "new")],
)


@DIRECTIONS
def test_a_small_pair_in_exact_numbers(psf_new, psf_reference, convolved):
    pair = make_small(psf_new, psf_reference, offset=5.0)
    one = subtract(pair, None, SMALL_STARS, psf_new, psf_reference)
    assert (one.convolved, one.fit.kernel is one.kernel, one.pair is pair) == (convolved, True, True)
    assert one.scale == pytest.approx(0.5, rel=2e-3)
    assert one.fwhm_px == SMALL_BROAD.fwhm_px
    assert one.psf.at([95.0], [73.0]) == pytest.approx(SMALL_BROAD.at([95.0], [73.0]), abs=2e-3)
    inner = slice(30, -30), slice(30, -30)
    expected = psf_new.draw([PLACE[0]], [PLACE[1]], [500.0], SMALL_SHAPE) if convolved == "reference" else None
    expected = SMALL_BROAD.draw([PLACE[0]], [PLACE[1]], [500.0], SMALL_SHAPE) if expected is None else expected
    np.testing.assert_allclose(one.pixels[inner], expected[inner], atol=1.0)
    assert (one.snr * one.flux_error)[PLACE[1], PLACE[0]] == pytest.approx(500, rel=0.01)
    balance = one.matched_new - one.matched_reference - one.background - one.pixels
    assert np.nanmax(np.abs(balance)) < 1e-3
    if convolved == "reference":
        assert one.matched_new is pair.new.pixels
        assert np.median(one.background) == pytest.approx(105, abs=0.2), "the false level goes to the background"
    else:
        middle = one.kernel.sums()[88, 105]
        assert middle == pytest.approx(2, rel=2e-3)
        assert np.median(one.background) == pytest.approx(5, abs=0.2)


@DIRECTIONS
def test_the_noise_is_that_of_both_frames_through_the_kernel(psf_new, psf_reference, convolved):
    one = subtract(make_small(psf_new, psf_reference), None, SMALL_STARS, psf_new, psf_reference)
    middle = np.array([105]), np.array([88])
    profile, kernel = one.psf.at(*middle)[0][::-1, ::-1], one.kernel.at(*middle)[0]
    power, through = (profile**2).sum(), (signal.fftconvolve(profile, kernel) ** 2).sum()
    if convolved == "reference":
        variance = 4 * power + 2.25 * through
    else:  # in the new frame's counts, which the kernel doubles
        variance = (4 * through + 2.25 * power) / one.kernel.sums()[88, 105] ** 2
    assert one.flux_error[88, 105] == pytest.approx(np.sqrt(variance) / power, rel=0.02)


@pytest.mark.parametrize(
    ("convolve", "convolved"), [("new", "new"), ("reference", "reference"), ("sharper", "reference")]
)
def test_the_frame_to_convolve_can_be_chosen(convolve, convolved):
    settings = SubtractionSettings(convolve=convolve)
    assert subtract(
        make_small(SMALL_SHARP, SMALL_SHARP), settings, SMALL_STARS, SMALL_SHARP, SMALL_SHARP
    ).convolved == (convolved), "of two equal frames the reference is convolved"


@DIRECTIONS
def test_missing_pixels_of_the_convolved_frame_spread_and_the_others_do_not(psf_new, psf_reference, convolved):
    masks = [np.zeros(SMALL_SHAPE, np.uint8), np.zeros(SMALL_SHAPE, np.uint8)]
    masks[convolved == "reference"][62, 73] = Mask.NO_DATA  # between stars
    masks[convolved == "new"][85, 73] = Mask.NO_DATA
    masks[0][107, 73] = Mask.DEFECT
    one = subtract(make_small(psf_new, psf_reference, masks=masks), None, SMALL_STARS, psf_new, psf_reference)
    reach = one.kernel.core_radius_px()
    assert reach > 2
    expected = np.zeros(SMALL_SHAPE, bool)
    expected[62 - reach : 63 + reach, 73 - reach : 74 + reach] = True
    expected[85, 73] = True
    expected[:reach] = expected[-reach:] = expected[:, :reach] = expected[:, -reach:] = True
    assert (np.isnan(one.pixels) == expected).all()
    assert np.isnan(one.snr[expected]).all()
    assert np.isfinite(one.snr[107, 73]), "a defect is measured by the pixels around it"
    assert one.mask[107, 73] == Mask.DEFECT
    assert one.mask[62, 73] == one.mask[85, 73] == Mask.NO_DATA


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ({}, 35),
        ({"saturated": np.arange(35) < 7}, 28),
        ({"star_like": np.arange(35) < 10}, 10),
        ({"star_like": np.arange(35) < 9}, 35),
        ({"snr": np.where(np.arange(35) < 5, 20.0, 20.1)}, 30),
    ],
)
def test_the_kernel_is_fitted_on_bright_stars_or_on_all_sources_where_stars_are_few(flags, count):
    stars = list_stars(COLUMNS, ROWS, COUNTS, **flags)
    fit = subtract(make_small(SMALL_BROAD, SMALL_SHARP), None, stars, SMALL_BROAD, SMALL_SHARP).fit
    assert fit.stars + fit.clipped + fit.held_out == count


def test_a_given_difference_must_fit_its_pair_and_its_engine():
    pair, given = make_small(SMALL_BROAD, SMALL_SHARP), np.zeros(SMALL_SHAPE, np.float32)
    with pytest.raises(SubtractionError, match=r"difference of d0 visit 1 is \(175, 210\), the frames \(176, 210\)"):
        subtract(pair, SubtractionSettings(engine="precomputed"), precomputed=given[1:])
    with pytest.raises(SubtractionError, match="engine 'zogy' takes no difference"):
        subtract(pair, SubtractionSettings(engine="zogy"), precomputed=given)


@pytest.mark.parametrize("which", ["new", "reference"])
def test_a_twentieth_of_a_frame_must_be_usable(which):
    frames = {"new": None, "reference": None}
    mask = np.full(SMALL_SHAPE, int(Mask.DEFECT), np.uint8)
    mask.flat[: mask.size // 20 - 1] = 0
    frames[which] = mask
    pair = make_small(SMALL_BROAD, SMALL_SHARP, masks=tuple(frames.values()))
    with pytest.raises(
        SubtractionError, match=rf"the {which} frame of d0 visit 1 has 5.0% usable pixels, 5% is needed"
    ):
        subtract(pair, None, SMALL_STARS, SMALL_BROAD, SMALL_SHARP)
    mask.flat[: mask.size // 20] = 0
    pair = make_small(SMALL_BROAD, SMALL_SHARP, masks=tuple(frames.values()))
    with pytest.raises(KernelFitError, match="0 unmasked stars"):
        subtract(pair, None, SMALL_STARS, SMALL_BROAD, SMALL_SHARP)


@pytest.mark.parametrize(
    "settings", [{"width_ratios": (), "degrees": ()}, {"width_ratios": (1.0, 2.0), "degrees": (1,)}]
)
def test_every_gaussian_has_its_degree(settings):
    with pytest.raises(ValueError, match="expected as many"):
        SubtractionSettings(**settings)


def test_the_defaults_are_those_that_are_shipped():
    assert SubtractionSettings().model_dump() == {
        **{"engine": "alard-lupton", "convolve": "sharper", "spatial_order": 2},
        **{"width_ratios": (0.7, 1.5, 3.0), "degrees": (4, 2, 2)},
        **{"most_stars": 250, "least_snr": 20.0, "clip_sigma": 4.0},
    }


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("spatial_order", (0, 3), (-1, 4)),
        ("most_stars", (10,), (9,)),
        ("least_snr", (0.1,), (0,)),
        ("clip_sigma", (0.1,), (0,)),
    ],
)
def test_settings_within_their_limits_are_accepted(name, accepted, refused):
    for value in accepted:
        assert getattr(SubtractionSettings(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(ValueError, match=name):
            SubtractionSettings(**{name: value})


def test_the_scale_is_that_of_the_chips_middle():
    """The new frame's counts rise along the chip, from 0.3 of the reference's to 0.7."""
    pair = make_small(SMALL_BROAD, SMALL_SHARP)
    rising = COUNTS * (1 + 0.4 * (2 * COLUMNS / 209 - 1)) * (1 + 0.3 * (2 * ROWS / 175 - 1))
    new = plain_frame(SMALL_BROAD.draw(COLUMNS, ROWS, rising, SMALL_SHAPE), sky=100.0, rms=2.0, gain=1e9)
    one = subtract(replace(pair, new=new), None, SMALL_STARS, SMALL_BROAD, SMALL_SHARP)
    assert one.scale == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("which", ["new", "reference"])
def test_a_defect_of_either_frame_has_no_weight(which):
    mask = np.zeros(SMALL_SHAPE, np.uint8)
    mask[73, 117] = Mask.DEFECT
    pair = make_small(SMALL_BROAD, SMALL_SHARP)
    clean = subtract(pair, None, SMALL_STARS, SMALL_BROAD, SMALL_SHARP)
    frame = getattr(pair, which)
    pixels = frame.pixels.copy()
    pixels[73, 117] += 5e4
    broken = subtract(
        replace(pair, **{which: frame.with_pixels(pixels, mask)}), None, SMALL_STARS, SMALL_BROAD, SMALL_SHARP
    )
    assert np.nanmax(np.abs(broken.snr - clean.snr)[60:90, 105:130]) < 0.5


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
