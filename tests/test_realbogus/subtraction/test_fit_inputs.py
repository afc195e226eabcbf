"""Inputs of a subtraction: filled defects, usable pixels, and the level of the sky in exact numbers."""

import numpy as np
import pytest

from realbogus.frames import Mask
from realbogus.subtraction.fit_inputs import (
    LevelFitError,
    blank,
    dilate_missing,
    find_empty,
    find_unusable,
    fit_level,
    make_fit_image,
)
from tests.star_field import plain_frame

NUMBERS = np.arange(30, dtype=np.float32).reshape(5, 6)


def masked(*places, bit=Mask.DEFECT):
    mask = np.zeros(NUMBERS.shape, np.uint8)
    for place in places:
        mask[place] = bit
    return mask


def test_a_defect_takes_the_mean_of_its_usable_neighbours():
    image = make_fit_image(plain_frame(NUMBERS, mask=masked((2, 2))), 3.0)
    assert image.signal[2, 2] == NUMBERS[1:4, 1:4].mean()
    image = make_fit_image(plain_frame(NUMBERS, mask=masked((2, 2), (1, 1), (2, 3))), 3.0)
    assert image.signal[2, 2] == pytest.approx((8 + 9 + 13 + 19 + 20 + 21) / 6)
    changed = np.argwhere(image.signal != NUMBERS).tolist()
    assert changed == [[1, 1], [2, 2], [2, 3]]


def test_at_the_edge_the_outermost_pixels_are_repeated():
    image = make_fit_image(plain_frame(NUMBERS, mask=masked((0, 0))), 3.0)
    assert image.signal[0, 0] == pytest.approx((2 * NUMBERS[0, 1] + 2 * NUMBERS[1, 0] + NUMBERS[1, 1]) / 5)
    image = make_fit_image(plain_frame(NUMBERS, mask=masked((4, 5))), 3.0)
    assert image.signal[4, 5] == pytest.approx((2 * NUMBERS[4, 4] + 2 * NUMBERS[3, 5] + NUMBERS[3, 4]) / 5)


def test_a_defect_without_usable_neighbours_is_zero():
    image = make_fit_image(plain_frame(NUMBERS, mask=np.full(NUMBERS.shape, int(Mask.DEFECT))), 3.0)
    assert not image.signal.any()


def test_empty_and_saturated_pixels_are_unusable_and_not_filled():
    mask = masked((1, 1), bit=Mask.NO_DATA) | masked((3, 4), bit=Mask.SATURATED)
    image = make_fit_image(plain_frame(NUMBERS, mask=mask, rms=2.0), 2.5)
    assert (image.signal[1, 1], image.signal[3, 4]) == (0, NUMBERS[3, 4])
    assert np.argwhere(image.unusable).tolist() == [[1, 1], [3, 4]]
    assert image.fwhm_px == 2.5
    assert image.variance[1, 1] == 0
    assert image.variance[3, 4] > 4


def test_the_bits_that_make_a_pixel_empty_or_unusable():
    bits = np.array([[0, Mask.NO_DATA, Mask.SATURATED, Mask.DEFECT, Mask.NO_DATA | Mask.SATURATED]], np.uint8)
    frame = plain_frame(np.zeros((1, 5)), mask=bits)
    assert find_empty(frame).tolist() == [[False, True, False, False, True]]
    assert find_unusable(frame).tolist() == [[False, True, False, True, True]]


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_missing_pixels_and_the_border_are_dilated(reach):
    missing = np.zeros((9, 11), bool)
    missing[4, 5] = True
    expected = np.zeros((9, 11), bool)
    expected[4 - reach : 5 + reach, 5 - reach : 6 + reach] = True
    border = np.ones((9, 11), bool)
    border[reach : 9 - reach, reach : 11 - reach] = False
    assert dilate_missing(missing, reach).tolist() == (expected | border).tolist()
    assert dilate_missing(np.zeros((9, 11), bool), reach).tolist() == border.tolist()
    assert missing.sum() == 1, "the input is not changed"


def test_blank_sets_nan_only_where_flagged():
    where = np.array([[True, False]])
    blanked = blank(np.array([[1, 2]], np.float32), where)
    assert np.isnan(blanked).tolist() == [[True, False]]
    assert blanked[0, 1] == 2
    assert blanked.dtype == np.float32


def residual_of(law, shape=(160, 192)):
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return law(x, y).astype(np.float32)


@pytest.mark.parametrize(
    "law",
    [
        lambda x, y: 0 * x - 7,
        lambda x, y: 3 + 0.02 * x + 2e-4 * x**2,
        lambda x, y: 5 + 0.03 * y + 1e-4 * y**2,
    ],
)
def test_a_second_degree_law_that_rises_in_every_cell_comes_back(law):
    residual = residual_of(law)
    np.testing.assert_allclose(fit_level(residual), residual, atol=1e-3)


def test_stars_and_nan_in_a_minority_of_pixels_change_nothing():
    residual = residual_of(lambda x, y: 0 * x + 2)
    residual[::5] = 1e6
    residual[::3, 1::2] = np.nan
    np.testing.assert_allclose(fit_level(residual), 2, atol=1e-4)


def test_with_few_cells_the_level_is_their_mean():
    residual = residual_of(lambda x, y: np.where(x < 32, 24.0, 0.0), (128, 192))  # 24 cells, 4 of them at 24
    np.testing.assert_allclose(fit_level(residual), 4, atol=1e-4)
    assert np.ptp(fit_level(residual_of(lambda x, y: x, (160, 160)))) > 100, "25 cells are enough for a polynomial"


def test_a_cell_counts_when_more_than_half_of_its_pixels_are_there():
    residual = residual_of(lambda x, y: 0 * x + 1, (128, 192))
    residual[:32, :32] = 241
    residual[:32:4, :32] = np.nan  # every second of the rows that are read
    np.testing.assert_allclose(fit_level(residual), 1, atol=1e-4)
    residual[0, 0] = 241
    np.testing.assert_allclose(fit_level(residual), 1 + 240 / 24, atol=1e-4)


def test_rows_and_columns_beyond_the_last_whole_cell_are_not_read():
    residual = residual_of(lambda x, y: 0 * x + 1, (159, 191))
    residual[128:] = residual[:, 160:] = 1e6
    np.testing.assert_allclose(fit_level(residual), 1, atol=1e-4)


def test_without_a_usable_cell_there_is_no_level():
    level = fit_level(np.full((64, 70), np.nan, np.float32))
    assert level.shape == (64, 70)
    assert not level.any()


def test_a_level_that_overflows_is_refused():
    rng = np.random.default_rng(1)
    residual = rng.normal(size=(320, 320)).astype(np.float32)
    assert np.isfinite(fit_level(residual)).all()
    residual[rng.random(residual.shape) < 0.45] = -np.inf
    with pytest.raises(LevelFitError, match="its values overflow"):
        fit_level(residual)
