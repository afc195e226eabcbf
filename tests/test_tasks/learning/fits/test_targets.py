"""Weights and drawings of classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.learning.fits.targets import draw_evenly, sample_weights, scaled_targets


def hard(labels: list[int], classes: int = 3) -> np.ndarray:
    return (np.array(labels)[:, None] == np.arange(classes)).astype(np.float32)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60))
def test_classes_weigh_the_same_together_and_one_in_the_mean(labels: list[int]) -> None:
    weights = sample_weights(hard(labels), balanced=True)
    assert weights is not None
    together = [weights[np.array(labels) == label].sum() for label in set(labels)]
    assert together == pytest.approx([len(labels) / len(together)] * len(together), rel=1e-5)
    assert weights.mean() == pytest.approx(1, rel=1e-5)


def test_a_soft_label_has_the_weight_of_its_shares() -> None:
    weights = sample_weights(np.array([[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]], np.float32), balanced=True)
    rare, common = 2 / 1, 2 / 3
    np.testing.assert_allclose(weights, [common, common, (rare + common) / 2, (rare + common) / 2], rtol=1e-6)


def test_the_sum_of_a_row_is_its_weight_beside_that_of_its_class() -> None:
    targets = np.array([[1, 0], [0, 1], [0, 0.25], [0, 0]], np.float32)
    weights = sample_weights(targets, balanced=True)
    assert weights is not None
    np.testing.assert_allclose(weights, [1.125, 0.9, 0.225, 0], rtol=1e-6)
    np.testing.assert_allclose(sample_weights(targets, balanced=False), [1, 1, 0.25, 0])
    scaled = scaled_targets(targets)
    np.testing.assert_array_equal(scaled, [[1, 0], [0, 1], [0, 1], [0, 0]])
    np.testing.assert_allclose((weights[:, None] * scaled).sum(axis=0), [1.125, 1.125], rtol=1e-6)
    assert sample_weights(np.full((3, 7), 1 / 7, np.float32), balanced=False) is None


def test_only_the_unlabelled_have_no_weight_and_equal_weights_are_none() -> None:
    targets = hard([0, 1, -1])
    np.testing.assert_array_equal(sample_weights(targets, balanced=False), [1, 1, 0])
    assert sample_weights(targets[:2], balanced=False) is None


@given(st.lists(st.integers(-1, 3), max_size=80), st.integers(0, 9))
def test_every_class_is_drawn_equally_often_and_its_samples_too(labels: list[int], seed: int) -> None:
    given = np.array(labels, np.int32)
    drawn = draw_evenly(given, np.random.default_rng(seed))
    assert len(drawn) == len(given)
    assert (given[drawn] == -1).sum() == (given == -1).sum()
    counts = [(given[drawn] == label).sum() for label in np.unique(given[given >= 0])]
    assert not counts or max(counts) - min(counts) <= 1
    for label in np.unique(given):
        of_sample = [np.count_nonzero(drawn == place) for place in np.flatnonzero(given == label)]
        assert max(of_sample) - min(of_sample) <= 1


def test_another_epoch_draws_others_of_a_common_class() -> None:
    labels = np.array([0] * 90 + [1] * 10, np.int32)
    one, again, two = (draw_evenly(labels, np.random.default_rng([7, epoch])) for epoch in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()
