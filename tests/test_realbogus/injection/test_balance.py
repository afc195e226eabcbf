"""Missing injections: what is added meets the wanted share near galaxies, and nothing more is added."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realbogus.injection.balance import InjectionCounts, missing_injections
from realbogus.records import GALAXY_INJECTION, RANDOM_INJECTION

FRACTIONS = st.floats(0.02, 0.98)


def added(stored: InjectionCounts, kind: str, count: int) -> InjectionCounts:
    is_hosted = kind == GALAXY_INJECTION
    return InjectionCounts(stored.hosted + count * is_hosted, stored.random + count * (not is_hosted))


@pytest.mark.parametrize(
    ("hosted", "random", "fraction", "kind", "count"),
    [
        (10, 30, 0.5, GALAXY_INJECTION, 20),
        (30, 10, 0.5, RANDOM_INJECTION, 20),
        (12, 12, 0.5, RANDOM_INJECTION, 0),
        (2, 8, 0.25, GALAXY_INJECTION, 1),  # (2.5 - 2) / 0.75, rounded
        (3, 6, 0.3, RANDOM_INJECTION, 1),
        (0, 9, 0.1, GALAXY_INJECTION, 1),
        (0, 0, 0.5, RANDOM_INJECTION, 0),
        (5, 9, 0.0, RANDOM_INJECTION, 0),
        (5, 9, 1.0, RANDOM_INJECTION, 0),
    ],
)
def test_as_many_are_missing_as_meet_the_share(
    hosted: int, random: int, fraction: float, kind: str, count: int
) -> None:
    assert missing_injections(InjectionCounts(hosted, random), fraction) == (kind, count)


@given(st.integers(0, 200), st.integers(0, 200), FRACTIONS)
def test_what_is_missing_of_one_kind_and_then_of_the_other_meets_the_share_within_half_an_injection(
    hosted: int, random: int, fraction: float
) -> None:
    stored = InjectionCounts(hosted, random)
    for _ in range(2):
        stored = added(stored, *missing_injections(stored, fraction))
    assert missing_injections(stored, fraction)[1] == 0
    assert abs(stored.hosted - fraction * (stored.hosted + stored.random)) <= 0.5 + 1e-9


@given(st.integers(0, 60), st.integers(0, 60), FRACTIONS, st.floats(0.3, 1), st.integers(0, 2**32 - 1))
def test_rounds_of_which_only_a_part_is_recovered_end_with_the_share(
    hosted: int, random: int, fraction: float, recovered: float, seed: int
) -> None:
    """A round recovers a binomial part of what it injects, so what is missing of a kind only shrinks."""
    rng, stored = np.random.default_rng(seed), InjectionCounts(hosted, random)
    left: dict[str, int] = {}
    for _ in range(1000):
        kind, count = missing_injections(stored, fraction)
        if count == 0:
            break
        assert count <= left.get(kind, count)
        found = int(rng.binomial(count, recovered))
        left[kind], stored = count - found, added(stored, kind, found)
    assert abs(stored.hosted - fraction * (stored.hosted + stored.random)) <= 0.5 + 1e-9
