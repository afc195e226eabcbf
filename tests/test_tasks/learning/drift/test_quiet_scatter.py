"""The scatter of quiet nights: p-values are uniform for nights like them, and the false-discovery rate is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.learning.drift.quiet_scatter import estimate_prior_degrees, measure_deviations, reject

NIGHTS = 12


def draw(rng: np.random.Generator, strata: int, between: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw values (nights + 1, m) that scatter between nights and by the noise of their rows, and those variances."""
    variances = noise * rng.uniform(0.5, 2, (NIGHTS + 1, strata))
    return rng.normal(0, np.sqrt(between + variances)), variances


@pytest.mark.parametrize(("between", "noise"), [(1.0, 0.01), (0.3, 0.3), (0.0, 1.0)])
@pytest.mark.parametrize("alike", [True, False])
def test_p_values_of_nights_like_the_quiet_ones_are_rarely_small(between: float, noise: float, alike: bool) -> None:
    small = total = 0
    for seed in range(300):
        values, variances = draw(np.random.default_rng([seed, alike]), 6, between, noise)
        of_night = measure_deviations(values[0], variances[0], values[1:], variances[1:], alike=alike)
        p_values = of_night.p_values(estimate_prior_degrees([of_night]) if alike else 0.0)
        small, total = small + int((p_values < 0.05).sum()), total + 6
    # At most 5 %, and where the noise alone scatters less, since the variance between nights cannot be negative.
    assert small / total < 0.065
    if between == 1.0:
        assert small / total > 0.03


def test_a_night_with_its_own_deviation_of_many_sigma_is_found() -> None:
    values, variances = draw(np.random.default_rng(0), 4, 0.1, 0.05)
    values[0, 2] += 5
    of_night = measure_deviations(values[0], variances[0], values[1:], variances[1:], alike=True)
    p_values = of_night.p_values(estimate_prior_degrees([of_night]))
    assert np.argmin(p_values) == 2
    assert p_values[2] < 1e-6


def test_a_missing_night_of_a_stratum_is_as_if_it_had_not_been() -> None:
    values, variances = draw(np.random.default_rng(1), 1, 0.2, 0.1)
    padded = np.vstack([values[1:], [[np.nan]]])
    one = measure_deviations(values[0], variances[0], values[1:], variances[1:], alike=False)
    other = measure_deviations(values[0], variances[0], padded, np.vstack([variances[1:], [[np.nan]]]), alike=False)
    for name in ("tonight", "mean", "scatter", "degrees"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))


def test_equal_noise_and_one_stratum_give_the_prediction_interval_of_a_normal_sample() -> None:
    """With negligible noise of rows the model is the textbook's: (x - mean) / (s sqrt(1 + 1/n)) has n - 1 degrees."""
    rng = np.random.default_rng(2)
    quiet, tonight = rng.normal(0, 1, NIGHTS), 1.7
    noise = np.full((NIGHTS, 1), 1e-9)
    of_night = measure_deviations(np.array([tonight]), noise[0], quiet[:, None], noise, alike=False)
    deviation = (tonight - quiet.mean()) / (quiet.std(ddof=1) * np.sqrt(1 + 1 / NIGHTS))
    assert of_night.tonight[0] == pytest.approx(deviation, rel=1e-5)
    assert of_night.p_values()[0] == pytest.approx(2 * stats.t.sf(abs(deviation), NIGHTS - 1), rel=1e-4)


def test_equal_scatters_are_known_to_be_alike_and_unequal_ones_are_not() -> None:
    rng = np.random.default_rng(3)
    noise = np.full((NIGHTS, 60), 1e-6)
    equal = measure_deviations(np.zeros(60), noise[0], rng.normal(0, 1, (NIGHTS, 60)), noise, alike=True)
    factors = np.exp(rng.normal(0, 1, 60))
    unequal = measure_deviations(np.zeros(60), noise[0], factors * rng.normal(0, 1, (NIGHTS, 60)), noise, alike=True)
    assert estimate_prior_degrees([equal]) > 15
    assert 0 < estimate_prior_degrees([unequal]) < 5
    assert estimate_prior_degrees([]) == 0


def test_rejections_by_hand() -> None:
    """The largest k with p(k) <= k / 5 * 0.1 is 3, though the second is above its own limit."""
    p_values = np.array([0.9, 0.05, 0.045, 0.001, 0.5])
    assert reject(p_values, 0.1).tolist() == [False, True, True, True, False]
    assert reject(np.array([]), 0.1).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 0.5))
def test_rejected_p_values_are_the_smallest_and_a_larger_rate_rejects_no_fewer(found: list[float], rate: float) -> None:
    p_values = np.array(found)
    rejected = reject(p_values, rate)
    if rejected.any() and not rejected.all():
        assert p_values[rejected].max() <= p_values[~rejected].min()
    assert (reject(p_values, rate / 2) <= rejected).all()
    assert (rejected >= (p_values <= rate / len(p_values))).all(), "Bonferroni's are among them"
