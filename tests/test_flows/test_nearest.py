"""Suggestions for wrong names: by spelling, by beginning, by part; none where nothing is near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli.flow_catalogue import flow_names
from flows.cli.nearest import MOST_NAMED, nearest_names, suggestion

FLOWS = flow_names()


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("build-galaxy", "build-galaxy-dataset"),
        ("build_galaxy_dataset", "build-galaxy-dataset"),
        ("train-galxy", "train-galaxy"),
        ("Verify", "verify"),
        ("train-real-bogus", "train-realbogus"),
        ("housekeping", "housekeeping"),
        ("train", "train-galaxy"),
        ("decisions", "show-decisions"),
    ],
)
def test_the_first_suggestion_is_the_flow_that_is_meant(word: str, first: str) -> None:
    assert nearest_names(word, FLOWS)[0] == first


@given(st.sampled_from(FLOWS), st.data())
def test_a_name_without_one_of_its_letters_is_recognised(name: str, data: st.DataObject) -> None:
    left_out = data.draw(st.integers(0, len(name) - 1))
    near = nearest_names(name[:left_out] + name[left_out + 1 :], FLOWS)
    assert name in near
    assert len(near) <= MOST_NAMED


def test_nothing_is_suggested_where_nothing_is_near() -> None:
    assert nearest_names("xyzzy", FLOWS) == []
    assert nearest_names("", FLOWS) == []
    assert suggestion("xyzzy", FLOWS) == ""
    assert suggestion("nighty-retrain", FLOWS) == ". Did you mean nightly-retrain?"
