"""The operating point: thresholds, rates and limits against slow counting and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.learning import measures, operating
from tasks.learning.operating import (
    OperatingError,
    at_tpr,
    fpr_at_tpr,
    fpr_ratio,
    partial_auc,
    probability,
    threshold_for_tpr,
    tpr_at_count,
    upper_limit,
)

numbers = st.integers(-8, 8).map(float)


@given(st.lists(numbers, min_size=1, max_size=40), st.floats(0.01, 1))
def test_the_threshold_is_the_highest_that_keeps_enough(positives: list[float], tpr: float) -> None:
    scores = np.array(positives)
    threshold = threshold_for_tpr(scores, tpr)
    reaching = [value for value in positives if np.mean(scores >= value) >= tpr - 1e-9]
    assert threshold == max(reaching)


@given(st.lists(st.tuples(numbers, st.booleans()), min_size=1, max_size=40), st.floats(0.05, 1))
def test_the_false_positive_rate_counts_what_ties_with_the_threshold(
    rows: list[tuple[float, bool]], tpr: float
) -> None:
    scores, positive = np.array([score for score, _ in rows]), np.array([flag for _, flag in rows])
    found = fpr_at_tpr(scores, positive, tpr)
    if positive.all() or not positive.any():
        assert np.isnan(found)
    else:
        threshold = threshold_for_tpr(scores[positive], tpr)
        assert found == np.mean([score >= threshold for score, flag in rows if not flag])


def test_without_positives_there_is_no_threshold() -> None:
    with pytest.raises(OperatingError, match="needs positives"):
        threshold_for_tpr(np.empty(0), 0.9)


@given(st.integers(0, 30), st.integers(1, 30))
def test_the_upper_limit_is_the_rate_at_which_so_few_come_in_one_of_twenty(events: int, more: int) -> None:
    trials = events + more
    limit = upper_limit(events, trials)
    assert stats.binom.cdf(events, trials, limit) == pytest.approx(0.05)


def test_of_1500_without_a_loss_the_limit_is_two_in_a_thousand() -> None:
    assert upper_limit(0, 1500) == pytest.approx(1 - 0.05 ** (1 / 1500))
    assert upper_limit(3, 3) == 1.0


def test_partial_auc_is_one_for_a_perfect_score_and_half_the_rate_for_none() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(40_000) < 0.5
    assert partial_auc(positive.astype(float), positive, 0.05) == 1.0
    assert partial_auc(rng.random(40_000), positive, 0.05) == pytest.approx(0.025, abs=0.003)
    scores = positive + rng.normal(size=40_000)
    assert partial_auc(scores, positive, 1.0) == pytest.approx(measures.auc(scores, positive))


@given(st.floats(-6, 6), st.floats(0.01, 0.99), st.floats(0.0001, 0.99))
def test_another_prior_is_bayes_rule(logit: float, trained: float, night: float) -> None:
    at_mix = probability(np.array([logit]), 1.0, trained, trained)[0]
    likelihood_ratio = at_mix / (1 - at_mix) * (1 - trained) / trained
    odds = likelihood_ratio * night / (1 - night)
    assert probability(np.array([logit]), 1.0, trained, night)[0] == pytest.approx(odds / (1 + odds), rel=1e-6)


def test_the_rate_at_a_night_s_candidates_lets_so_many_negatives_pass() -> None:
    negatives = np.arange(1000.0)
    scores, positive = np.append(negatives, [988.5, 990.5, 2000.0]), np.append(np.zeros(1000, bool), np.ones(3, bool))
    assert tpr_at_count(scores, positive, 10, 1000) == pytest.approx(2 / 3)
    assert tpr_at_count(scores, positive, 10_000, 1_000_000) == pytest.approx(2 / 3)


def test_a_ratio_of_a_score_to_itself_is_one_and_to_a_better_one_above() -> None:
    rng = np.random.default_rng(3)
    positive = np.arange(2000) % 2 == 0
    noise = rng.normal(size=2000)
    groups = [str(number // 4) for number in range(2000)]
    poor, good = 1.5 * positive + noise, 3 * positive + noise
    same, better = (fpr_ratio(poor, other, positive, groups, 0.9) for other in (poor, good))
    assert (same.value, same.low, same.high) == (1, 1, 1)
    assert 1 < better.low < better.value < better.high


def test_few_that_pass_are_no_figure() -> None:
    scores, positive = np.append(np.arange(100.0), np.full(50, 95.0)), np.append(np.zeros(100, bool), np.ones(50, bool))
    point = at_tpr(scores, positive, [str(row) for row in range(150)], 0.9)
    assert (point.passed, point.kept, point.resolved) == (5, 50, False)
    assert point.fpr_limit == upper_limit(5, 100)


def test_the_interval_of_the_rate_covers_the_truth() -> None:
    """Reals and bogus are normal, 2.5 apart; in some 19 of 20 samples the interval holds the true rate."""
    true = stats.norm.sf(stats.norm.ppf(0.1) + 2.5)
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        positive = np.arange(600) % 2 == 0
        scores = rng.normal(size=600) + 2.5 * positive
        interval = at_tpr(scores, positive, [str(row) for row in range(600)], 0.9).fpr
        covered += interval.low <= true <= interval.high
    assert covered >= 33


def test_a_card_keeps_every_point() -> None:
    scores, positive = np.arange(100.0), np.arange(100) >= 50
    points = operating.operating_points(scores, positive)
    assert {name: point["tpr"] for name, point in points.items()} == {"tpr90": 0.9, "tpr95": 0.96, "tpr99": 1.0}
    assert points["tpr90"]["threshold"] == 55
