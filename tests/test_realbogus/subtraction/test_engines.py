"""The engines other than the fitted kernel, on small pairs of known PSFs without noise."""

import importlib.util
import sys
import types
from dataclasses import replace

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.psf.model import constant_psf
from realbogus.subtraction.difference import SubtractionError
from realbogus.subtraction.engines import adopt_difference, subtract_by_sfft, subtract_by_zogy
from realbogus.subtraction.sfft_engine import EngineError
from tests.star_field import gaussian_stamp, list_stars, make_pair, plain_frame

SHAPE = (120, 140)
NARROW, WIDE = (constant_psf(gaussian_stamp(size, sigma), SHAPE) for size, sigma in ((19, 1.4), (21, 1.9)))
X, Y = (grid.ravel().astype(float) for grid in np.meshgrid([25, 60, 95, 115], [20.3, 60.0, 99.7]))
FLUX = np.linspace(2e3, 9e3, len(X))
PLACE = 78, 42
STARS = list_stars(X, Y, FLUX)


def make_small_pair(ratio=2.0, transient=800.0, mask_new=None, mask_reference=None, **facts):
    """The reference has the stars' flux over `ratio`, the new frame a transient at `PLACE` too."""
    new = WIDE.draw([*X, PLACE[0]], [*Y, PLACE[1]], [*FLUX, transient], SHAPE)
    reference = NARROW.draw(X, Y, FLUX / ratio, SHAPE)
    return make_pair(
        plain_frame(new, sky=100.0, rms=2.0, mask=mask_new, **facts),
        plain_frame(reference, sky=40.0, rms=1.5, mask=mask_reference, **facts),
    )


def single(place, bit):
    mask = np.zeros(SHAPE, np.uint8)
    mask[place] = bit
    return mask


def test_zogy_ties_the_scales_by_stars_and_leaves_the_transient():
    pair = make_small_pair(gain=1e9)
    difference = subtract_by_zogy(pair, STARS, WIDE, NARROW)
    assert difference.scale == pytest.approx(2, rel=1e-3)
    row, column = np.unravel_index(difference.snr.argmax(), SHAPE)
    assert (column, row) == PLACE
    assert (difference.snr * difference.flux_error)[row, column] == pytest.approx(800, rel=0.01)
    assert difference.psf.size == 19, "that of the smaller stamp"
    assert difference.psf.at([70.0], [60.0]).sum() == pytest.approx(1, rel=1e-3)
    assert difference.fwhm_px == difference.psf.fwhm_px
    assert (difference.convolved, difference.kernel, difference.fit) == ("both", None, None)
    assert not difference.background.any()
    np.testing.assert_allclose(difference.matched_new - difference.matched_reference, difference.pixels, atol=1e-3)
    far = np.hypot(*(np.mgrid[:120, :140] - np.array([PLACE[1], PLACE[0]])[:, None, None])) > 14
    assert np.abs(difference.snr[far]).max() < 0.02 * difference.snr.max()


def test_zogy_has_the_noise_of_both_skies():
    difference = subtract_by_zogy(make_small_pair(gain=1e9, transient=0.0), STARS, WIDE, WIDE)
    expected = np.sqrt((4 + 2.25 * difference.scale**2) / (gaussian_stamp(21, 1.9) ** 2).sum())
    assert difference.flux_error[60, 78] == pytest.approx(expected, rel=0.01)


def test_zogy_is_nan_without_data_and_has_no_snr_on_defects():
    empty, defect = single((40, 50), Mask.NO_DATA), single((80, 30), Mask.DEFECT)
    for masks in ((empty, defect), (defect, empty)):
        difference = subtract_by_zogy(make_small_pair(1.0, 0.0, *masks), STARS, WIDE, NARROW)
        assert np.argwhere(np.isnan(difference.pixels)).tolist() == [[40, 50]]
        assert np.argwhere(np.isnan(difference.snr)).tolist() == [[40, 50], [80, 30]]
        assert (difference.mask == masks[0] | masks[1]).all()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"saturated": np.arange(12) > 3}, "4 stars to tie the flux scales, 5 are needed"),
        ({"star_like": np.arange(12) < 4}, "4 stars to tie the flux scales, 5 are needed"),
    ],
)
def test_fewer_than_five_stars_tie_no_scales(flags, message):
    with pytest.raises(SubtractionError, match=message):
        subtract_by_zogy(make_small_pair(), list_stars(X, Y, FLUX, **flags), WIDE, NARROW)


@pytest.mark.parametrize("level", [0.0, -1.0])
def test_stars_must_be_in_both_frames(level):
    pair = make_small_pair()
    blank = make_pair(pair.new, plain_frame(np.full(SHAPE, level)))
    with pytest.raises(SubtractionError, match="0 stars are in both frames, 5 are needed"):
        subtract_by_zogy(blank, STARS, WIDE, NARROW)
    five = list_stars(X[:5], Y[:5], FLUX[:5])
    assert subtract_by_zogy(pair, five, WIDE, NARROW).scale == pytest.approx(2, rel=1e-3)


def test_stars_near_the_edge_tie_no_scales():
    """The wider stamp is 21 pixels: a star must be more than 11 from the outermost pixel's centre."""
    x = np.array([11.0, 11.1, 127.9, 128.0, 60.0, 80.0, 100.0])
    y = np.full(7, 60.0)
    new = plain_frame(WIDE.draw(x, y, np.full(7, 1e3), SHAPE))
    reference = plain_frame(NARROW.draw(x, y, np.array([1e3, 500, 500, 1e3, 500, 500, 500]), SHAPE))
    difference = subtract_by_zogy(make_pair(new, reference), list_stars(x, y, np.full(7, 1e3)), WIDE, NARROW)
    assert difference.scale == pytest.approx(2, rel=2e-3)
    with pytest.raises(SubtractionError, match="4 stars to tie"):
        subtract_by_zogy(make_pair(new, reference), list_stars(x[:6], y[:6], np.full(6, 1e3)), WIDE, NARROW)


def test_a_given_difference_keeps_its_pixels_and_gets_unit_scatter():
    rng = np.random.default_rng(0)
    pair = make_small_pair(mask_new=single((40, 50), Mask.NO_DATA), mask_reference=single((80, 30), Mask.DEFECT))
    given = rng.normal(0, 5, SHAPE)
    difference = adopt_difference(pair, given, WIDE)
    assert difference.pixels.dtype == np.float32
    assert np.argwhere(np.isnan(difference.pixels)).tolist() == [[40, 50]]
    assert np.nanmax(np.abs(difference.pixels - given)) < 1e-5
    low, high = np.nanpercentile(difference.snr, [25, 75])
    assert (high - low) / 1.349 == pytest.approx(1, rel=1e-3)
    assert np.isfinite(difference.snr[80, 30]), "a defect is measured on the pixels around it"
    assert (difference.convolved, difference.scale, difference.kernel, difference.fit) == ("unknown", 1.0, None, None)
    assert difference.psf is WIDE
    assert difference.fwhm_px == WIDE.fwhm_px
    assert difference.matched_new is pair.new.pixels
    left = difference.matched_new - difference.matched_reference - difference.background - difference.pixels
    assert np.nanmax(np.abs(left)) < 1e-3


def test_a_given_difference_has_the_flux_and_error_of_its_scatter():
    """White noise of 5 counts gives a PSF flux error of 5 over the root of the power, whatever the frames say."""
    rng = np.random.default_rng(1)
    given = rng.normal(0, 5, SHAPE) + WIDE.draw([PLACE[0]], [PLACE[1]], [4e3], SHAPE)
    empty = plain_frame(np.zeros(SHAPE), rms=2.0)
    difference = adopt_difference(make_pair(empty, empty), given, WIDE)
    error = 5 / np.sqrt((gaussian_stamp(21, 1.9) ** 2).sum())
    assert difference.flux_error[60, 70] == pytest.approx(error, rel=0.1)
    assert (difference.snr * difference.flux_error)[PLACE[1], PLACE[0]] == pytest.approx(4e3, rel=0.05)


def test_zogy_takes_the_psf_of_the_chips_middle():
    broader = constant_psf(gaussian_stamp(21, 2.6), SHAPE).spectra[0] - WIDE.spectra[0]
    spectra = np.stack([WIDE.spectra[0], broader, -broader])
    varying = replace(WIDE, spectra=spectra, order=1)
    pair = make_small_pair(transient=0.0)
    steady = subtract_by_zogy(pair, STARS, WIDE, NARROW)
    other = subtract_by_zogy(pair, STARS, varying, NARROW)
    np.testing.assert_allclose(other.psf.at([70.0], [60.0]), steady.psf.at([70.0], [60.0]), atol=1e-3)


def test_a_star_of_less_than_one_count_ties_the_scales_too():
    assert subtract_by_zogy(make_small_pair(1e4, gain=1e9), STARS, WIDE, NARROW).scale == pytest.approx(1e4, rel=1e-2)


class _Stub:
    """The two functions of sfft that are called: the broad image less the sharp one, and what was asked for."""

    def __init__(self):
        self.asked = {}

    def SSC(self, **options):  # noqa: N802 - sfft's name
        self.asked |= options
        return "configuration"

    def GSS(self, **options):  # noqa: N802 - sfft's name
        self.asked |= options
        return None, options["PixA_J"] - options["PixA_I"]


@pytest.fixture
def sfft(monkeypatch):
    stub = _Stub()
    for name in ("sfft", "sfft.sfftcore", "sfft.sfftcore.SFFTConfigure", "sfft.sfftcore.SFFTSubtract"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["sfft.sfftcore.SFFTConfigure"].SingleSFFTConfigure = stub
    sys.modules["sfft.sfftcore.SFFTSubtract"].GeneralSFFTSubtract = stub
    return stub


@pytest.mark.parametrize("convolved", ["reference", "new"])
def test_sfft_gets_the_stars_stamps_and_gives_new_minus_reference(sfft, convolved):
    mask = single((60, 61), Mask.DEFECT) | single((62, 60), Mask.SATURATED) | single((3, 4), Mask.NO_DATA)
    pair = make_small_pair(mask_new=mask)
    stars = list_stars(X[[1, 5, 6, 7, 9]], Y[[1, 5, 6, 7, 9]], FLUX[:5])
    one = subtract_by_sfft(pair, convolved, 2, stars, WIDE, NARROW)
    width = int(np.ceil(2 * WIDE.fwhm_px))
    assert (sfft.asked["KerHW"], sfft.asked["KerPolyOrder"], sfft.asked["BGPolyOrder"]) == (width, 2, 2)
    assert (sfft.asked["NX"], sfft.asked["NY"], sfft.asked["SFFTConfig"]) == (140, 120, "configuration")
    signals = {"new": sfft.asked["PixA_J"], "reference": sfft.asked["PixA_I"]}
    if convolved == "new":
        signals = {"new": sfft.asked["PixA_I"], "reference": sfft.asked["PixA_J"]}
    np.testing.assert_array_equal(signals["reference"].T, pair.reference.signal())
    usable = mask == 0
    np.testing.assert_array_equal(signals["new"].T[usable], pair.new.signal()[usable])
    # stamps reach three FWHM, rounded up, from each star's pixel
    reach = int(np.ceil(3 * WIDE.fwhm_px))
    fitted = np.zeros(SHAPE, bool)
    for x, y in zip(stars.x, stars.y, strict=True):
        row, column = round(y), round(x)
        fitted[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = True
    fitted &= usable
    for name in ("I", "J"):
        np.testing.assert_array_equal(sfft.asked[f"PixA_m{name}"], np.where(fitted.T, sfft.asked[f"PixA_{name}"], 0))
    difference = (signals["new"] - signals["reference"]).T
    scale = 2 if convolved == "new" else 1  # of the reference's counts, where the new frame was convolved
    good = usable & np.isfinite(one.pixels)
    np.testing.assert_allclose(one.pixels[good], scale * difference[good], rtol=5e-3, atol=0.5)
    assert np.argwhere(np.isnan(one.pixels)).tolist() == [[3, 4]]
    assert one.convolved == convolved
    assert one.psf is (NARROW if convolved == "new" else WIDE)


@pytest.mark.skipif(importlib.util.find_spec("sfft") is not None, reason="sfft is installed")
@pytest.mark.parametrize("convolved", ["new", "reference"])
def test_without_the_package_sfft_the_remedy_is_named(convolved):
    with pytest.raises(EngineError, match="pip install sfft, or engine='alard-lupton'"):
        subtract_by_sfft(make_small_pair(), convolved, 1, STARS, WIDE, NARROW)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_given_difference_without_scatter_is_refused(value):
    frame = plain_frame(np.zeros((90, 90)), rms=2.0)
    psf = constant_psf(gaussian_stamp(11, 1.5), (90, 90))
    with pytest.raises(SubtractionError, match="must have noise to be searched"):
        adopt_difference(make_pair(frame, frame), np.full((90, 90), value, np.float32), psf)
