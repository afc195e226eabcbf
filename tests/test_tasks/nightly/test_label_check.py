"""Labels against the champion: right ones pass whatever the mix, a mislabelled batch does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.nightly.label_check import LEAST_LABELLED, check_labels

RATES = np.array([0.01, 0.1])


def night(seed: int, count: int, real_share: float, flipped: float) -> tuple[np.ndarray, np.ndarray]:
    """Decisions of a model with the error rates `RATES`, and labels of which a share is flipped."""
    rng = np.random.default_rng(seed)
    truth = (rng.random(count) < real_share).astype(int)
    wrong = rng.random(count) < RATES[truth]
    flips = rng.random(count) < flipped
    return np.where(wrong, 1 - truth, truth), np.where(flips, 1 - truth, truth)


@given(st.integers(0, 10_000), st.integers(60, 3000), st.floats(0.01, 0.99))
def test_right_labels_are_not_suspect(seed: int, count: int, real_share: float) -> None:
    assert not check_labels(*night(seed, count, real_share, 0), RATES).is_suspect


@pytest.mark.parametrize("flipped", [0.4, 0.5, 1.0])
def test_a_mislabelled_batch_is(flipped: float) -> None:
    for seed in range(50):
        assert check_labels(*night(seed, 300, 0.3, flipped), RATES).is_suspect


def test_the_expected_share_is_that_of_the_labels_mix() -> None:
    labels = np.array([0] * 60 + [1] * 40)
    found = check_labels(labels, labels, RATES)
    assert found.expected == pytest.approx(0.6 * 0.01 + 0.4 * 0.1)
    assert (found.count, found.contradicted, found.to_summary()["share"]) == (100, 0, 0)


def test_of_few_labels_nothing_is_said() -> None:
    labels = np.zeros(LEAST_LABELLED - 1, int)
    assert not check_labels(1 - labels, labels, RATES).is_suspect
    assert check_labels(np.zeros(0, int), np.zeros(0, int), RATES).to_summary()["share"] is None
