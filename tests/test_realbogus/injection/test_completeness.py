"""Completeness: the drawn curve comes back, and nothing is claimed where it cannot."""

import numpy as np
import pytest

from realbogus.injection.completeness import binned_completeness, fit_completeness


def drawn(middle, width, count, seed=1, low=16.0, high=21.0):
    rng = np.random.default_rng(seed)
    mag = rng.uniform(low, high, count)
    return mag, rng.random(count) < 1 / (1 + np.exp((mag - middle) / width))


@pytest.mark.parametrize("middle", [17.5, 18.6, 19.8])
@pytest.mark.parametrize("width", [0.1, 0.4])
def test_the_drawn_curve_comes_back(middle, width):
    fitted = fit_completeness(*drawn(middle, width, 4000))
    # The error of the middle is sqrt(width * range / count) to within a factor of order one.
    assert fitted[0] == pytest.approx(middle, abs=4 * np.sqrt(width * 5 / 4000))
    assert fitted[1] == pytest.approx(width, rel=0.2)


def test_order_and_zero_point_do_not_matter():
    mag, found = drawn(18.5, 0.3, 500)
    fitted = fit_completeness(mag, found)
    turn = np.random.default_rng(2).permutation(500)
    assert fit_completeness(mag[turn], found[turn]) == pytest.approx(fitted, abs=1e-3)
    assert fit_completeness(mag - 25, found) == pytest.approx((fitted[0] - 25, fitted[1]), abs=1e-3)
    unknown = np.append(mag, np.full(50, np.nan)), np.append(found, np.ones(50, bool))
    assert fit_completeness(*unknown) == fitted


def test_nothing_is_claimed_without_both_sides_of_the_fall():
    mag, found = drawn(18.5, 0.3, 500)
    assert fit_completeness(mag[:49], found[:49]) is None
    assert fit_completeness(mag[:50], found[:50]) is not None
    assert fit_completeness(mag, np.ones(500, bool)) is None
    assert fit_completeness(mag, np.zeros(500, bool)) is None
    assert fit_completeness(*drawn(22.5, 0.5, 500)) is None, "half is found fainter than anything injected"
    assert fit_completeness(*drawn(15.0, 0.5, 500)) is None
    rng = np.random.default_rng(3)
    assert fit_completeness(mag, rng.random(500) < 0.5) is None, "what does not fall with magnitude"
    assert fit_completeness(*drawn(18.5, 8.0, 3000)) is None, "nor what falls too slowly to tell where"
    assert fit_completeness(np.full(60, np.nan), np.ones(60, bool)) is None


def step_at(share):
    """Magnitudes evenly from 0 to 1 of which exactly the brightest `share` is found."""
    mag = np.linspace(0, 1, 1001)
    return mag, mag < share


@pytest.mark.parametrize("share", [0.025, 0.5, 0.975])
def test_two_per_cent_of_the_injections_on_either_side_of_the_fall_are_enough(share):
    middle, width = fit_completeness(*step_at(share))
    assert middle == pytest.approx(share, abs=2e-3)
    assert width < 1e-3


@pytest.mark.parametrize("share", [0.015, 0.985])
def test_less_than_two_per_cent_are_not(share):
    assert fit_completeness(*step_at(share)) is None


def test_a_fall_of_up_to_three_magnitudes_is_one():
    assert fit_completeness(*drawn(20.0, 2.5, 20_000, low=0.0, high=40.0))[1] == pytest.approx(2.5, abs=0.2)
    assert fit_completeness(*drawn(20.0, 3.6, 20_000, low=0.0, high=40.0)) is None


def test_bins_count_what_they_hold():
    mag, found = np.array([16.0, 16.5, 17.0, 17.9, 18.0, 25.0]), np.array([1, 0, 1, 1, 0, 1], bool)
    assert binned_completeness(mag, found, np.array([16.0, 17.0, 18.0, 19.0])) == [(1, 2), (2, 2), (0, 1)]
