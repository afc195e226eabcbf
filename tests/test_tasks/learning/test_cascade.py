"""A cheap classifier before a full one: what it may discard, and how surely it loses no more."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.cascade import CascadeError, Discard, fit_discard
from tasks.learning.operating_points import upper_limit


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0, 0.3), st.floats(0, 2))
def test_no_more_than_was_allowed_lies_below_the_threshold(seed: int, count: int, most: float, margin: float) -> None:
    first, full = np.random.default_rng(seed).normal(size=(2, count))
    if not (full >= 0).any():
        with pytest.raises(CascadeError, match="keeps none"):
            fit_discard(first, full, 0.0, margin, most)
        return
    discard = fit_discard(first, full, 0.0, margin, most)
    kept = first[full >= 0]
    assert discard.lost == np.count_nonzero(kept < discard.threshold) <= most * len(kept)
    assert discard.kept_by_full == len(kept)
    assert discard.lost_limit >= upper_limit(discard.lost, len(kept)) - 1e-12


def test_the_limit_holds_in_nineteen_of_twenty_whatever_the_distribution() -> None:
    """The threshold is an order statistic, so for a uniform score the share truly lost is the threshold itself."""
    rng = np.random.default_rng(0)
    beyond = 0
    for _ in range(400):
        discard = fit_discard(rng.random(200), np.ones(200), 0.0, 0.0, 0.02)
        beyond += discard.threshold > discard.lost_limit
    assert 8 <= beyond <= 34  # 20 of 400 expected: the limit is exact, not just safe


def test_the_threshold_is_the_lowest_positive_that_may_not_be_lost_less_the_margin(tmp_path: Path) -> None:
    first, full = np.array([3.0, 1.0, 4.0, 2.0, 0.0, 9.0]), np.array([1.0, 1.0, 2.0, 1.0, 0.5, 3.0])
    # The positive of logit 0 is below the full classifier's threshold; one at the threshold is kept.
    none_lost = fit_discard(first, full, 1.0)
    assert (none_lost.threshold, none_lost.full_threshold) == (1.0, 1.0)
    assert (none_lost.lost, none_lost.kept_by_full) == (0, 5)
    assert none_lost.lost_limit == upper_limit(0, 5)
    two_lost = fit_discard(first, full, 1.0, most_lost=0.4)
    assert (two_lost.threshold, two_lost.lost, two_lost.lost_limit) == (3.0, 2, upper_limit(2, 5))
    # A little less than two fifths is one.
    assert fit_discard(first, full, 1.0, most_lost=0.39).threshold == 2.0
    # The margin lowers the threshold and so the loss; the limit stays that of the order statistic.
    with_margin = fit_discard(first, full, 1.0, margin=1.5, most_lost=0.4)
    assert (with_margin.threshold, with_margin.lost, with_margin.lost_limit) == (1.5, 1, upper_limit(2, 5))
    # The highest positive is always kept.
    assert fit_discard(first, full, 1.0, most_lost=1.0).threshold == 9.0
    path = tmp_path / "discard.json"
    path.write_text(json.dumps(two_lost.to_summary()), encoding="utf-8")
    assert Discard.read(path) == two_lost


@pytest.mark.parametrize("full_threshold", [1.0, 3.0])
def test_a_full_classifier_that_keeps_none_is_refused(full_threshold: float) -> None:
    with pytest.raises(CascadeError, match=f"keeps none of 2 positives at threshold {full_threshold:.3f}"):
        fit_discard(np.zeros(2), np.array([0.0, 0.5]), full_threshold)
    assert fit_discard(np.zeros(2), np.array([0.0, 0.5]), 0.5).kept_by_full == 1


def test_a_full_logit_that_is_not_finite_is_refused() -> None:
    with pytest.raises(CascadeError, match="of 2 positives some have no finite logit"):
        fit_discard(np.zeros(2), np.array([0.0, np.inf]), 0.0)


def test_a_broken_score_is_refused() -> None:
    with pytest.raises(CascadeError, match="no finite logit"):
        fit_discard(np.array([0.0, np.nan]), np.ones(2), 0.0, 0.0)
