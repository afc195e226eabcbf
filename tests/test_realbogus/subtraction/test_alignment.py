"""The resampled reference against one drawn on the new frame's pixels."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.wcs import WCS

from realbogus.frames import Mask
from realbogus.subtraction.alignment import AlignmentError, align, lanczos_taps
from tests.star_field import SHAPE, Optics, draw_light, expose, make_pair, plain_frame, scatter_stars

OPTICS = Optics(3.0, slope=0.0, stretch=0.0)
SKY = 500.0


def make_wcs(shift=(0.0, 0.0), scale_arcsec=1.2, angle_deg=0.0, ra=150.0):
    """The sky's point in the middle of a chip at (0, 0) shift lies `shift` pixels further in this one."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval = ra, 2.0
    wcs.wcs.crpix = SHAPE[1] / 2 + shift[0], SHAPE[0] / 2 + shift[1]
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    wcs.wcs.cd = scale_arcsec / 3600 * np.array([[-cosine, sine], [sine, cosine]])
    return wcs


def make_exposures(new_wcs, reference_wcs, noise=0.0):
    """A new and a reference frame of one sky, and the reference drawn on the new one's pixels."""
    rng = np.random.default_rng(1)
    x, y, flux = scatter_stars(rng, 60)
    there = reference_wcs.all_world2pix(*new_wcs.all_pix2world(x, y, 0), 0)
    light, moved = draw_light(SHAPE, x, y, flux, OPTICS), draw_light(SHAPE, *there, flux, OPTICS)
    new = expose(light, SKY, rng, noise=noise, wcs=new_wcs)
    reference = expose(moved, SKY, rng, noise=noise, wcs=reference_wcs)
    return make_pair(new, reference, aligned=False), light


def assert_same_light(aligned, light, accuracy):
    """Compare away from the border, relative to the brightest star's peak."""
    inner = slice(20, -20), slice(20, -20)
    found = (aligned.reference.pixels - SKY)[inner]
    assert np.nanmax(np.abs(found - light[inner])) < accuracy * light.max()
    assert np.nansum(found) == pytest.approx(light[inner].sum(), rel=2e-3)


@pytest.mark.parametrize("shift", [(0.3, -0.4), (-7.5, 3.2), (4.0, -2.0)])
def test_a_translation_gives_the_light_drawn_there(shift):
    pair, light = make_exposures(make_wcs(), make_wcs(shift))
    assert_same_light(align(pair), light, 5e-3)


def test_whole_pixels_are_moved_untouched():
    pair, _ = make_exposures(make_wcs(), make_wcs((4.0, -2.0)), noise=1.0)
    moved = align(pair).reference
    np.testing.assert_allclose(moved.pixels[2:, :-4], pair.reference.pixels[:-2, 4:], rtol=1e-5)
    assert np.isnan(moved.pixels[:2]).all()
    assert np.isnan(moved.pixels[:, -4:]).all()
    np.testing.assert_array_equal(np.isnan(moved.pixels), (moved.mask & Mask.NO_DATA) > 0)


def test_a_rotation_gives_the_light_drawn_there():
    pair, light = make_exposures(make_wcs(), make_wcs((2.3, 1.7), angle_deg=1.5))
    aligned = align(pair)
    assert_same_light(aligned, light, 5e-3)
    np.testing.assert_array_equal(np.isnan(aligned.reference.pixels), (aligned.reference.mask & Mask.NO_DATA) > 0)


def test_counts_and_noise_are_conserved_where_pixels_differ_in_size():
    pair, light = make_exposures(make_wcs(), make_wcs(scale_arcsec=1.0), noise=1.0)
    reference = align(pair).reference
    box = slice(60, -60), slice(60, -60)
    signal = reference.pixels[box] - 1.44 * SKY
    bright = light[box] > 20
    assert signal[bright].sum() == pytest.approx(light[box][bright].sum(), rel=0.03)
    # 1.44 old pixels make a new one: a sum over an area has the same noise counted in either
    assert reference.background_rms.mean() == pytest.approx(1.2 * pair.reference.background_rms.mean(), rel=0.02)
    assert reference.background.mean() == pytest.approx(1.44 * SKY, rel=0.02)


def test_noise_map_is_that_of_the_references_own_pixels():
    pair, _ = make_exposures(make_wcs(), make_wcs((0.5, 0.5)), noise=1.0)
    moved = align(pair).reference
    smoothed = (moved.pixels - moved.background)[10:-10, 10:-10]
    quiet = np.abs(smoothed) < 3 * np.sqrt(SKY)
    assert moved.background_rms.mean() == pytest.approx(np.sqrt(SKY), rel=0.05)
    assert smoothed[quiet].std() < 0.97 * np.sqrt(SKY)


@pytest.mark.parametrize("angle_deg", [0.0, 2.0])
def test_masks_move_with_the_pixels(angle_deg):
    pair, _ = make_exposures(make_wcs(), make_wcs((0.4, -0.3), angle_deg=angle_deg))
    mask, pixels = pair.reference.mask.copy(), pair.reference.pixels.copy()
    mask[100:110, 200:210], mask[300, 250] = Mask.NO_DATA, Mask.SATURATED
    pixels[100:110, 200:210] = np.nan
    pair = replace(pair, reference=pair.reference.with_pixels(pixels, mask))
    moved = align(pair).reference
    at = pair.new.wcs.all_world2pix(*pair.reference.wcs.all_pix2world([204.5, 250], [104.5, 300], 0), 0)
    (hole_x, star_x), (hole_y, star_y) = np.rint(at).astype(int)
    assert np.isnan(moved.pixels[hole_y - 3 : hole_y + 4, hole_x - 3 : hole_x + 4]).all()
    assert moved.mask[star_y, star_x] == Mask.SATURATED
    np.testing.assert_array_equal(np.isnan(moved.pixels), (moved.mask & Mask.NO_DATA) > 0)
    away = np.isfinite(moved.pixels[50:90, 150:260])
    assert away.all()


def test_an_aligned_pair_stays_as_it_is():
    pair, _ = make_exposures(make_wcs(), make_wcs())
    pair = replace(pair, aligned=True)
    assert align(pair) is pair
    assert align(replace(pair, aligned=False)).new is pair.new


def test_pairs_that_do_not_belong_together_are_refused():
    near, far = make_wcs(), make_wcs(ra=150.5)
    pair, _ = make_exposures(near, near)
    apart = replace(pair, reference=replace(pair.reference, wcs=far))
    with pytest.raises(AlignmentError, match=r"lies 1\d\d\d px away and covers 0% of the new frame, 25% is needed"):
        align(apart)
    with pytest.raises(AlignmentError, match="different sides of the sky"):
        align(replace(pair, reference=replace(pair.reference, wcs=make_wcs(ra=330.0))))
    small = pair.reference.with_pixels(pair.reference.pixels[:-4], pair.reference.mask[:-4])
    with pytest.raises(AlignmentError, match=r"new \(440, 560\), reference \(436, 560\)"):
        align(replace(pair, aligned=True, reference=small))
    with pytest.raises(AlignmentError, match="the reference frame of d0 visit 1 has no WCS"):
        align(replace(pair, reference=replace(small, wcs=None)))


def test_taps_read_a_smooth_wave_between_pixels():
    place = np.arange(60.0)
    for shift in (-0.5, -0.21, 0.0, 0.37):
        taps = lanczos_taps(shift)
        read = np.convolve(np.cos(0.9 * place), taps[::-1], mode="valid")
        np.testing.assert_allclose(read, np.cos(0.9 * (place[5:-5] + shift)), atol=0.01)


SMALL = (40, 50)


def small_wcs(shift=(0.0, 0.0), scale_arcsec=1.2, angle_deg=0.0):
    wcs = make_wcs(shift, scale_arcsec, angle_deg)
    wcs.wcs.crpix = 25 + shift[0], 20 + shift[1]
    return wcs


def small_pair(reference, reference_wcs, shape=SMALL, **facts):
    """An empty new frame and a reference of these counts over a level of 100."""
    new = plain_frame(np.zeros(shape), wcs=small_wcs())
    facts = {"sky": 100.0, "rms": 3.0, "saturation": 5e4, "quantum_counts": 1.0} | facts
    return make_pair(new, plain_frame(reference, wcs=reference_wcs, **facts), aligned=False)


NUMBERS = np.arange(40 * 50, dtype=np.float32).reshape(SMALL)


def test_frames_on_one_grid_are_the_same():
    pair = small_pair(NUMBERS, small_wcs())
    aligned = align(pair)
    assert aligned.aligned
    np.testing.assert_allclose(aligned.reference.pixels, pair.reference.pixels, rtol=1e-5)
    assert aligned.reference.wcs is pair.new.wcs


def test_a_reference_of_another_shape_is_cut_or_padded():
    pair = small_pair(np.pad(NUMBERS, ((0, 3), (0, 4)), constant_values=7), small_wcs())
    moved = align(pair).reference
    np.testing.assert_allclose(moved.pixels, NUMBERS + 100, rtol=1e-5)
    moved = align(small_pair(NUMBERS[:-5, :-6], small_wcs())).reference
    np.testing.assert_allclose(moved.pixels[:-5, :-6], NUMBERS[:-5, :-6] + 100, rtol=1e-5)
    assert np.isnan(moved.pixels[-5:]).all()
    assert np.isnan(moved.pixels[:, -6:]).all()
    assert (moved.mask[-5:] == Mask.NO_DATA).all()
    assert (moved.background == 100).all()
    assert (moved.background_rms == 3).all()


@pytest.mark.parametrize("shift", [(3, 0), (-3, 0), (0, 2), (0, -2), (4, -5)])
def test_whole_shifts_read_at_x_plus_shift(shift):
    moved = align(small_pair(NUMBERS, small_wcs(shift))).reference
    y, x = np.mgrid[:40, :50] + np.array(shift[::-1])[:, None, None]
    inside = (y >= 0) & (y < 40) & (x >= 0) & (x < 50)
    np.testing.assert_allclose(moved.pixels[inside], 100 + y[inside] * 50 + x[inside], rtol=1e-5)
    assert np.isnan(moved.pixels[~inside]).all()
    assert (moved.mask == np.where(inside, 0, int(Mask.NO_DATA))).all()
    assert (moved.quantum_counts, moved.saturation_counts, moved.pixel_arcsec) == (1.0, 5e4, 1.0)


@pytest.mark.parametrize("across", [0.3, -0.3])
@pytest.mark.parametrize("up", [0.2, -0.2])
def test_a_mask_goes_to_the_pixels_read_between_and_does_not_come_round(across, up):
    mask = np.zeros(SMALL, np.uint8)
    mask[20, 10] = Mask.SATURATED
    moved = align(small_pair(NUMBERS, small_wcs((across, up)), mask=mask)).reference
    columns, rows = (9, 10) if across > 0 else (10, 11), (19, 20) if up > 0 else (20, 21)
    assert np.argwhere(moved.mask).tolist() == [[row, column] for row in rows for column in columns]
    for axis, shift in ((1, across), (0, up)):
        mask = np.zeros(SMALL, np.uint8)
        read, edge = (0, -1) if shift > 0 else (-1, 0)
        np.moveaxis(mask, axis, 0)[read] = Mask.DEFECT
        moved = align(small_pair(NUMBERS, small_wcs((across, up)), mask=mask)).reference
        assert not np.moveaxis(moved.mask, axis, 0)[edge].any()
        assert np.moveaxis(moved.mask, axis, 0)[read].all()


def test_a_resampled_frame_has_the_facts_of_its_new_pixels():
    """Pixels of half the width: four make a new one."""
    y, x = np.mgrid[:80, :100]
    smooth = (1000 + 3 * x + 2 * y).astype(np.float32)
    wcs = small_wcs(scale_arcsec=0.6)
    wcs.wcs.crpix = 49.5, 39.5  # its first four pixels are the first new one
    pair = small_pair(smooth, wcs, quantum_counts=1.0)
    moved = align(pair).reference
    inner = np.s_[5:-5, 5:-5]
    expected = smooth.reshape(40, 2, 50, 2).sum(axis=(1, 3))
    np.testing.assert_allclose(moved.pixels[inner], expected[inner] + 400, rtol=2e-4)
    assert moved.background[20, 20] == pytest.approx(400, rel=1e-4)
    assert moved.background_rms[20, 20] == pytest.approx(6, rel=1e-4)
    assert moved.saturation_counts == pytest.approx(2e5, rel=1e-4)
    assert moved.pixel_arcsec == pytest.approx(2, rel=1e-4)
    assert moved.quantum_counts == 0


def test_resampled_masks_grow_by_one_pixel_and_end_at_the_edge():
    mask = np.zeros(SMALL, np.uint8)
    mask[20, 25], mask[10, 12], mask[10, 13] = Mask.DEFECT, Mask.SATURATED, Mask.DEFECT
    wcs = small_wcs((0.02, 0.01), angle_deg=0.01)  # less than a tenth of a pixel anywhere
    moved = align(small_pair(NUMBERS, wcs, mask=mask)).reference
    expected = np.zeros(SMALL, np.uint8)
    expected[19:22, 24:27] |= np.uint8(Mask.DEFECT)
    expected[9:12, 11:14] |= np.uint8(Mask.SATURATED)
    expected[9:12, 12:15] |= np.uint8(Mask.DEFECT)
    np.testing.assert_array_equal(moved.mask, expected)
    far = small_wcs((-10.0, 5.0), angle_deg=0.01)
    moved = align(small_pair(NUMBERS, far)).reference
    expected = np.zeros(SMALL, bool)
    expected[:, :10] = expected[-5:] = True
    np.testing.assert_array_equal(np.isnan(moved.pixels), expected)


@pytest.mark.parametrize(("columns", "is_enough"), [(36, True), (40, False)])
def test_a_quarter_of_the_new_frame_must_be_covered(columns, is_enough):
    pair = small_pair(NUMBERS, small_wcs((columns, 0.0)))
    if is_enough:
        assert np.isfinite(align(pair).reference.pixels).mean() == pytest.approx(1 - columns / 50, abs=0.01)
        return
    with pytest.raises(AlignmentError, match=r"lies 40 px away and covers 20% of the new frame, 25% is needed"):
        align(pair)


@pytest.mark.parametrize("missing", ["new", "reference"])
def test_the_frame_without_a_wcs_is_named(missing):
    pair = small_pair(NUMBERS, small_wcs())
    pair = replace(pair, **{missing: replace(getattr(pair, missing), wcs=None)})
    with pytest.raises(AlignmentError, match=f"the {missing} frame of d0 visit 1 has no WCS"):
        align(pair)


def test_taps_of_a_whole_pixel_are_the_pixel():
    assert lanczos_taps(0.0) == pytest.approx(np.eye(11)[5], abs=1e-15)
    half = lanczos_taps(0.5)
    assert half.shape == (11,)
    assert half[1:] == pytest.approx(half[1:][::-1])
    assert half[0] == 0
    x = np.array([0.5, 1.5])
    assert half[6] / half[7] == pytest.approx(np.divide(*(np.sinc(x) * np.sinc(x / 5))))
    assert half.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("shift", "covered"),
    [
        ((37.75, 0.0), 0.2),  # of five columns of points the first at 37.75, the second at 50.0, beyond 49.5
        ((0.0, 30.25), 0.2),
        ((37.0, 0.0), 0.4),  # the second at 49.25
        ((-37.75, 0.0), 0.2),
        ((-37.0, 0.0), 0.4),  # the fourth at -0.25
        ((0.0, -29.5), 0.4),
    ],
)
def test_coverage_counts_the_points_that_a_pixel_holds(shift, covered):
    pair = small_pair(NUMBERS, small_wcs(shift))
    if covered > 0.25:
        assert align(pair).aligned
        return
    with pytest.raises(AlignmentError, match=f"covers {covered:.0%} of the new frame"):
        align(pair)


def test_resampled_backgrounds_are_those_of_the_nearest_pixel_up_to_the_edge():
    pair = small_pair(NUMBERS, small_wcs((0.02, 0.01), angle_deg=0.01))
    level = (200 + NUMBERS).astype(np.float32)
    reference = replace(pair.reference, background=level, background_rms=level / 10, pixels=level.copy())
    moved = align(replace(pair, reference=reference)).reference
    np.testing.assert_allclose(moved.background, level, rtol=1e-4)
    np.testing.assert_allclose(moved.background_rms, level / 10, rtol=1e-4)
    np.testing.assert_allclose(moved.pixels, level, rtol=1e-4)
    mask = np.zeros(SMALL, np.uint8)
    mask[39, 49] = mask[0, 0] = Mask.SATURATED
    moved = align(replace(pair, reference=replace(reference, mask=mask))).reference
    assert sorted(map(tuple, np.argwhere(moved.mask).tolist())) == sorted(
        [(0, 0), (0, 1), (1, 0), (1, 1), (39, 49), (39, 48), (38, 49), (38, 48)]
    )


def test_a_wcs_that_cannot_be_evaluated_is_named():
    broken = make_wcs()
    broken.wcs.cd = np.zeros((2, 2))
    empty = np.zeros(SHAPE, np.float32)
    pair = make_pair(plain_frame(empty, wcs=make_wcs()), plain_frame(empty, wcs=broken), aligned=False)
    with pytest.raises(AlignmentError, match=r"positions of the new frame's pixels .* singular"):
        align(pair)
