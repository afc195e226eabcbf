"""Residuals of PSF fits: slopes, matching by brightness, and the arithmetic of estimates."""

from dataclasses import replace

import numpy as np
import pytest

from realbogus.audits.checks import Estimate, estimate_with_error
from realbogus.audits.residuals import (
    LEAST_SOURCES,
    check_residuals,
    check_stars,
    divide_estimates,
    is_dark,
    match_sorted,
    subtract_estimates,
)
from realbogus.audits.source_sample import INJECTED, SCENE, STAR, join_samples
from tests.small_sources import GAIN, make_sample, point_profiles


@pytest.fixture(scope="module")
def scene():
    return make_sample(SCENE, 240, 1)


@pytest.fixture(scope="module")
def honest():
    return make_sample(INJECTED, 240, 2)


def test_the_slope_of_the_noise_is_one_over_the_gain(scene, honest):
    (noise,) = [check for check in check_residuals(join_samples([scene, honest]), INJECTED, 0) if "light" in check.name]
    slopes = [float(word) for word in noise.remark.replace(" and", "").split()[1:3]]
    assert slopes == pytest.approx([1 / GAIN, 1 / GAIN], rel=0.15)


def test_injections_that_are_the_measured_psf_itself_miss_it_by_less_than_stars():
    """Stars whose PSF was measured wrongly by a tenth of its width have a larger chi2 than its own copies."""
    held = make_sample(STAR, 300, 4)
    wrong = replace(held, profile_new=point_profiles(held.scalars["x_px"], held.scalars["y_px"], np.full(300, 1.45)))
    honest = make_sample(INJECTED, 300, 5)
    assert check_stars(held, honest).passed
    assert check_stars(wrong, honest).passed is False


def test_too_few_sources_give_no_check(scene, honest):
    few = join_samples([scene.take(np.arange(LEAST_SOURCES - 1)), honest])
    assert check_residuals(few, INJECTED, 0) == []
    other = make_sample(STAR, LEAST_SOURCES - 1, 6)
    check = check_stars(other, honest)
    assert check.passed is None
    assert check.count < LEAST_SOURCES
    assert "too few" in check.remark


def test_sources_on_light_of_the_reference_are_not_dark(honest):
    assert is_dark(honest).mean() > 0.8, "of a normal deviate 87 % are within 1.5 standard deviations"
    stamps = honest.stamps.copy()
    stamps[::2, 12:17, 12:17, 1] += 200
    lit = ~is_dark(replace(honest, stamps=stamps))
    assert lit[::2].all()
    assert lit[1::2].mean() < 0.2


def test_values_are_matched_one_to_one_within_a_tenth_of_their_logarithm():
    first, second = match_sorted(np.array([10.0, 1.0, 5.0]), np.array([5.4, 1.05, 5.3, 30.0]))
    assert (first, second) == ([1, 2], [1, 2])
    assert match_sorted(np.array([1.0, 1.0]), np.array([1.0])) == ([0], [0])
    assert match_sorted(np.zeros(0), np.array([1.0])) == ([], [])


@pytest.mark.parametrize(("ratio", "matched"), [(0.099, True), (0.101, False), (-0.099, True), (-0.101, False)])
def test_the_tolerance_is_of_the_logarithm_to_both_sides(ratio, matched):
    rows = match_sorted(np.array([1.0]), np.array([np.exp(ratio)]))
    assert rows == (([0], [0]) if matched else ([], []))


def test_a_value_that_fits_nothing_is_skipped_on_either_side():
    assert match_sorted(np.array([1.0, 2.0, 9.0]), np.array([2.0, 4.0, 9.0])) == ([1, 2], [0, 2])


def test_errors_of_a_quotient_and_a_difference_add_in_quadrature():
    first, second = estimate_with_error(6.0, 0.6), estimate_with_error(2.0, 0.2)
    quotient, difference = divide_estimates(first, second), subtract_estimates(first, second)
    assert quotient.value == 3
    assert quotient.error == pytest.approx(3 * np.hypot(0.1, 0.1))
    assert difference.value == 4
    assert difference.error == pytest.approx(np.hypot(0.6, 0.2))
    assert divide_estimates(Estimate(-6, -6, -6), second).error == pytest.approx(0.3)
