"""Triplets drawn for people: every plane in its place, stretched by itself, gaps in the data seen."""

import numpy as np
import pytest

from realbogus.audits.pictures import _MISSING, _PAPER, draw_triplet

SIDE = 29


def triplet_of(seed=1):
    rng = np.random.default_rng(seed)
    planes = rng.normal([500, 300, 0], [20, 10, 25], (SIDE, SIDE, 3)).astype(np.float32)
    planes[14, 14, 0] += 900
    planes[14, 14, 2] += 900
    return planes


def planes_of(picture):
    """Return the three planes of a picture that was not enlarged."""
    return [picture[:, channel * (SIDE + 1) : channel * (SIDE + 1) + SIDE] for channel in range(3)]


def test_three_planes_stand_side_by_side_with_gaps():
    triplet = triplet_of()
    picture = draw_triplet(triplet, enlarge=1)
    assert picture.shape == (SIDE, 3 * SIDE + 2, 3)
    assert picture.dtype == np.uint8
    assert (picture[:, [SIDE, 2 * SIDE + 1]] == _PAPER).all()
    for channel, plane in enumerate(planes_of(picture)):
        assert (plane[..., 0] == plane[..., 1]).all()
        assert (plane[..., 0] == plane[..., 2]).all()
        order = np.argsort(triplet[..., channel], axis=None)
        assert (np.diff(plane[..., 0].ravel()[order].astype(int)) >= 0).all(), "brighter is never drawn darker"
    assert [plane[14, 14, 0] for plane in planes_of(picture)][::2] == [255, 255]


def test_each_plane_is_stretched_by_its_own_level_and_scatter():
    triplet = triplet_of()
    scaled = (triplet * [3.0, 0.5, 40.0] + [100, -2000, 7]).astype(np.float32)
    first, second = (draw_triplet(t, enlarge=1).astype(int) for t in (triplet, scaled))
    assert np.abs(first - second).max() <= 1
    sky = np.median(planes_of(first)[0][..., 0])
    assert 20 < sky < 110, "the background is grey, not black, so that holes are seen"
    hole = triplet.copy()
    hole[5, 5, 2] = -500
    assert planes_of(draw_triplet(hole, enlarge=1))[2][5, 5, 0] == 0


@pytest.mark.parametrize("enlarge", [1, 2, 5])
def test_enlarging_repeats_pixels(enlarge):
    small, large = draw_triplet(triplet_of(), 1), draw_triplet(triplet_of(), enlarge)
    assert large.shape == (enlarge * small.shape[0], enlarge * small.shape[1], 3)
    np.testing.assert_array_equal(large[::enlarge, ::enlarge], small)
    np.testing.assert_array_equal(large[enlarge - 1 :: enlarge, enlarge - 1 :: enlarge], small)


def test_missing_pixels_are_seen_and_change_nothing_else():
    triplet = triplet_of()
    triplet[:, 20:, 1] = np.nan
    triplet[3, 3, 0] = np.inf
    planes = planes_of(draw_triplet(triplet, enlarge=1))
    assert (planes[1][:, 20:] == _MISSING).all()
    assert (planes[0][3, 3] == _MISSING).all()
    whole = planes_of(draw_triplet(triplet_of(), enlarge=1))
    np.testing.assert_array_equal(planes[2], whole[2])
    assert not (planes[1][:, :20] == _MISSING).all(axis=-1).any()


def test_flat_and_empty_planes_are_drawn():
    triplet = triplet_of()
    triplet[..., 0], triplet[..., 1] = 7.0, np.nan
    planes = planes_of(draw_triplet(triplet, enlarge=1))
    assert len(np.unique(planes[0])) == 1
    assert (planes[1] == _MISSING).all()
