"""Smaller training parts: nested, of whole groups, with every class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.part_sizes import shrink_parts, take_groups
from tasks.learning.split_parts import SplitPart


def part_of(groups: list[int], labels: list[int]) -> SplitPart:
    count = len(groups)
    ids = [f"s{number}" for number in range(count)]
    names = [f"g{group}" for group in groups]
    return SplitPart(ids, np.arange(count) * 3, np.array(labels, np.int32), names)


SAMPLES = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=1, max_size=60)


@given(SAMPLES, st.integers(0, 70), st.integers(0, 70), st.integers(0, 5))
def test_a_larger_size_holds_the_smaller(samples: list[tuple[int, int]], one: int, other: int, seed: int) -> None:
    part = part_of(*map(list, zip(*samples, strict=True)))
    few, many = (take_groups(part, size, seed) for size in sorted((one, other)))
    assert set(few.ids) <= set(many.ids)
    for taken, most in ((few, min(one, other)), (many, max(one, other))):
        assert set(taken.labels.tolist()) == set(part.labels.tolist()), "every class has a sample"
        assert (np.diff(taken.rows) > 0).all()
        assert not set(taken.groups) & set(part.groups) - set(taken.groups)
        outside = [name for name, group in zip(part.ids, part.groups, strict=True) if group in set(taken.groups)]
        assert sorted(outside) == sorted(taken.ids), "groups are whole"
        classes = len(set(part.labels.tolist()))
        assert len(taken) <= most or len(set(taken.groups)) <= classes


def test_single_samples_make_exactly_the_size() -> None:
    part = part_of(list(range(200)), [number % 10 == 0 for number in range(200)])
    for size in (2, 50, 199, 200, 1000):
        assert len(take_groups(part, size, 0)) == min(size, 200)
    assert take_groups(part, 50, 0).ids != take_groups(part, 50, 1).ids


@pytest.mark.parametrize(("size", "validated"), [(20, 5), (100, 25), (3, 2), (160, 40), (400, 60)])
def test_a_small_training_part_has_a_smaller_validation_part(size: int, validated: int) -> None:
    train = part_of(list(range(160)), [number % 2 for number in range(160)])
    validation = part_of(list(range(60)), [number % 2 for number in range(60)])
    shrunk = shrink_parts(train, validation, size, 0)
    assert [len(part) for part in shrunk] == [min(size, 160), validated]
    assert shrink_parts(train, validation, None, 0) == (train, validation)
