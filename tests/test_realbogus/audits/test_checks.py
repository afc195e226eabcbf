"""Checks: areas, rates, bootstrap intervals over groups, limits and their widening, out-of-fold forests."""

import numpy as np
import pytest

from realbogus.audits.checks import (
    Check,
    Estimate,
    Question,
    area_under_curve,
    check_near,
    check_p_value,
    check_within,
    estimate_by_group,
    estimate_with_error,
    false_positive_rate,
    score_by_forest,
)

NAN = float("nan")


def test_area_and_rate_of_known_rankings():
    scores, labels = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    assert area_under_curve(scores, labels) == 0.75
    assert area_under_curve(-scores, labels) == 0.25
    assert np.isnan(area_under_curve(scores, np.ones(4, bool)))
    ten = np.arange(20.0)
    assert false_positive_rate(ten, ten >= 10) == 0
    assert false_positive_rate(ten, ten % 2 == 1) == pytest.approx(0.9, abs=0.1)


def test_an_interval_counts_groups_not_rows():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=30), 50)
    by_row = estimate_by_group(lambda rows: values[rows].mean(), np.arange(1500), rng)
    by_group = estimate_by_group(lambda rows: values[rows].mean(), np.repeat(np.arange(30), 50), rng)
    assert by_group.error == pytest.approx(1 / np.sqrt(30), rel=0.3)
    assert by_group.error > 4 * by_row.error


def test_a_limit_is_widened_to_what_the_sample_resolves():
    estimate = estimate_with_error(0.55, 0.02)
    check = check_near(Question("auc", "?"), estimate, 0.5, 0.03, 10)
    assert check.passed
    assert check.most == pytest.approx(0.56)
    assert "resolves" in check.remark
    assert check_near(Question("auc", "?"), estimate_with_error(0.55, 0.005), 0.5, 0.03, 10).passed is False


def test_a_forest_is_evaluated_on_held_out_folds():
    """A number that identifies rows does not predict other folds' labels; the label itself does."""
    rng = np.random.default_rng(0)
    fold, labels = np.repeat(np.arange(5), 40), rng.random(200) < 0.5
    by_name = score_by_forest(np.arange(200.0)[:, None], labels, fold, 0)
    assert abs(area_under_curve(by_name, labels) - 0.5) < 0.15
    assert area_under_curve(score_by_forest(labels[:, None], labels, fold, 0), labels) == 1


@pytest.mark.parametrize(
    ("least", "most", "passed"),
    [
        (None, None, None),
        (0.5, None, True),
        (0.51, None, False),
        (None, 0.5, True),
        (None, 0.49, False),
        (0.5, 0.5, True),
        (0.6, 0.7, False),
    ],
)
def test_limits_are_inclusive_and_optional(least, most, passed):
    check = check_within(Question("a", "b?", "c"), Estimate(0.5, 0.4, 0.7), least, most, 9)
    assert check == Check("a", "b?", 0.5, 0.4, 0.7, least, most, 9, "c")
    assert check.passed is passed


def test_a_figure_that_is_not_a_number_fails():
    assert check_within(Question("a", "b?"), Estimate(NAN, NAN, NAN), 0.1, None, 9).passed is False


def test_an_estimate_s_interval_is_1_96_standard_errors():
    estimate = estimate_with_error(3.0, 0.5)
    assert (estimate.low, estimate.high) == pytest.approx((3 - 0.98, 3 + 0.98))
    assert estimate.error == pytest.approx(0.5)


def test_a_resolved_limit_keeps_its_tolerance_and_remark():
    check = check_near(Question("a", "b?", "n;"), estimate_with_error(0.55, 0.01), 0.5, 0.03, 10)
    assert check.least == pytest.approx(0.47)
    assert check.most == pytest.approx(0.53)
    assert check.remark == "n;"
    widened = check_near(Question("a", "b?", "n;"), estimate_with_error(0.55, 0.02), 0.5, 0.03, 10)
    assert widened.least == pytest.approx(0.44)
    assert widened.remark == "n; the sample resolves 0.06, not 0.03"


def test_a_p_value_has_a_lower_limit_only():
    assert check_p_value(Question("a", "b?"), 0.01, 0.01, 5).passed
    check = check_p_value(Question("a", "b?"), 0.0099, 0.01, 5)
    assert check.passed is False
    assert check.most is None
    assert np.isnan([check.low, check.high]).all()


def test_equal_scores_count_half():
    assert area_under_curve(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    assert area_under_curve(np.array([1.0, 1.0, 2.0]), np.array([True, False, True])) == 0.75
    assert np.isnan(area_under_curve(np.ones(2), np.zeros(2, bool)))


def test_the_false_positive_rate_is_taken_at_the_quantile_of_the_positives():
    scores = np.concatenate([np.arange(11.0), [0.5, 1.0, 5.0, 20.0]])
    labels = np.arange(15) < 11
    assert false_positive_rate(scores, labels, 0.9) == 3 / 4, "the quantile is 1, and a score equal to it passes"
    assert false_positive_rate(scores, labels, 0.5) == 2 / 4
    assert np.isnan(false_positive_rate(scores, np.ones(15, bool)))
    assert np.isnan(false_positive_rate(scores, np.zeros(15, bool)))


def test_bootstrap_rows_are_those_of_whole_groups():
    groups = np.array(["b", "a", "b", "c"])
    drawn = []

    def measure(rows):
        drawn.append(sorted(rows.tolist()))
        return float(len(rows))

    estimate = estimate_by_group(measure, groups, np.random.default_rng(0), repeats=40)
    assert estimate.value == 4
    assert drawn[-1] == [0, 1, 2, 3]
    assert len(drawn) == 41
    for rows in drawn:
        assert rows.count(0) == rows.count(2)
        assert rows.count(0) + rows.count(1) + rows.count(3) == 3


def test_bootstrap_samples_without_a_figure_are_left_out():
    groups = np.arange(4)
    estimate = estimate_by_group(lambda rows: 2.0 if 0 in rows else NAN, groups, np.random.default_rng(0), repeats=30)
    assert (estimate.value, estimate.error) == (2.0, 0.0)
    nothing = estimate_by_group(lambda rows: NAN, groups, np.random.default_rng(0), repeats=5)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_a_forest_without_both_labels_outside_a_fold_is_refused():
    labels = np.array([True, True, False, True])
    with pytest.raises(ValueError, match="outside fold 1 are of one kind"):
        score_by_forest(np.zeros((4, 1)), labels, np.array([0, 0, 1, 1]), 0)


def test_missing_numbers_are_a_value_of_their_own_to_a_forest():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.5
    numbers = np.where(labels, np.nan, rng.normal(size=200))[:, None]
    assert area_under_curve(score_by_forest(numbers, labels, np.arange(200) % 5, 0), labels) == 1
