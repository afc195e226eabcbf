"""The operating point: thresholds, rates and limits against slow counting and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tasks.learning import measures, operating_points
from tasks.learning.operating_points import (
    OperatingPointError,
    fpr_at_tpr,
    fpr_ratio,
    partial_auc,
    point_at_tpr,
    threshold_for_tpr,
    tpr_at_count,
    upper_limit,
    weighted_thresholds,
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
    with pytest.raises(OperatingPointError, match="needs positives"):
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


@given(
    st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=40),
    st.floats(0.01, 1) | st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.5, 1.0]),
)
def test_partial_auc_is_the_mean_true_positive_rate_over_the_lowest_false_ones(
    rows: list[tuple[float, bool]], most_fpr: float
) -> None:
    """Negatives are taken the highest first, until `most_fpr` of them are; equal ones share what is between them."""
    scores, positive = np.array([score for score, _ in rows]), np.array([flag for _, flag in rows])
    if positive.all() or not positive.any():
        assert np.isnan(partial_auc(scores, positive, most_fpr))
        return
    positives, negatives = scores[positive], scores[~positive]
    left, area = most_fpr * len(negatives), 0.0
    for value in sorted(set(negatives.tolist()), reverse=True):
        equal = int(np.count_nonzero(negatives == value))
        above, tied = np.mean(positives > value), np.mean(positives == value)
        taken = min(left, equal)
        area += taken * (above + tied * taken / equal / 2)
        left -= taken
    assert partial_auc(scores, positive, most_fpr) == pytest.approx(area / (most_fpr * len(negatives)))
    assert partial_auc(scores, positive, 1.0) == pytest.approx(measures.auc(scores, positive))


def test_a_positive_below_every_negative_that_counts_adds_no_area() -> None:
    scores, positive = np.arange(60.0)[::-1], np.isin(np.arange(60), range(1, 41))
    assert partial_auc(scores, positive, 0.05) == 0  # one of 20 negatives is above all positives


def test_the_rate_at_a_night_s_candidates_lets_so_many_negatives_pass() -> None:
    negatives = np.arange(1000.0)
    scores, positive = np.append(negatives, [988.5, 990.5, 2000.0]), np.append(np.zeros(1000, bool), np.ones(3, bool))
    assert tpr_at_count(scores, positive, 10, 1000) == pytest.approx(2 / 3)
    assert tpr_at_count(scores, positive, 10_000, 1_000_000) == pytest.approx(2 / 3)


@given(st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=40), st.integers(1, 40))
def test_no_more_negatives_pass_than_a_night_may_give(rows: list[tuple[float, bool]], wanted: int) -> None:
    scores, positive = np.array([score for score, _ in rows]), np.array([flag for _, flag in rows])
    found = tpr_at_count(scores, positive, wanted, 40)
    if positive.all() or not positive.any():
        assert np.isnan(found)
        return
    negatives = scores[~positive]
    may_pass = [value for value in negatives if np.count_nonzero(negatives > value) <= wanted * len(negatives) / 40]
    assert found == np.mean(scores[positive] > min(may_pass))


@given(st.lists(st.tuples(numbers, st.booleans()), min_size=1, max_size=40), st.floats(0.001, 0.999))
def test_precision_at_another_share_is_bayes_rule(rows: list[tuple[float, bool]], share: float) -> None:
    scores, positive = np.array([score for score, _ in rows]), np.array([flag for _, flag in rows])
    if positive.all() or not positive.any():
        return
    recall, precision = operating_points.precision_recall(scores, positive, share)
    _, measured = operating_points.precision_recall(scores, positive)
    for at, value in enumerate(sorted(set(scores), reverse=True)):
        selected = scores >= value
        kept, passed = selected[positive].mean(), selected[~positive].mean()
        assert recall[at] == pytest.approx(kept)
        assert measured[at] == pytest.approx(positive[selected].mean())
        if kept or passed:
            assert precision[at] == pytest.approx(kept * share / (kept * share + passed * (1 - share)))


def test_at_a_threshold_set_elsewhere_both_rates_are_counted_and_few_events_are_a_limit() -> None:
    rng = np.random.default_rng(5)
    positive = np.arange(900) % 3 == 0
    scores = rng.normal(size=900) + 2 * positive
    point = operating_points.point_at_threshold(scores, positive, [str(row // 3) for row in range(900)], 1.7)
    told = point.to_summary()
    assert (told["kept"], told["positives"]) == (np.count_nonzero(scores[positive] >= 1.7), 300)
    assert (told["passed"], told["negatives"]) == (np.count_nonzero(scores[~positive] >= 1.7), 600)
    assert (told["tpr"], told["fpr"]) == (told["kept"] / 300, told["passed"] / 600)
    assert told["fpr_low"] < told["fpr"] < told["fpr_high"]
    assert point.tpr.low < told["tpr"] < point.tpr.high
    assert told["resolved"]
    unresolved = operating_points.point_at_threshold(scores, positive, [str(row) for row in range(900)], 9.0)
    assert not unresolved.to_summary()["resolved"]


def test_an_auc_difference_is_paired() -> None:
    """Two scores with the same noise differ surely by little, which their own intervals would not show."""
    rng = np.random.default_rng(6)
    positive = np.arange(1200) % 2 == 0
    noise, groups = rng.normal(size=1200), [str(row // 8) for row in range(1200)]
    first, second = positive + noise, 1.1 * positive + noise
    same, better = (operating_points.auc_difference(first, other, positive, groups) for other in (first, second))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert better.value == pytest.approx(measures.auc(second, positive) - measures.auc(first, positive))
    assert 0 < better.low < better.value < better.high
    own = operating_points.auc_difference(np.zeros(1200), first, positive, groups)
    assert better.high - better.low < (own.high - own.low) / 4


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
    point = point_at_tpr(scores, positive, [str(row) for row in range(150)], 0.9)
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
        interval = point_at_tpr(scores, positive, [str(row) for row in range(600)], 0.9).fpr
        covered += interval.low <= true <= interval.high
    assert covered >= 33


def test_a_point_of_few_groups_has_no_interval_in_its_summary() -> None:
    scores, positive = np.arange(40.0), np.arange(40) % 2 == 0
    for point in (
        point_at_tpr(scores, positive, [str(row % 9) for row in range(40)], 0.9),
        operating_points.point_at_threshold(scores, positive, [str(row % 9) for row in range(40)], 20.0),
    ):
        summary = point.to_summary()
        assert (summary["fpr_low"], summary["fpr_high"]) == (None, None)
        assert summary["fpr"] == summary["passed"] / summary["negatives"]


def test_a_card_keeps_every_point() -> None:
    scores, positive = np.arange(100.0), np.arange(100) >= 50
    points = operating_points.operating_points(scores, positive)
    assert {name: point["tpr"] for name, point in points.items()} == {"tpr90": 0.9, "tpr95": 0.96, "tpr99": 1.0}
    assert points["tpr90"]["threshold"] == 55


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    st.sampled_from([0.5, 0.9, 0.99]),
    st.integers(0, 2**32 - 1),
)
def test_a_weight_repeats_a_row_in_the_threshold(scores: list[int], tpr: float, seed: int) -> None:
    weights = np.random.default_rng(seed).integers(4, size=(3, len(scores)))
    found = weighted_thresholds(np.array(scores, float), weights.astype(float), tpr)
    for threshold, times in zip(found, weights, strict=True):
        if times.sum():
            assert threshold == threshold_for_tpr(np.repeat(scores, times), tpr)
        else:
            assert np.isnan(threshold)


def test_without_positives_there_are_no_weighted_thresholds() -> None:
    assert np.isnan(weighted_thresholds(np.empty(0), np.empty((2, 0)), 0.9)).all()
