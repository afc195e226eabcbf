"""Stamps: where the centre lies, what is beyond the frame, what can be stored."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.stamps import (
    centre_pixel,
    cut,
    exchange_fainter,
    finite_fraction,
    fit_size,
    outside_frame,
    pixel_sha256,
    round_position,
    stamp_reasons,
)


def _numbered(height: int, width: int) -> np.ndarray:
    """An image whose values name their pixel: y * 1000 + x."""
    y, x = np.mgrid[:height, :width]
    return (y * 1000 + x).astype(np.float32)


def _planes(height: int = 60, width: int = 80) -> tuple[np.ndarray, ...]:
    image = _numbered(height, width)
    return image, image + 0.25, image + 0.5


@pytest.mark.parametrize(("position", "pixel"), [(2.49, 2), (2.5, 3), (3.5, 4), (-0.5, 0), (-0.51, -1), (0.0, 0)])
def test_halves_are_rounded_up(position, pixel):
    assert round_position(np.array([position])) == [pixel]


@pytest.mark.parametrize(("side", "centre"), [(29, 14), (30, 14), (63, 31), (5, 2), (4, 1)])
def test_centre_of_an_even_side_is_the_pixel_before_the_middle(side, centre):
    assert centre_pixel(side) == centre


@given(st.floats(0, 79), st.floats(0, 59), st.sampled_from([5, 8, 29, 30]))
def test_a_stamp_holds_the_pixels_about_its_position(x, y, stamp_px):
    stamp = cut(_planes(), np.array([x]), np.array([y]), stamp_px)[0]
    centre = centre_pixel(stamp_px)
    at_x, at_y = np.floor(x + 0.5), np.floor(y + 0.5)
    steps_y, steps_x = np.mgrid[:stamp_px, :stamp_px] - centre
    inside = (at_y + steps_y >= 0) & (at_y + steps_y < 60) & (at_x + steps_x >= 0) & (at_x + steps_x < 80)
    expected = (at_y + steps_y) * 1000 + at_x + steps_x
    np.testing.assert_array_equal(stamp[inside, 1], expected[inside].astype(np.float32) + 0.25)
    assert np.isnan(stamp[~inside]).all()
    np.testing.assert_array_equal(outside_frame((60, 80), np.array([x]), np.array([y]), stamp_px)[0], ~inside)


def test_cutting_refuses_what_has_no_place():
    with pytest.raises(ValueError, match="position 1 is nan"):
        cut(_planes(), np.array([3.0, np.nan]), np.array([3.0, 3.0]), 5)
    with pytest.raises(ValueError, match="three planes of one shape"):
        cut((_numbered(4, 5), _numbered(4, 5), _numbered(5, 4)), np.array([1.0]), np.array([1.0]), 5)


@pytest.mark.parametrize("have", [29, 30, 31, 63])
@pytest.mark.parametrize("want", [5, 28, 29, 30, 63])
def test_fitting_lays_centre_on_centre(have, want):
    stamps = np.stack([_numbered(have, have)] * 3, axis=-1)[None]
    fitted = fit_size(stamps, want)[0, ..., 0]
    assert fitted[centre_pixel(want), centre_pixel(want)] == stamps[0, centre_pixel(have), centre_pixel(have), 0]
    assert np.isfinite(fitted).sum() == min(have, want) ** 2
    assert np.isin(fitted[np.isfinite(fitted)], stamps[0, ..., 0]).all()


def test_published_sizes_are_cut_as_stated():
    ztf, rubin = (np.stack([_numbered(side, side)] * 3, axis=-1)[None] for side in (63, 30))
    np.testing.assert_array_equal(fit_size(ztf, 29), ztf[:, 17:46, 17:46])
    np.testing.assert_array_equal(fit_size(rubin, 29), rubin[:, :29, :29])


@given(st.integers(-40, 60), st.integers(-40, 60))
def test_a_given_centre_comes_to_the_middle(row, column):
    stamps = np.stack([_numbered(20, 25)] * 3, axis=-1)[None]
    fitted = fit_size(stamps, 29, (row, column))[0, ..., 0]
    for y, x in ((14, 14), (0, 0), (28, 3)):
        from_y, from_x = row + y - 14, column + x - 14
        expected = from_y * 1000 + from_x if 0 <= from_y < 20 and 0 <= from_x < 25 else np.nan
        np.testing.assert_equal(fitted[y, x], np.float32(expected))


def test_infinite_and_overflowing_values_are_missing():
    stamps = np.ones((1, 5, 5, 3))
    stamps[0, 0, 0] = [np.inf, -np.inf, 1e300]
    assert np.isnan(fit_size(stamps, 5)[0, 0, 0]).all()


def _triplets_lacking(*wheres) -> np.ndarray:
    triplets = np.ones((len(wheres), 29, 29, 3), np.float32)
    for triplet, where in zip(triplets, wheres, strict=True):
        triplet[where] = np.nan
    return triplets


def test_only_central_holes_and_planes_less_than_half_there_are_rejected():
    all_rows, left = slice(None), slice(0, 14)
    triplets = _triplets_lacking(
        (0, 0, 0),  # a corner
        (11, 14, 1),  # just beyond the central 5x5
        (12, 14, 1),  # on its border
        (16, 16, 2),
        (slice(0, 12), all_rows, 0),  # 12 of 29 rows
        (slice(0, 12), all_rows, all_rows),
        (all_rows, slice(0, 12), 2),
    )
    assert stamp_reasons(triplets) == [None, None, "nan_plane", "nan_plane", None, None, None]
    triplets = _triplets_lacking((slice(0, 15), left, 1))  # far from the centre it cannot be less than half
    triplets[0, 20:, :, 1] = triplets[0, :, 20:, 1] = np.nan
    assert stamp_reasons(triplets) == ["nan_plane"]
    np.testing.assert_allclose(finite_fraction(_triplets_lacking((slice(0, 12), all_rows, 0))), 1 - 12 / 29 / 3)


def test_exactly_half_a_plane_is_enough():
    triplets = np.ones((2, 30, 30, 3), np.float32)
    triplets[0, :9, :, 0] = triplets[0, 24:, :, 0] = np.nan  # 450 of 900
    triplets[1] = triplets[0]
    triplets[1, 9, 0, 0] = np.nan
    assert stamp_reasons(triplets) == [None, "nan_plane"]


def test_what_lies_beyond_the_frame_is_an_edge():
    x, y = np.array([1.0, 1.0, 40.0]), np.array([1.0, 30.0, 30.0])
    new, reference, difference = _planes()
    reference = reference.copy()
    reference[29:32, 39:42] = np.nan
    stamps = cut((new, reference, difference), x, y, 29)
    outside = outside_frame(new.shape, x, y, 29)
    assert stamp_reasons(stamps, outside) == ["edge", "edge", "nan_plane"]
    assert stamp_reasons(stamps) == ["nan_plane"] * 3


def test_the_digest_is_of_values_not_of_nan_bits():
    triplet = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    triplet[0, 0, 0] = np.nan
    other = triplet.copy()
    other.view(np.uint32)[0, 0, 0] = 0xFFC12345
    assert np.isnan(other[0, 0, 0])
    assert pixel_sha256(triplet) == pixel_sha256(other) == pixel_sha256(triplet.astype(">f4"))
    assert pixel_sha256(triplet) != pixel_sha256(triplet.swapaxes(0, 1))
    plain = np.zeros((2, 2, 3), np.float32)
    assert pixel_sha256(plain) == hashlib.sha256(bytes(48)).hexdigest()


def test_a_faded_source_is_one_that_brightened_with_the_frames_exchanged() -> None:
    triplets = np.random.default_rng(0).normal(100, 1, (3, 29, 29, 3)).astype(np.float32)
    triplets[..., 2] = triplets[..., 0] - triplets[..., 1]
    triplets[0, 13:16, 13:16, [0]] += 50
    triplets[1, 13:16, 13:16, [1]] += 50
    triplets[..., 2] = triplets[..., 0] - triplets[..., 1]
    triplets[2] = np.nan
    before = triplets.copy()
    exchanged = exchange_fainter(triplets)
    np.testing.assert_array_equal(triplets, before)
    np.testing.assert_array_equal(exchanged[0], triplets[0])
    np.testing.assert_array_equal(exchanged[1, ..., 0], triplets[1, ..., 1])
    np.testing.assert_array_equal(exchanged[1, ..., 1], triplets[1, ..., 0])
    np.testing.assert_array_equal(exchanged[1, ..., 2], exchanged[1, ..., 0] - exchanged[1, ..., 1])
    assert np.isnan(exchanged[2]).all()
    np.testing.assert_array_equal(exchange_fainter(exchanged), exchanged)
