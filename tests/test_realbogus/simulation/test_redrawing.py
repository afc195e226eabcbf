"""Redrawn candidates: symmetries, sub-pixel shifts, noise, and the classes that are drawn."""

import numpy as np
import pytest

from realbogus.simulation.redrawing import (
    MOST_SHIFT_PX,
    NOISE_SHARE,
    LabelledStamps,
    alter_stamps,
    apply_symmetries,
    redraw_candidates,
    shift_stamps,
)


def numbered(count=8, size=3):
    return np.tile(np.arange(size * size, dtype=np.float32).reshape(1, size, size, 1), (count, 1, 1, 3))


def test_the_symmetries_are_quarter_turns_and_those_of_the_mirror_image():
    turned = apply_symmetries(numbered(), np.arange(8))[..., 0].astype(int)
    assert turned[0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert turned[1].tolist() == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]
    assert turned[2].tolist() == [[8, 7, 6], [5, 4, 3], [2, 1, 0]]
    assert turned[3].tolist() == [[6, 3, 0], [7, 4, 1], [8, 5, 2]]
    assert turned[4].tolist() == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]
    assert turned[7].tolist() == np.rot90(turned[4], 3).tolist()


@pytest.mark.parametrize("shift", [(1, 0), (0, -2), (3, 3)])
def test_a_whole_shift_rolls_the_stamp_in_y_and_x(shift):
    stamps = np.random.default_rng(0).normal(size=(2, 9, 9, 3)).astype(np.float32)
    moved = shift_stamps(stamps, np.array([shift, (0, 0)], float))
    np.testing.assert_allclose(moved[0], np.roll(stamps[0], shift, (0, 1)), atol=1e-5)
    np.testing.assert_allclose(moved[1], stamps[1], atol=1e-5)


def test_a_shift_keeps_the_noise_s_standard_deviation():
    stamps = np.random.default_rng(1).normal(0, 2, (50, 29, 29, 3)).astype(np.float32)
    moved = shift_stamps(stamps, np.full((50, 2), 0.5))
    assert moved.std() == pytest.approx(stamps.std(), rel=1e-3)


def test_missing_pixels_follow_the_symmetry_and_do_not_spread():
    stamps = np.full((300, 9, 9, 3), 5.0, np.float32)
    stamps[:, 0, 1, 1] = np.nan
    altered = alter_stamps(stamps, np.random.default_rng(0))
    missing = np.isnan(altered)
    assert (missing.sum(axis=(1, 2, 3)) == 1).all()
    assert not missing[..., [0, 2]].any()
    assert len({tuple(np.argwhere(one)[0]) for one in missing}) == 8
    np.testing.assert_allclose(altered[~missing], 5, atol=1e-5)


def test_a_plane_without_data_stays_missing():
    stamps = np.random.default_rng(0).normal(size=(4, 9, 9, 3)).astype(np.float32)
    stamps[..., 1] = np.nan
    altered = alter_stamps(stamps, np.random.default_rng(0))
    assert np.isnan(altered[..., 1]).all()
    assert np.isfinite(altered[..., [0, 2]]).all()


def test_shifts_are_uniform_up_to_half_a_pixel_along_both_axes():
    y, x = np.mgrid[:29, :29] - 14
    spot = np.exp(-(x**2 + y**2) / 8).astype(np.float32)
    altered = alter_stamps(np.tile(spot[None, ..., None], (500, 1, 1, 3)), np.random.default_rng(3))
    light = altered[..., 1]
    offsets = np.stack([(light * axis).sum(axis=(1, 2)) / light.sum(axis=(1, 2)) for axis in (y, x)])
    assert np.abs(offsets).max() <= MOST_SHIFT_PX + 1e-3
    np.testing.assert_allclose(offsets.std(axis=1), 1 / np.sqrt(12), rtol=0.07)


def test_noise_is_a_share_of_the_new_plane_s_border_whatever_its_centre_holds():
    rng = np.random.default_rng(2)
    stamps = rng.normal(0, [4, 1, 1], (400, 15, 15, 3)).astype(np.float32)
    stamps[:, 3:-3, 3:-3] = 0
    altered = alter_stamps(stamps, np.random.default_rng(5))
    untouched = alter_stamps(stamps * np.float32([0, 1, 1]), np.random.default_rng(5))
    noise = altered[..., 2] - untouched[..., 2]
    assert noise.std() == pytest.approx(NOISE_SHARE * altered[:, :3, :, 0].std(), rel=0.1)
    assert noise[:, 6:9, 6:9].std() == pytest.approx(noise.std(), rel=0.1)


def test_classes_are_drawn_by_their_share_and_never_mixed_up():
    real = np.array([True, False, False])
    stamps = np.arange(3, dtype=np.float32)[:, None, None, None] * np.ones((1, 9, 9, 3), np.float32)
    samples = LabelledStamps(np.array(["a", "b", "c"]), stamps, real)
    rows, drawn = redraw_candidates(samples, 2000, 0.25, np.random.default_rng(0))
    assert rows.dtype == np.int64
    assert real[rows].mean() == pytest.approx(0.25, abs=0.04)
    np.testing.assert_allclose(drawn.mean(axis=(1, 2, 3)), rows, atol=1e-4)
    assert set(rows[~real[rows]]) == {1, 2}
    assert real[redraw_candidates(samples, 50, 1.0, np.random.default_rng(1))[0]].all()
    assert not real[redraw_candidates(samples, 50, 0.0, np.random.default_rng(1))[0]].any()


def test_with_one_class_only_the_share_has_no_effect():
    samples = LabelledStamps(np.array(["a", "b"]), np.zeros((2, 9, 9, 3), np.float32), np.array([False, False]))
    rows, _ = redraw_candidates(samples, 100, 0.9, np.random.default_rng(0))
    assert set(rows) == {0, 1}
