"""The stack of scores: the minimum it states, and what few labels of another survey can change."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tasks.learning.measures import rank_auc
from tasks.learning.stacked_scores import fit_stack


def two_scores(count=600, seed=0, turned=False):
    """One score that separates well, one that separates little; in a turned survey the other way round."""
    rng = np.random.default_rng(seed)
    positive = rng.random(count) < 0.4
    good, poor = rng.normal(2 * positive, 1), rng.normal(0.2 * positive, 1)
    return np.stack([poor, good] if turned else [good, poor], axis=1) * [1.0, 50.0], positive


def test_the_first_fit_is_a_logistic_regression_of_the_compressed_scores():
    scores, positive = two_scores()
    stack = fit_stack(scores, positive)
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75], axis=0)
    columns = np.arcsinh((scores - middle) / ((high - low) / 2))
    known = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(columns, positive)
    np.testing.assert_allclose(stack.weights, known.coef_[0], atol=0.01)
    np.testing.assert_allclose(stack.log_odds(scores), known.decision_function(columns), atol=0.03)


def test_an_outlier_moves_its_log_odds_by_its_logarithm_alone():
    scores, positive = two_scores()
    stack = fit_stack(scores, positive)
    far = np.array([[1e4, 0.0], [1e6, 0.0]])
    step = np.diff(stack.log_odds(far))[0]
    assert step == pytest.approx(stack.weights[0] * np.log(100), rel=1e-3)


def test_labels_of_another_survey_turn_the_weights_the_more_the_less_these_are_held():
    stack = fit_stack(*two_scores())
    scores, positive = two_scores(seed=1, turned=True)
    areas = []
    for penalty in (1e6, 4.0, 0.1):
        refitted = stack.refitted(scores[:50], positive[:50], penalty)
        areas.append(rank_auc(refitted.log_odds(scores[50:]), positive[50:]))
    assert areas == sorted(areas)
    assert areas[0] == pytest.approx(rank_auc(stack.log_odds(scores[50:]), positive[50:]), abs=1e-3)
    assert areas[2] > areas[0] + 0.1


def test_labels_of_one_class_alone_move_the_intercept_and_hardly_the_weights():
    scores, positive = two_scores()
    stack = fit_stack(scores, positive)
    only = scores[positive][:10]
    refitted = stack.refitted(only, np.ones(10, bool), 4.0)
    assert refitted.intercept > stack.intercept + 1
    np.testing.assert_allclose(refitted.weights, stack.weights, atol=0.5)
    with pytest.raises(ValueError, match="both classes"):
        fit_stack(only, np.ones(10, bool))
