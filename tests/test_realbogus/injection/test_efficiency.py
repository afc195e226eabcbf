"""The three efficiencies: counts in bins, their product, and what a chance match is worth."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from realbogus.injection.efficiency import efficiencies, rate_of


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_completeness_is_detection_times_classification(seed: int, by_chance: float) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 60))
    values, found, kept = rng.uniform(0, 3, count), rng.random(count) < 0.7, rng.random(count) < 0.8
    bins = efficiencies(values, found, kept, rng.random(count) < by_chance, np.array([0.0, 1.0, 2.0, 3.0]))
    assert sum(one.detection.trials for one in bins) == count
    for one in bins:
        inside = (values >= one.low) & (values < one.high)
        assert one.detection.trials == one.completeness.trials == inside.sum()
        assert one.classification.trials == (found & inside).sum() >= one.detection.events
        assert one.low <= one.centre < one.high
        if one.classification.trials:
            product = one.detection.value * one.classification.value
            assert one.completeness.value == pytest.approx(product)


def test_what_is_met_by_chance_is_taken_off() -> None:
    """Of 20,000 places a tenth has a detection anyway; half of the injections are truly detected."""
    rng = np.random.default_rng(0)
    true, met = rng.random(20_000) < 0.5, rng.random(20_000) < 0.1
    moved = rng.random(20_000) < 0.1
    (one,) = efficiencies(np.zeros(20_000), true | met, np.ones(20_000, bool), moved, np.array([0.0, 1.0]))
    assert (true | met).mean() > 0.54
    assert one.detection.value == pytest.approx(0.5, abs=0.01)
    assert one.completeness.value == one.detection.value


@pytest.mark.parametrize(("events", "trials"), [(0, 10), (3, 10), (10, 10), (250, 1000)])
def test_the_interval_is_that_of_jeffreys(events: int, trials: int) -> None:
    rate = rate_of(events, trials)
    low, high = stats.beta.interval(0.95, events + 0.5, trials - events + 0.5)
    assert rate.low == (0 if events == 0 else pytest.approx(low))
    assert rate.high == (1 if events == trials else pytest.approx(high))
    assert rate.value == events / trials


def test_without_trials_anything_may_be() -> None:
    assert np.isnan(rate_of(0, 0).value)
    assert (rate_of(0, 0).low, rate_of(0, 0).high) == (0.0, 1.0)


@given(st.integers(0, 2**32 - 1))
def test_hosted_and_hostless_are_everything(seed: int) -> None:
    """Cut by host, the counts of a bin add up to those of all; what lies outside of the bins is in none."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 80))
    values, edges = rng.uniform(-1, 4, count).round(1), np.array([0.0, 1.0, 2.0, 3.0])
    values[rng.random(count) < 0.1] = np.nan
    found, kept, hosted = (rng.random(count) < share for share in (0.7, 0.8, 0.5))
    chance = np.zeros(count, bool)

    def counts(rows: np.ndarray) -> dict[float, np.ndarray]:
        bins = efficiencies(values[rows], found[rows], kept[rows], chance[rows], edges)
        assert all(low.high <= high.low for low, high in pairwise(bins))
        return {
            one.low: np.array([one.detection.trials, one.detection.events, one.completeness.events]) for one in bins
        }

    every, parts = counts(np.ones(count, bool)), [counts(hosted), counts(~hosted)]
    assert set(every) == {edge for edge in edges[:-1] if ((values >= edge) & (values < edge + 1)).any()}
    for low, numbers in every.items():
        np.testing.assert_array_equal(sum(part.get(low, np.zeros(3, int)) for part in parts), numbers)


def test_a_detection_that_is_classified_as_bogus_is_complete_for_nobody() -> None:
    """Kept counts where it was found alone: what was never detected cannot be kept."""
    found, kept = np.array([True, True, False, False]), np.array([True, False, True, False])
    (one,) = efficiencies(np.zeros(4), found, kept, np.zeros(4, bool), np.array([0.0, 1.0]))
    rates = (one.detection, one.classification, one.completeness)
    assert [(rate.events, rate.trials) for rate in rates] == [(2, 4), (1, 2), (1, 4)]


def test_more_chance_matches_than_finds_leave_none() -> None:
    found = np.arange(10) < 3
    (one,) = efficiencies(np.zeros(10), found, np.zeros(10, bool), found, np.array([0.0, 1.0]))
    assert (one.detection.events, one.completeness.events) == (0, 0)
    assert one.detection.low == 0
