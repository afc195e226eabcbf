"""Resampling draws whole groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.intervals import LEAST_GROUPS_FOR_INTERVAL
from tasks.learning.resampling import percentile_interval, resampled_counts, resampled_rows


@given(st.lists(st.integers(0, 15), min_size=1, max_size=30), st.integers(0, 99))
def test_a_group_comes_whole_or_not_at_all(drawn: list[int], seed: int) -> None:
    members = np.array([*range(LEAST_GROUPS_FOR_INTERVAL), *drawn])
    names = [f"g{group}" for group in members]
    draws = list(resampled_rows(names, np.random.default_rng(seed), 5))
    assert len(draws) == 5
    for rows in draws:
        times = np.bincount(rows, minlength=len(members))
        of_groups = [set(times[members == group].tolist()) for group in set(members.tolist())]
        assert {len(counts) for counts in of_groups} == {1}
        assert sum(min(counts) for counts in of_groups) == len(of_groups), "as many groups are drawn as there are"


def test_few_groups_are_not_drawn() -> None:
    groups = [str(number % (LEAST_GROUPS_FOR_INTERVAL - 1)) for number in range(100)]
    assert list(resampled_rows(groups, np.random.default_rng(0), 5)) == []


def test_an_interval_holds_its_share_of_the_values() -> None:
    interval = percentile_interval(7.0, np.arange(101.0), level=0.9)
    assert interval == pytest.approx((7.0, 5.0, 95.0))
    assert percentile_interval(7.0, [np.nan, 3.0, 3.0]) == (7.0, 3.0, 3.0)
    assert np.isnan(percentile_interval(7.0, [])[1:]).all()


@given(st.integers(1, 7), st.integers(0, 99))
def test_counts_are_of_whole_groups_as_many_as_there_are(repeats: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = np.r_[np.arange(LEAST_GROUPS_FOR_INTERVAL), rng.integers(LEAST_GROUPS_FOR_INTERVAL, size=20)].astype(str)
    blocks = list(resampled_counts(groups, rng, repeats, block_cells=2 * len(groups)))
    assert [len(block) for block in blocks[:-1]] == [2] * (len(blocks) - 1)
    counts = np.concatenate(blocks)
    assert counts.shape == (repeats, len(groups))
    names, first = np.unique(groups, return_index=True)
    np.testing.assert_array_equal(counts, counts[:, first][:, np.searchsorted(names, groups)])
    np.testing.assert_array_equal(counts[:, first].sum(axis=1), len(names))


def test_no_counts_of_few_groups() -> None:
    assert list(resampled_counts(["one", "two"], np.random.default_rng(0), 5)) == []
