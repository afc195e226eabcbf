"""Weighted samples: a weight is a number of repetitions, and scales, quantiles and distances are those by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.drift.night_features import NightFeatures
from tasks.learning.drift.weighted_samples import (
    MOST_SPREADS,
    WeightedSample,
    distance,
    limit,
    measure_scale,
    pool_samples,
    quantile,
    rescale,
    samples_by_stratum,
    variances_within,
)

ROWS = st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 4)), min_size=1, max_size=12)


def sample(values: list[float], weights: list[float] | None = None) -> WeightedSample:
    return WeightedSample(np.array(values, float), np.ones(len(values)) if weights is None else np.array(weights))


def weighted_and_repeated(rows: list[tuple[int, int]]) -> tuple[WeightedSample, WeightedSample]:
    values, counts = (np.array(column) for column in zip(*rows, strict=True))
    return WeightedSample(values.astype(float), counts.astype(float)), sample(np.repeat(values, counts).tolist())


@given(ROWS, ROWS, st.floats(0, 1))
def test_a_weight_is_a_number_of_repetitions(
    rows: list[tuple[int, int]], others: list[tuple[int, int]], fraction: float
) -> None:
    weighted, repeated = weighted_and_repeated(rows)
    assert quantile(weighted, fraction) == quantile(repeated, fraction)
    scale, expected = measure_scale(weighted), measure_scale(repeated)
    assert (scale is None) == (expected is None)
    if scale is not None:
        assert scale == pytest.approx(expected)
    to_others = [weighted_and_repeated(others)[number] for number in (0, 1)]
    assert distance(weighted, to_others[0]) == pytest.approx(distance(repeated, to_others[1]), abs=1e-9)


@given(ROWS, st.integers(-50, 50), st.sampled_from([0.5, 2.0, 16.0]))
def test_in_units_of_its_own_scale_a_sample_has_median_0_and_spread_1(
    rows: list[tuple[int, int]], shift: int, factor: float
) -> None:
    weighted, _ = weighted_and_repeated(rows)
    moved = WeightedSample(shift + factor * weighted.values, weighted.weights)
    scale, of_moved = measure_scale(weighted), measure_scale(moved)
    if scale is None or of_moved is None:
        assert scale == of_moved
        return
    assert measure_scale(rescale(weighted, scale)) == pytest.approx((0.0, 1.0))
    np.testing.assert_allclose(rescale(moved, of_moved).values, rescale(weighted, scale).values, atol=1e-9)


def test_quantiles_by_hand() -> None:
    """Of the weights 1, 2 and 1 in the order of the values a quarter is reached at 10, three quarters at 20."""
    weighted = sample([20.0, 30.0, 10.0], [2.0, 1.0, 1.0])
    assert [quantile(weighted, share) for share in (0, 0.25, 0.26, 0.5, 0.75, 0.76, 1)] == [10, 10, 20, 20, 20, 30, 30]
    assert np.isnan(quantile(sample([]), 0.5))


def test_the_scale_of_a_normal_sample_is_its_mean_and_deviation() -> None:
    values = np.random.default_rng(0).normal(7, 3, 40_000)
    assert measure_scale(sample(values.tolist())) == pytest.approx((7, 3), abs=0.06)


def test_where_most_values_are_equal_the_spread_is_the_standard_deviation() -> None:
    assert measure_scale(sample([0.0] * 9 + [10.0])) == pytest.approx((0, 3))
    assert measure_scale(sample([4.0, 4.0])) is None
    assert measure_scale(sample([])) is None


@given(ROWS, st.integers(-30, 30))
def test_the_distance_of_a_shifted_sample_is_the_shift(rows: list[tuple[int, int]], shift: int) -> None:
    weighted, _ = weighted_and_repeated(rows)
    moved = WeightedSample(weighted.values + shift, weighted.weights)
    assert distance(weighted, moved) == pytest.approx(abs(shift), abs=1e-9)
    assert distance(moved, weighted) == pytest.approx(abs(shift), abs=1e-9)


def test_every_usable_row_is_in_the_sample_of_its_stratum() -> None:
    night = NightFeatures(
        "n",
        np.array(["b", "a", "b", "c", "b", "d"]),
        {"x": np.array([1.0, 2.0, np.nan, np.inf, 5.0, 6.0])},
        np.array([0.5, 1.0, 1.0, 1.0, 0.25, 0.0]),
    )
    found = samples_by_stratum(night, "x")
    assert {name: (one.values.tolist(), one.weights.tolist()) for name, one in found.items()} == {
        "a": ([2.0], [1.0]),
        "b": ([1.0, 5.0], [0.5, 0.25]),
    }
    assert samples_by_stratum(night, "y") == {}


def test_a_pool_has_all_rows_in_order() -> None:
    pool = pool_samples([sample([3.0, 1.0], [1.0, 2.0]), sample([]), sample([2.0], [0.5])])
    assert (pool.values.tolist(), pool.weights.tolist()) == ([3.0, 1.0, 2.0], [1.0, 2.0, 0.5])
    assert pool_samples([]).values.shape == pool_samples([]).weights.shape == (0,)


def test_the_variances_within_nights_do_not_see_how_nights_differ() -> None:
    """Deviations of 1 about each night's mean: 2 + 2 of four rows and two nights; of the sizes 0 + 2."""
    nights = [sample([-1.0, 1.0]), sample([100.0, 102.0])]
    assert variances_within(nights) == (pytest.approx((2 + 2) / 2), pytest.approx((0 + 2) / 2))


@pytest.mark.parametrize("nights", [[], [sample([5.0])], [sample([5.0, 5.0, 5.0])]])
def test_the_variances_of_too_few_or_equal_rows_are_small_but_not_zero(nights: list[WeightedSample]) -> None:
    assert variances_within(nights) == (1e-3, 1e-3)


def test_outliers_are_moved_in_and_others_stay() -> None:
    given = sample([-1e9, -MOST_SPREADS, 0.5, MOST_SPREADS + 1e-6], [1.0, 2.0, 3.0, 4.0])
    assert limit(given).values.tolist() == [-MOST_SPREADS, -MOST_SPREADS, 0.5, MOST_SPREADS]
    assert limit(given).weights is given.weights
