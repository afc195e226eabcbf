"""Sufficiency of data: what is enough stays enough with more, and what it asks for is enough."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.measures import rate
from tasks.reports.sufficiency import class_sufficiency, rate_sufficiency, share_sufficiency

RANKS = {"too few": 0, "little": 1, "enough": 2}


@given(st.floats(0.001, 0.5), st.integers(20, 100_000), st.integers(2, 50))
def test_more_rows_of_the_same_rate_never_know_it_less(share: float, count: int, times: int) -> None:
    verdicts = []
    for rows in (count, times * count):
        passed = round(share * count) * rows // count
        interval = rate(passed, rows)
        verdicts.append(RANKS[rate_sufficiency(passed, rows, interval.low, interval.high, "bogus")[0]])
    assert verdicts[0] <= verdicts[1]


@pytest.mark.parametrize(
    ("passed", "count", "verdict", "said"),
    [
        (0, 23, "too few", "23 bogus, of which 0 pass, give an upper limit and no rate; a rate needs some 1,000 bogus"),
        (5, 100, "too few", "some 200 bogus, 2.0 times as many"),
        (15, 1660, "little", "a factor of 1.6; 1.5 times as many would give it within 1.5."),
        (400, 10_000, "enough", "within a factor of 1.1."),
    ],
)
def test_a_rate_says_what_it_rests_on(passed: int, count: int, verdict: str, said: str) -> None:
    interval = rate(passed, count)
    data, advice = rate_sufficiency(passed, count, interval.low, interval.high, "bogus")
    assert data == verdict
    assert said in advice


def test_a_rate_of_few_groups_has_no_interval() -> None:
    assert rate_sufficiency(50, 500, None, None, "bogus")[0] == "little"


def test_the_number_that_is_asked_for_would_be_enough() -> None:
    interval = rate(90, 100)
    data, advice = share_sufficiency(100, interval.low, interval.high, "samples")
    assert data == "little"
    wanted = int(re.search(r"some ([\d,]+) would", advice)[1].replace(",", ""))  # type: ignore[index]
    interval = rate(round(0.9 * wanted), wanted)
    assert share_sufficiency(wanted, interval.low, interval.high, "samples")[0] == "enough"


@pytest.mark.parametrize(("least", "verdict"), [(0, "too few"), (12, "too few"), (92, "little"), (100, "enough")])
def test_the_smallest_class_decides(least: int, verdict: str) -> None:
    data, advice = class_sufficiency({"E0": 5000, "E7": least, "Sd": 800})
    assert data == verdict
    assert advice.startswith(f"The smallest class, E7, has {least} samples")
