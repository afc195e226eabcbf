"""Statistics of nights by stratum: figures by hand, and what a shift of one or of all strata does to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.drift.night_features import NightFeatures
from tasks.learning.drift.stratum_moments import Moments, contrasts, log_rates, overall, score_nights
from tasks.learning.drift.weighted_samples import MOST_SPREADS, WeightedSample

NAN = float("nan")


def moments(values: list[float], noise: list[float] | None = None) -> Moments:
    return Moments(np.array([values]), np.array([[1.0] * len(values) if noise is None else noise]))


def test_means_and_mean_sizes_are_weighted_and_scaled() -> None:
    """Two spreads above the median and one below it, three to one: the mean is 1.25, the mean size 1.75."""
    night = {"b": WeightedSample(np.array([14.0, 8.0]), np.array([3.0, 1.0]))}
    scales, within = {"a": (0.0, 1.0), "b": (10.0, 2.0)}, {"a": (1.0, 1.0), "b": (0.5, 0.25)}
    shift, width = score_nights([night, {}], ["a", "b"], scales, within)
    share = 0.75**2 + 0.25**2
    np.testing.assert_allclose(shift.values, [[NAN, 1.25], [NAN, NAN]])
    np.testing.assert_allclose(width.values, [[NAN, 1.75], [NAN, NAN]])
    np.testing.assert_allclose(shift.noise, [[NAN, share * 0.5], [NAN, NAN]])
    np.testing.assert_allclose(width.noise, [[NAN, share * 0.25], [NAN, NAN]])


def test_one_outlier_of_n_rows_moves_the_mean_by_the_most_spreads_over_n() -> None:
    values = np.zeros(12)
    values[5] = -1e9
    (shift, width) = score_nights(
        [{"a": WeightedSample(values, np.ones(12))}], ["a"], {"a": (0.0, 1.0)}, {"a": (1.0, 1.0)}
    )
    assert (shift.values.item(), width.values.item()) == (-MOST_SPREADS / 12, MOST_SPREADS / 12)


def test_the_variance_of_n_equal_rows_is_that_of_one_by_n() -> None:
    night = {"a": WeightedSample(np.arange(8.0), np.full(8, 0.3))}
    shift, width = score_nights([night], ["a"], {"a": (0.0, 1.0)}, {"a": (2.0, 4.0)})
    assert (shift.noise.item(), width.noise.item()) == (pytest.approx(2 / 8), pytest.approx(4 / 8))


@pytest.mark.parametrize(
    ("values", "mean", "noise"),
    [
        ([9.0, 1.0, 2.0, 5.0, -7.0], (1 + 2 + 5) / 3, 3 / 9),
        ([9.0, 1.0, 2.0, -7.0], 1.5, 2 / 4),
        ([9.0, 1.0, 2.0], 4.0, 3 / 9),
        ([NAN, 9.0, 1.0, NAN, 2.0], 4.0, 3 / 9),
        ([NAN, 3.0], 3.0, 1.0),
        ([NAN, NAN], NAN, NAN),
    ],
)
def test_over_all_strata_the_lowest_and_the_highest_are_left_out_of_four_or_more(
    values: list[float], mean: float, noise: float
) -> None:
    found = overall(moments(values))
    assert found.values.shape == found.noise.shape == (1, 1)
    np.testing.assert_allclose([found.values.item(), found.noise.item()], [mean, noise])


def test_the_noise_over_all_strata_is_that_of_the_strata_that_count() -> None:
    found = overall(moments([9.0, 1.0, 2.0, -7.0], [100.0, 1.0, 2.0, 100.0]))
    assert found.noise.item() == pytest.approx((1 + 2) / 4)


def test_a_contrast_is_the_distance_from_the_median_of_the_others() -> None:
    found = contrasts(moments([1.0, NAN, 2.0, 10.0, 4.0], [1.0, NAN, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(found.values, [[1 - 4, NAN, 2 - 4, 10 - 2, 4 - 2]])
    others = np.array([2 + 3 + 4, NAN, 1 + 3 + 4, 1 + 2 + 4, 1 + 2 + 3])
    np.testing.assert_allclose(found.noise, [np.array([1, NAN, 2, 3, 4]) + np.pi / 2 * others / 9])


def test_two_strata_keep_their_values_for_lack_of_others() -> None:
    given = moments([5.0, NAN, 1.0])
    found = contrasts(given)
    np.testing.assert_array_equal(found.values, given.values)
    np.testing.assert_array_equal(found.noise, [[1.0, 1.0, 1.0]])


STRATA = st.lists(st.integers(-50, 50).map(float) | st.just(NAN), min_size=3, max_size=8)


@given(STRATA, st.integers(-100, 100), st.integers(0, 1000))
def test_a_shift_of_all_strata_moves_their_mean_alone_and_their_order_does_not_matter(
    values: list[float], shift: int, seed: int
) -> None:
    before, after = moments(values), moments([value + shift for value in values])
    np.testing.assert_allclose(overall(after).values, overall(before).values + shift, atol=1e-9)
    if np.isfinite(values).sum() >= 3:
        np.testing.assert_allclose(contrasts(after).values, contrasts(before).values, atol=1e-9)
    order = np.random.default_rng(seed).permutation(len(values))
    shuffled = Moments(before.values[:, order], before.noise[:, order])
    np.testing.assert_allclose(overall(shuffled).values, overall(before).values)
    np.testing.assert_allclose(contrasts(shuffled).values, contrasts(before).values[:, order])


def test_one_stratum_however_far_off_moves_neither_the_mean_of_all_nor_the_contrasts_of_others() -> None:
    near, far = moments([0.0, 1.0, 2.0, 3.0, 4.0]), moments([0.0, 1.0, 2.0, 3.0, 1e9])
    assert overall(near).values == overall(far).values
    np.testing.assert_array_equal(contrasts(near).values[:, :4], contrasts(far).values[:, :4])


def test_rates_are_weighted_counts_by_visit_and_half_a_sample() -> None:
    night = NightFeatures(
        "n", np.array(["a", "b", "a"]), {}, np.array([1.0, 0.75, 0.5]), {"a": 4, "b": 0, "none seen": 2}
    )
    empty = NightFeatures("e", np.empty(0, str), {}, visits={"a": 1})
    found = log_rates([night, empty], ["a", "b", "none seen", "elsewhere"])
    np.testing.assert_allclose(np.exp(found.values), [[(1.5 + 0.5) / 4, NAN, 0.5 / 2, NAN], [0.5, NAN, NAN, NAN]])
    np.testing.assert_allclose(found.noise, [[1 / 2, NAN, 2, NAN], [2, NAN, NAN, NAN]])
