"""Too few groups for a split: which part is empty, and the smallest request that fills all."""

from itertools import product

import pyarrow as pa
import pytest

from tasks.building.split_advice import split_advice
from tasks.candidates.building.batches import simulated_visits
from tasks.candidates.building.harvest import enough_groups
from tests.small_candidates import candidate_request


def split_of(**groups: str) -> pa.Table:
    return pa.table({"group": list(groups), "part": list(groups.values())})


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (split_of(a="train"), "no validation and no test rows (1 group cannot fill 3 parts)"),
        (split_of(a="train", b="validation"), "no test rows (2 groups cannot fill 3 parts)"),
        (split_of(a="train", b="validation", c="train"), "no test rows (it was drawn from fewer groups than parts"),
    ],
)
def test_empty_parts_are_named_with_the_request_that_fills_them(split: pa.Table, said: str) -> None:
    advice = split_advice(split, "chips=3 visits=1")
    assert advice is not None
    assert said in advice
    assert advice.endswith("with at least chips=3 visits=1")


def test_a_full_split_and_none_need_no_advice() -> None:
    assert split_advice(split_of(a="train", b="validation", c="test"), "more") is None
    assert split_advice(None, "more") is None


def cells(chips: int, visits: int, revisits: int) -> int:
    """The number of groups of a simulated request."""
    request = candidate_request(chips=chips, visits=visits, revisits=revisits)
    return len({(key.chip, key.field) for key in simulated_visits(request)})


@pytest.mark.parametrize(("chips", "visits", "revisits"), list(product((1, 2, 3, 5), (1, 2, 3, 5), (1, 2, 4))))
def test_the_request_named_is_the_smallest_that_does(chips: int, visits: int, revisits: int) -> None:
    words = enough_groups(candidate_request(chips=chips, visits=visits, revisits=revisits))
    named = {word.split("=")[0]: int(word.split("=")[1]) for word in words.split()}
    assert cells(**named, revisits=revisits) >= 3
    assert named["chips"] >= chips
    assert named["visits"] >= visits
    smaller = [
        (more_chips, more_visits)
        for more_chips, more_visits in product(range(chips, chips + 4), range(visits, visits + 12))
        if more_chips * more_visits < named["chips"] * named["visits"]
    ]
    assert all(cells(*asked, revisits) < 3 for asked in smaller)


def test_other_sources_say_what_a_group_is() -> None:
    assert "3 different objects" in enough_groups(candidate_request(source="triplets", path="set"))
    assert "3 pairs of frames" in enough_groups(candidate_request(source="frames", path="pairs"))
