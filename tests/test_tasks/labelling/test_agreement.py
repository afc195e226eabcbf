"""Kappa of two labellers is Cohen's, gold counts the right answers, and neither mixes with the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from tasks.labelling.agreement import agreement_of
from tests.answer_writers import make_answer

WORDS = ("bogus", "real", "unsure")
pairs = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), min_size=1, max_size=30)


def answers_of(labeller: str, labels: list[str], first: int = 0) -> list:
    return [
        make_answer(f"{labeller}{number}", labeller=labeller, sample=f"c{number}", label=label)
        for number, label in enumerate(labels, start=first)
    ]


@settings(max_examples=30)
@given(pairs)
def test_kappa_is_that_of_scikit_learn(given_pairs: list[tuple[str, str]]) -> None:
    one, two = ([pair[place] for pair in given_pairs] for place in (0, 1))
    found = agreement_of([*answers_of("ann", one), *answers_of("bob", two)], {}, WORDS)["pairs"][0]
    assert found["labellers"] == ["ann", "bob"]
    assert (found["samples"], found["agreed"]) == (len(one), sum(np.array(one) == np.array(two)))
    if len({*one, *two}) == 1:
        assert found["kappa"] is None
    else:
        assert found["kappa"] == pytest.approx(cohen_kappa_score(one, two, labels=WORDS))


def test_gold_items_are_scored_apart_and_leave_kappa_alone() -> None:
    answers = [*answers_of("ann", ["real"] * 6), *answers_of("bob", ["real", "bogus", "real", "unsure"], first=2)]
    found = agreement_of(answers, {"c0": "real", "c1": "bogus", "c5": "real"}, WORDS)
    assert {name: (each["gold"], each["gold_right"]) for name, each in found["labellers"].items()} == {
        "ann": (3, 2),
        "bob": (1, 0),
    }
    assert found["labellers"]["ann"]["gold_accuracy"] == pytest.approx(2 / 3)
    assert (found["pairs"][0]["samples"], found["pairs"][0]["agreed"]) == (3, 2)


def test_who_shares_no_sample_is_no_pair_and_a_skip_is_no_opinion() -> None:
    answers = [*answers_of("ann", ["real"]), *answers_of("bob", ["real"], first=1)]
    skip = make_answer("s", labeller="eve", sample="c0", action="skip", label=None)
    found = agreement_of([*answers, skip], {}, WORDS)
    assert found["pairs"] == []
    assert (found["labellers"]["eve"]["answers"], found["labellers"]["eve"]["skips"]) == (0, 1)
    assert found["labellers"]["eve"]["gold_accuracy"] is None
