"""Detections of transients of known place and flux."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from realbogus.frames import Mask
from realbogus.psf.model import constant_psf
from realbogus.subtraction.detection import detect
from realbogus.subtraction.significance import NoiseSource, measure_significance
from realbogus.subtraction.subtract import subtract
from tests.star_field import (
    SHAPE,
    Optics,
    draw_light,
    expose,
    gaussian_stamp,
    make_difference,
    make_pair,
    scatter_stars,
)

OPTICS = Optics(3.2)
SKY = 700.0
COLUMNS, ROWS = np.meshgrid(np.arange(40, 520, 60), np.arange(40, 420, 60))


@pytest.fixture(scope="module")
def truth():
    """Transients on a grid, at every sub-pixel phase; every fourth is fading."""
    rng = np.random.default_rng(1)
    x = (COLUMNS + rng.uniform(-0.5, 0.5, COLUMNS.shape)).ravel()
    y = (ROWS + rng.uniform(-0.5, 0.5, ROWS.shape)).ravel()
    counts = np.exp(rng.uniform(np.log(3e3), np.log(3e4), x.size))
    return x, y, counts, np.arange(x.size) % 4 > 0


@pytest.fixture(scope="module")
def difference(truth):
    rng = np.random.default_rng(2)
    x, y, counts, rising = truth
    stars = scatter_stars(rng, 90, apart=20.0)
    far = np.array([np.hypot(x - a, y - b).min() > 14 for a, b in zip(*stars[:2], strict=True)])
    stars = [part[far] for part in stars]
    new = draw_light(SHAPE, *stars, OPTICS) + draw_light(SHAPE, x[rising], y[rising], counts[rising], OPTICS)
    sharper = replace(OPTICS, fwhm=2.8)
    old = draw_light(SHAPE, *stars, sharper) + draw_light(SHAPE, x[~rising], y[~rising], counts[~rising], sharper)
    return subtract(make_pair(expose(new, SKY, rng), expose(old, SKY, rng, noise=0.4)))


@pytest.fixture(scope="module")
def detections(difference):
    return detect(difference)


def match(detections, x, y):
    distance = np.hypot(detections.x[:, None] - x, detections.y[:, None] - y)
    assert (distance.min(axis=0) < 1).all()
    return detections.take(distance.argmin(axis=0))


def test_every_transient_is_found_with_its_sign(detections, truth):
    x, y, _, rising = truth
    np.testing.assert_array_equal(match(detections, x, y).positive, rising)
    assert len(detections) < 1.2 * len(x)


def test_centroids_are_the_true_ones(detections, truth):
    x, y = truth[:2]
    found = match(detections, x, y)
    bright = np.abs(found.snr) > 50
    assert bright.sum() > 10
    across, up = (found.x - x), (found.y - y)
    # one standard deviation of a centroid is the profile's over S/N, 1.4 px / 50 at the faint end
    assert np.hypot(across[bright].mean(), up[bright].mean()) < 0.02
    assert across[bright].std() < 0.05
    assert up[bright].std() < 0.05
    expected = 1.45 * OPTICS.fwhm / 2.355 / np.abs(found.snr)
    assert 0.5 < np.std(np.concatenate([across, up]) / np.tile(expected, 2)) < 1.5


def test_fluxes_and_their_errors_are_the_true_ones(detections, truth):
    x, y, counts, rising = truth
    found = match(detections, x, y)
    signed = np.where(rising, 1, -1) * counts
    assert np.median(found.flux_counts[rising] / signed[rising]) == pytest.approx(1, abs=0.02)
    left = np.abs(found.flux_counts - signed) - 0.02 * counts
    assert np.mean(left < 2 * found.flux_error_counts) > 0.9


def test_width_is_that_of_the_psf_and_round(detections, truth):
    found = match(detections, *truth[:2])
    bright = np.abs(found.snr) > 50
    assert np.median(found.fwhm_px[bright]) == pytest.approx(OPTICS.fwhm, rel=0.15)
    assert np.median(found.axis_ratio[bright]) > 0.9


def test_noise_alone_gives_hardly_any():
    rng = np.random.default_rng(3)
    x, y, flux = scatter_stars(rng, 80)
    light = draw_light(SHAPE, x, y, flux, OPTICS)
    one = subtract(make_pair(expose(light, SKY, rng), expose(light, SKY, rng)))
    assert len(detect(one)) <= 2
    assert 3 < len(detect(one, threshold_sigma=3.0)) < 250


def test_order_threshold_and_separation(difference, detections):
    strength = np.abs(detections.snr)
    assert (np.diff(strength) <= 0).all()
    assert strength.min() > 5
    assert len(detect(difference, 20.0)) == (strength > 20).sum()
    for sign in (True, False):
        one = detections.take(detections.positive == sign)
        apart = np.hypot(one.x[:, None] - one.x, one.y[:, None] - one.y)[np.triu_indices(len(one), 1)]
        assert apart.min() > difference.fwhm_px - 1.5
    with pytest.raises(ValueError, match=r"threshold_sigma is -1"):
        detect(difference, -1.0)


def test_a_dipole_is_two_detections_of_either_sign(difference):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    snr = np.zeros(SHAPE, np.float32)
    for sign, column in ((1, 200.3), (-1, 202.1)):
        snr += sign * 200 * np.exp(-((columns - column) ** 2 + (rows - 220) ** 2) / (2 * 1.9**2)).astype(np.float32)
    found = detect(replace(difference, snr=snr))
    assert sorted(found.positive) == [False, True]
    assert found.x[found.positive][0] < found.x[~found.positive][0]


def test_masks_and_edges_are_told(difference):
    mask = difference.mask.copy()
    mask[100:105, 100:105], mask[300, 303] = Mask.DEFECT, Mask.SATURATED
    snr = np.zeros(SHAPE, np.float32)
    for row, column in ((102, 102), (300, 300), (200, 200), (0, 50)):
        snr[row, column] = 9
    snr[250:260, 250:260] = np.nan
    snr[255, 249] = 9
    found = detect(replace(difference, snr=snr, mask=mask))
    at = {(int(x), int(y)): row for row, (x, y) in enumerate(zip(np.rint(found.x), np.rint(found.y), strict=True))}
    assert set(at) == {(102, 102), (300, 300), (200, 200), (50, 0), (249, 255)}
    assert found.masked_fraction[at[102, 102]] > 0.4
    assert found.saturated[at[300, 300]]
    assert found.masked_fraction[at[200, 200]] == 0
    assert not found.saturated[at[200, 200]]
    assert found.edge_distance_px[at[50, 0]] == pytest.approx(0, abs=0.5)
    assert found.masked_fraction[at[50, 0]] == pytest.approx(0.4, abs=0.15)
    assert np.isfinite(found.flux_counts[at[249, 255]])


def test_a_defect_on_the_peak_moves_neither_place_nor_flux(difference, detections, truth):
    x, y = (part[truth[2] > 1.5e4] for part in truth[:2])
    assert len(x) > 5
    mask, pixels = difference.pair.new.mask.copy(), difference.pair.new.pixels.copy()
    place = np.rint(y).astype(int), np.rint(x).astype(int)
    mask[place], pixels[place] = Mask.DEFECT, 1e5
    spotted = subtract(replace(difference.pair, new=difference.pair.new.with_pixels(pixels, mask)))
    found = match(detect(spotted), x, y)
    assert np.hypot(found.x - x, found.y - y).max() < 0.3
    whole = match(detections, x, y)
    np.testing.assert_allclose(found.flux_counts, whole.flux_counts, rtol=0.06)
    assert (np.abs(found.snr) > 0.85 * np.abs(whole.snr)).all()
    assert (found.flux_error_counts >= whole.flux_error_counts).all()


def test_nothing_found_is_an_empty_table(difference):
    found = detect(replace(difference, snr=np.zeros(SHAPE, np.float32)))
    assert len(found) == 0
    assert found.flux_counts.shape == (0,)


SMALL_SHAPE = (41, 53)
SMALL_PSF = constant_psf(gaussian_stamp(13, 1.5), SMALL_SHAPE)  # its FWHM is 3.5: peaks within 3 px are one


def peaks_of(snr, threshold=5.0):
    found = detect(make_difference(np.zeros(SMALL_SHAPE), SMALL_PSF, snr=snr, fwhm=3.5), threshold)
    return list(zip(np.rint(found.x).astype(int).tolist(), np.rint(found.y).astype(int).tolist(), strict=True))


def with_values(values):
    snr = np.zeros(SMALL_SHAPE, np.float32)
    for (x, y), value in values.items():
        snr[y, x] = value
    return snr


@pytest.mark.parametrize(
    ("values", "peaks"),
    [
        ({(10, 20): 5.0}, []),
        ({(10, 20): 5.01}, [(10, 20)]),
        ({(10, 20): -5.01, (30, 20): 9, (45, 5): -8}, [(30, 20), (45, 5), (10, 20)]),
        ({(10, 20): 7, (11, 20): 8}, [(11, 20)]),
        ({(10, 20): 7, (11, 20): -8}, [(11, 20), (10, 20)]),
        ({(10, 20): 7, (13, 20): 8}, [(13, 20)]),
        ({(10, 20): 7, (12, 23): 8}, [(12, 23), (10, 20)]),
        ({(10, 20): 7, (13, 20): -8}, [(13, 20), (10, 20)]),
        ({(10, 20): 7, (13, 20): 8, (16, 20): 6}, [(13, 20)]),
        ({(10, 20): 8, (13, 20): 7, (16, 20): 6}, [(10, 20), (16, 20)]),
        ({(0, 0): 9, (52, 40): 8}, [(0, 0), (52, 40)]),
    ],
)
def test_peaks_are_local_extrema_beyond_the_threshold_and_apart(values, peaks):
    assert peaks_of(with_values(values)) == peaks


@pytest.mark.parametrize("other", [(11, 20), (9, 21), (10, 21), (11, 21)])
def test_of_two_equal_neighbours_the_first_in_reading_order_is_the_peak(other):
    assert peaks_of(with_values({(10, 20): 7, other: 7})) == [(10, 20)]


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan])
def test_a_threshold_that_is_not_positive_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold_sigma is .*, expected more than 0"):
        peaks_of(with_values({}), threshold)


def drawn(x, y, flux, sigma=1.5, **facts):
    """The difference of one source, its S/N the matched filter's at unit noise."""
    psf = constant_psf(gaussian_stamp(13, sigma), SMALL_SHAPE)
    pixels = psf.draw([x], [y], [flux], SMALL_SHAPE)
    power = float((gaussian_stamp(13, 1.5) ** 2).sum())
    snr = signal.fftconvolve(pixels, gaussian_stamp(13, 1.5), mode="same") / np.sqrt(power)
    return make_difference(pixels, SMALL_PSF, snr=snr, error=1 / np.sqrt(power), fwhm=SMALL_PSF.fwhm_px, **facts)


@pytest.mark.parametrize(("x", "y"), [(20.0, 15.0), (20.3, 15.0), (20.0, 14.6), (25.45, 22.7)])
@pytest.mark.parametrize("flux", [400.0, -400.0])
def test_a_lone_source_is_measured_to_a_thousandth(x, y, flux):
    found = detect(drawn(x, y, flux))
    assert len(found) == 1
    assert (found.x[0], found.y[0]) == pytest.approx((x, y), abs=5e-3)
    assert found.flux_counts[0] == pytest.approx(flux, rel=2e-3)
    assert found.flux_error_counts[0] == pytest.approx(1 / np.sqrt((gaussian_stamp(13, 1.5) ** 2).sum()), rel=1e-6)
    assert found.fwhm_px[0] == pytest.approx(2.355 * 1.5, rel=0.01)
    assert found.axis_ratio[0] == pytest.approx(1, abs=0.01)
    assert found.positive.tolist() == [flux > 0]
    assert found.edge_distance_px[0] == pytest.approx(min(x, 52 - x, y, 40 - y), abs=5e-3)


@pytest.mark.parametrize(("x", "y", "distance"), [(4, 20, 4), (48, 20, 4), (25, 3, 3), (25, 37, 3)])
def test_the_nearest_edge_counts(x, y, distance):
    assert detect(drawn(x, y, 400.0)).edge_distance_px[0] == pytest.approx(distance, abs=0.1)


@pytest.mark.parametrize("sigma", [1.2, 1.8])
def test_the_width_is_that_of_the_source(sigma):
    assert detect(drawn(25, 20, 400.0, sigma)).fwhm_px[0] == pytest.approx(2.355 * sigma, rel=0.03)


@pytest.mark.parametrize("turn", [0, 1])
def test_an_elongated_source_has_its_axis_ratio(turn):
    y, x = np.mgrid[:41, :53]
    pixels = 40 * np.exp(-((x - 26) ** 2) / (2 * 1.2**2) - (y - 20) ** 2 / (2 * 1.8**2))
    if turn:  # by 45 degrees
        along, across = (x - 26 + y - 20) / np.sqrt(2), (x - 26 - y + 20) / np.sqrt(2)
        pixels = 40 * np.exp(-(along**2) / (2 * 1.2**2) - across**2 / (2 * 1.8**2))
    found = detect(make_difference(pixels, SMALL_PSF, fwhm=SMALL_PSF.fwhm_px), 30)
    assert found.axis_ratio[0] == pytest.approx(1.2 / 1.8, abs=0.02)
    assert found.fwhm_px[0] == pytest.approx(2.355 * np.sqrt(1.2 * 1.8), rel=0.02)


def test_a_source_without_a_shape_has_nan():
    y, x = np.mgrid[:41, :53]
    ring = np.where(np.hypot(x - 26, y - 20) > 2, 10.0, -10.0)
    ring[20, 26] = 12
    found = detect(make_difference(ring, SMALL_PSF, fwhm=SMALL_PSF.fwhm_px), 11)
    assert np.isnan(found.fwhm_px[0])
    assert np.isnan(found.axis_ratio[0])


def test_masked_pixels_within_one_fwhm_are_counted():
    mask = np.zeros(SMALL_SHAPE, np.uint8)
    disc = int((np.hypot(*np.mgrid[-4:5, -4:5]) <= 4).sum())  # the FWHM of 3.5 is rounded up
    mask[20, 29], mask[24, 25] = Mask.DEFECT, Mask.NO_DATA  # 4 px beside and above: counted
    mask[20, 30], mask[17, 28] = Mask.DEFECT, Mask.NO_DATA  # 5 px and 4.2 px away: not counted
    found = detect(drawn(25, 20, 400.0, mask=mask))
    assert found.masked_fraction[0] == pytest.approx(2 / disc)
    assert not found.saturated[0]
    mask[:] = 0
    mask[20, 21] = Mask.SATURATED
    found = detect(drawn(25, 20, 400.0, mask=mask))
    assert (found.masked_fraction[0], bool(found.saturated[0])) == (0, True)
    mask[:] = 0
    mask[20, 20] = Mask.SATURATED
    assert not detect(drawn(25, 20, 400.0, mask=mask)).saturated[0]


def test_pixels_beyond_the_frame_have_no_data():
    disc = np.hypot(*np.mgrid[-4:5, -4:5]) <= 4
    assert detect(drawn(2, 20, 400.0)).masked_fraction[0] == pytest.approx(disc[:, :2].sum() / disc.sum())


def test_defects_and_missing_pixels_do_not_change_the_flux():
    mask = np.zeros(SMALL_SHAPE, np.uint8)
    mask[20, 29] = Mask.DEFECT
    difference = drawn(25, 20, 400.0, mask=mask)
    difference.pixels[20, 29], difference.pixels[24, 25] = 1e6, np.nan
    found = detect(difference)
    assert found.flux_counts[0] == pytest.approx(400, rel=5e-3)


@pytest.mark.parametrize("other", [(11, 20), (9, 20), (10, 21), (10, 19), (11, 21), (9, 19), (11, 19), (9, 21)])
def test_a_pixel_with_a_greater_neighbour_is_no_peak_however_narrow_the_psf(other):
    for sign in (1, -1):
        snr = with_values({(10, 20): 7 * sign, other: 8 * sign})
        found = detect(make_difference(np.zeros(SMALL_SHAPE), SMALL_PSF, snr=snr, fwhm=0.5))
        assert [(round(found.x[0]), round(found.y[0]))] == [other]
        assert len(found) == 1


def test_any_positive_threshold_will_do():
    assert peaks_of(with_values({(10, 20): 0.6}), 0.5) == [(10, 20)]


@pytest.mark.parametrize(("x", "y"), [(25.3, 20.2), (24.8, 19.7)])
@pytest.mark.parametrize("hole", [(26, 20), (24, 21), (25, 22)])
def test_a_masked_pixel_beside_the_peak_does_not_move_it(x, y, hole):
    pixels = SMALL_PSF.draw([x], [y], [400.0], SMALL_SHAPE)
    pixels[hole[1], hole[0]] = np.nan
    variance = np.where(np.isnan(pixels), 0, 1).astype(np.float32)
    snr, error = measure_significance(pixels, SMALL_PSF, SMALL_PSF.fwhm_px, [NoiseSource(variance, None)])
    difference = replace(make_difference(pixels, SMALL_PSF, snr=snr), flux_error=error)
    found = detect(difference)
    assert (found.x[0], found.y[0]) == pytest.approx((x, y), abs=0.06)
    assert found.flux_counts[0] == pytest.approx(400, rel=0.01)


def test_a_source_broader_than_its_window_has_no_shape():
    """Of an even plane the moments are those of the window alone; a bowl's are larger."""
    y, x = np.mgrid[:41, :53]
    bowl = 50 + 6.0 * ((x - 26) ** 2 + (y - 20) ** 2)
    snr = with_values({(26, 20): 9})
    found = detect(make_difference(bowl, SMALL_PSF, snr=snr, fwhm=SMALL_PSF.fwhm_px))
    assert np.isnan(found.fwhm_px[0])


def test_a_missing_pixel_adds_nothing_to_the_shape():
    """Of counts in thousandths a missing pixel that counted as one would be all there is."""
    bright = drawn(25, 20, 400.0)
    faint = replace(bright, pixels=bright.pixels / 1000)
    faint.pixels[20, 29] = np.nan
    assert detect(faint).fwhm_px[0] == pytest.approx(2.355 * 1.5, rel=0.05)
