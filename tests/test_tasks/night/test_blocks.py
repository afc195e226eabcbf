"""Blocks of candidates: stamps of the model's size, no infinities, and a reason for every candidate without a score."""

from pathlib import Path

import numpy as np
import pytest

from realbogus.records import SourceError
from tasks.night.blocks import (
    CONSTANT_PLANE,
    make_block,
    replace_infinities,
    require_numbers,
    require_stamps,
    row_ids,
    unscorable_reasons,
)

SIDE = 11


def noise(count: int, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize(("side", "first"), [(13, 1), (14, 1), (15, 2)])
def test_larger_stamps_are_cropped_about_their_centre_pixel(side: int, first: int) -> None:
    stamps = noise(2, side)
    block = make_block(["a", "b"], stamps, SIDE)
    np.testing.assert_array_equal(block.stamps, stamps[:, first : first + SIDE, first : first + SIDE])
    assert block.reasons == [None, None]


def test_other_types_become_float32_and_the_model_s_own_are_not_copied() -> None:
    counts = np.arange(SIDE * SIDE * 3, dtype=np.int32).reshape(1, SIDE, SIDE, 3)
    block = make_block(["a"], counts, SIDE)
    assert block.stamps.dtype == np.float32
    np.testing.assert_array_equal(block.stamps, counts)
    stamps = noise(1)
    assert make_block(["a"], stamps, SIDE).stamps is stamps


def test_a_block_without_positions_has_nan_and_one_with_them_keeps_them() -> None:
    block = make_block(["a", "b"], noise(2), SIDE)
    assert np.isnan(block.ra_deg).all()
    assert np.isnan(block.dec_deg).all()
    assert block.ra_deg.shape == block.dec_deg.shape == (2,)
    placed = make_block(["a"], noise(1), SIDE, np.array([10.0]), np.array([-5.0]))
    assert (placed.ra_deg.tolist(), placed.dec_deg.tolist()) == ([10.0], [-5.0])
    half = make_block(["a"], noise(1), SIDE, np.array([10.0]))
    assert half.ra_deg.tolist() == [10.0]
    assert np.isnan(half.dec_deg).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_become_nan_and_nothing_else_changes(value: float) -> None:
    stamps = noise(3)
    stamps[1, 2, 3, 0] = value
    stamps[2, 0, 0, 1] = np.nan
    before = stamps.copy()
    replaced = replace_infinities(stamps)
    np.testing.assert_array_equal(stamps, before, "the input is left as it was")
    expected = before.copy()
    expected[1, 2, 3, 0] = np.nan
    np.testing.assert_array_equal(replaced, expected)


def test_values_whose_sum_overflows_are_kept() -> None:
    stamps = np.full((1, SIDE, SIDE, 3), 3e38, np.float32)
    np.testing.assert_array_equal(replace_infinities(stamps), stamps)


def test_memory_mapped_stamps_are_copied_others_only_where_a_value_is_replaced(tmp_path: Path) -> None:
    np.save(tmp_path / "stamps.npy", noise(2))
    mapped = np.load(tmp_path / "stamps.npy", mmap_mode="r")
    assert not isinstance(replace_infinities(mapped), np.memmap)
    np.testing.assert_array_equal(replace_infinities(mapped), noise(2))
    stamps = noise(2)
    assert replace_infinities(stamps) is stamps


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_a_plane_of_one_value_is_a_reason_a_constant_middle_alone_is_none(plane: int) -> None:
    stamps = noise(4)
    stamps[0, ..., plane] = 5.0
    stamps[1, 3:8, 3:8, plane] = 5.0  # the middle alone
    stamps[2, ..., plane] = 5.0
    stamps[2, 0, 0, plane] = np.nan  # one value and missing pixels are still one value
    stamps[3, ..., plane] = 5.0
    stamps[3, 0, 0, plane] = 5.5
    assert unscorable_reasons(stamps, [None] * 4) == [CONSTANT_PLANE, None, CONSTANT_PLANE, None]


def test_an_earlier_reason_is_kept_before_a_stamp_s_own_and_that_before_a_constant_plane() -> None:
    stamps = noise(3)
    stamps[0, ..., 1] = np.nan
    stamps[1, ..., 1] = np.nan
    stamps[2, ..., 1] = 0.0
    assert unscorable_reasons(stamps, ["corrupt", None, "corrupt"]) == ["corrupt", "nan_plane", "corrupt"]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 15, 15), r"x has shape \(4, 15, 15\), expected \(n, height, width, 3\)"),
        ((4, 15, 15, 4), "expected"),
        ((4, 15, 15, 2), "expected"),
        ((4, 3, 15, 15), "expected"),
        ((4, 15, 14, 3), r"a candidate is \(15, 14\), expected \(15, 15\); .*smaller ones cannot be scored"),
        ((4, 14, 15, 3), r"a candidate is \(14, 15\)"),
    ],
)
def test_arrays_that_no_model_takes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        require_stamps("x", shape, 15)


@pytest.mark.parametrize("shape", [(4, 15, 15, 3), (0, 15, 15, 3), (4, 16, 15, 3)])
def test_arrays_of_the_model_s_size_or_larger_are_accepted(shape: tuple[int, ...]) -> None:
    require_stamps("x", shape, 15)


def test_only_numbers_are_accepted() -> None:
    for dtype in (np.int16, np.uint8, np.float16, "<f8"):
        require_numbers("x", dtype)
    for dtype in (bool, "<U3", complex, "datetime64[s]"):
        with pytest.raises(SourceError, match="x is of type"):
            require_numbers("x", dtype)


def test_ids_of_rows_have_nine_digits_and_sort_as_numbers() -> None:
    assert row_ids(9, 2) == ["000000009", "000000010"]
    assert row_ids(0, 0) == []
