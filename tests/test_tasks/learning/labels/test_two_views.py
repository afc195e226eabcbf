"""Suspects by two views: both must object, and their log odds add up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.labels.two_views import combine_views, suggest_by_two_views

SHARES = st.floats(0.01, 0.99)


def of(*shares: float) -> np.ndarray:
    """Probabilities of two classes, from those of class 1."""
    return np.array([[1 - share, share] for share in shares])


@given(one=SHARES, other=SHARES)
def test_log_odds_add_up_and_no_view_is_the_first(one: float, other: float) -> None:
    both = combine_views(of(one), of(other))
    odds = one / (1 - one) * other / (1 - other)
    np.testing.assert_allclose(both[0, 1] / both[0, 0], odds)
    np.testing.assert_array_equal(both, combine_views(of(other), of(one)))


def test_a_label_is_suspect_where_both_views_prefer_the_same_other_class_and_are_sure_together() -> None:
    one, other = of(0.9, 0.9, 0.51, 0.1, 0.9), of(0.9, 0.4, 0.51, 0.1, 0.9)
    labels = np.array([0, 0, 0, 0, -1])
    assert suggest_by_two_views(one, other, labels, 0.65).tolist() == [1, 0, 0, 0, -1]
    assert suggest_by_two_views(one, other, labels, 0.5).tolist() == [1, 0, 1, 0, -1]
    assert suggest_by_two_views(one, other, 1 - np.maximum(labels, 0), 0.65).tolist() == [1, 1, 1, 0, 1]


def test_a_view_that_is_certain_does_not_decide_alone() -> None:
    assert suggest_by_two_views(of(0.5001), of(1.0), np.array([0])).tolist() == [1]
    assert suggest_by_two_views(of(0.4999), of(1.0), np.array([0])).tolist() == [0]
    assert np.isfinite(combine_views(of(0.0), of(1.0))).all()


def test_of_three_classes_the_views_must_agree_on_which() -> None:
    one, other = np.array([[0.1, 0.6, 0.3]] * 2), np.array([[0.1, 0.3, 0.6], [0.1, 0.7, 0.2]])
    assert suggest_by_two_views(one, other, np.array([0, 0]), 0.5).tolist() == [0, 1]
