"""Fresh subsets of a class: equal size, nothing twice before all were drawn, decided by seed and epoch alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.fits.fresh_subsets import FreshSubset
from tasks.learning.split_parts import UNLABELLED

LABELS = np.array(([1] * 3 + [0] * 5 + [UNLABELLED]) * 10, np.int32)
"""30 of the class, 50 of another, 10 without a label."""


def drawn(share: float, epoch: int, seed: int = 0) -> set[int]:
    """Positions of the class that an epoch has."""
    positions = FreshSubset(1, share).positions(LABELS, seed, epoch)
    return set(positions[LABELS[positions] == 1].tolist())


@given(share=st.floats(0.001, 1), epoch=st.integers(1, 50), seed=st.integers(0, 2**31 - 1), of_class=st.integers(0, 40))
def test_every_epoch_has_all_others_and_as_many_of_the_class(
    share: float, epoch: int, seed: int, of_class: int
) -> None:
    labels = np.array([0, UNLABELLED, *[1] * of_class, 0], np.int32)
    fresh = FreshSubset(1, share)
    positions = fresh.positions(labels, seed, epoch)
    assert (np.diff(positions) > 0).all()
    assert {0, 1, len(labels) - 1} <= set(positions.tolist())
    assert len(positions) == fresh.size(labels) == 3 + min(of_class, max(1, round(share * of_class)))
    np.testing.assert_array_equal(positions, fresh.positions(labels, seed, epoch))


def test_no_sample_is_drawn_twice_before_all_of_the_class_were() -> None:
    of_class = set(np.flatnonzero(LABELS == 1).tolist())
    for first in (1, 4, 7):
        three = [drawn(1 / 3, first + place) for place in range(3)]
        assert [len(subset) for subset in three] == [10, 10, 10]
        assert set().union(*three) == of_class
    assert drawn(1 / 3, 1) not in [drawn(1 / 3, epoch) for epoch in (4, 7, 10)], "each shuffle is another"
    assert drawn(1 / 3, 1) != drawn(1 / 3, 1, seed=1)


def test_what_is_left_over_by_one_shuffle_is_drawn_by_others() -> None:
    """A share of 0.4 leaves 6 of 30 over; over 200 epochs each is drawn about 80 times."""
    times = Counter(position for epoch in range(1, 201) for position in drawn(0.4, epoch))
    assert len(times) == 30
    assert sum(times.values()) == 200 * 12
    assert all(count == pytest.approx(80, abs=20) for count in times.values())
    assert not drawn(0.4, 1) & drawn(0.4, 2)
