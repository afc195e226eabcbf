"""Our own expectations, by the rows they blame."""

import pandas as pd

from expectations import custom
from expectations.runner import validate_frame
from expectations.suites import Expectation, Suite, one_per


def blamed(expectation, **columns):
    """Return the ids of the rows that an expectation blames."""
    frame = pd.DataFrame({"id": list("abcdef")[: len(next(iter(columns.values())))]} | columns)
    (result,) = validate_frame(frame, Suite("one", (expectation,))).results
    assert result["error"] is None
    return result["examples"]


def not_repeated(column):
    return Expectation("once", "row", "no value repeats", "ExpectColumnValuesToNotRepeat", {"column": column})


def test_all_but_the_first_of_equal_values_are_blamed():
    assert blamed(not_repeated("digest"), digest=["x", "y", "x", "x", "z", "y"]) == ["c", "d", "f"]


def test_missing_values_do_not_repeat_each_other():
    assert blamed(not_repeated("digest"), digest=["x", None, None, "x"]) == ["d"]


def test_rows_of_one_key_with_two_values_are_all_blamed():
    expectation = one_per("leak", "group", "part", "one part a group")
    groups, parts = ["g", "h", "g", "h", "i", "i"], ["train", "test", "train", "train", "test", "test"]
    assert blamed(expectation, group=groups, part=parts) == ["b", "d"]


def test_rows_that_lack_key_or_value_are_left_out():
    expectation = one_per("leak", "group", "part", "one part a group")
    assert blamed(expectation, group=["g", "g", None, None], part=["train", None, "test", "train"]) == []


def test_the_runner_prefers_our_expectations_to_those_of_great_expectations():
    for expectation in (not_repeated("digest"), one_per("leak", "group", "part", "one part a group")):
        assert hasattr(custom, expectation.type)
