"""Intervals in summaries and on pages."""

import math

import pytest

from tasks.learning.intervals import LEAST_GROUPS_FOR_INTERVAL, NO_INTERVAL, Interval, format_ends, intervals_among

NONE = Interval(0.7853, math.nan, math.nan)


def test_the_ends_are_shown_in_a_format_or_named_absent():
    assert Interval(0.5, 0.25, 0.75).ends(".1%") == "25.0% to 75.0%"
    assert Interval(0.5, 0.25, 0.75).ends(".3f", "–") == "0.250–0.750"
    assert NONE.ends(".3f") == NO_INTERVAL == "no interval: fewer than 10 groups"
    assert LEAST_GROUPS_FOR_INTERVAL == 10


@pytest.mark.parametrize(("low", "high"), [(None, None), (math.nan, 1.0), (0.0, math.nan), (None, 1.0), (0.0, None)])
def test_an_interval_needs_both_ends(low, high):
    assert format_ends(low, high, ".2f") == NO_INTERVAL


def test_a_summary_holds_null_where_there_is_no_interval():
    assert NONE.to_summary("auc") == {"auc": 0.7853, "auc_low": None, "auc_high": None}
    summary = Interval(0.5, 0.25, 0.75).to_summary("fpr")
    assert summary == {"fpr": 0.5, "fpr_low": 0.25, "fpr_high": 0.75}
    assert Interval.from_summary({"other": 1} | summary, "fpr") == (0.5, 0.25, 0.75)
    again = Interval.from_summary(NONE.to_summary("auc"), "auc")
    assert again.value == 0.7853
    assert math.isnan(again.low)
    assert math.isnan(again.high)


def test_ends_are_those_of_the_number_that_they_are_beside():
    numbers = {"auc": 0.9, "auc_low": 0.8, "auc_high": 0.95, "ece": 0.1, "ece_low": 0.0, "row_low": 3.0}
    found = intervals_among(numbers)
    assert list(found) == ["auc", "ece", "row_low"]
    assert found["auc"] == (0.9, 0.8, 0.95)
    assert found["ece"][:2] == (0.1, 0.0)
    assert math.isnan(found["ece"].high)
    assert found["row_low"].value == 3.0
