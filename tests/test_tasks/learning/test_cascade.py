"""A cheap classifier before a full one: what it may discard, and how surely it loses no more."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.cascade import CascadeError, fit_discard
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


def test_a_broken_score_is_refused() -> None:
    with pytest.raises(CascadeError, match="no finite logit"):
        fit_discard(np.array([0.0, np.nan]), np.ones(2), 0.0, 0.0)
