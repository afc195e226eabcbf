"""Positives hidden among the others: their estimated share by stratum, and the targets that stand for them."""

import numpy as np
import pytest

from tasks.learning.labels.hidden_positives import POOLED, hidden_shares, pool_strata, positive_targets


def test_strata_with_too_few_of_a_label_are_joined() -> None:
    strata = np.array(["a"] * 6 + ["b"] * 4 + ["c"] * 3)
    labels = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1])
    assert pool_strata(strata, labels, 3).tolist() == ["a"] * 6 + [POOLED] * 7


def test_the_share_is_that_of_the_bogus_that_sure_networks_contradict_stratum_by_stratum() -> None:
    """Of 20 labels 0 in a stratum the networks know 5 and 10 to be positive, and are sure of all."""
    strata, labels = np.repeat(["a", "b"], 30), np.tile([0] * 20 + [1] * 10, 2)
    positive = labels.astype(bool)
    positive[:5] = positive[30:40] = True
    probabilities = np.where(positive[:, None], [0.01, 0.99], [0.99, 0.01])
    probabilities[labels == 1] = [0.1, 0.9]
    shares = hidden_shares(probabilities, labels, strata)
    np.testing.assert_allclose(shares, np.repeat([0.25, 0.5], 30))


def test_a_positive_stands_for_the_hidden_ones_of_its_stratum() -> None:
    strata = np.array(["a"] * 6 + ["b"] * 4)
    labels = np.array([0, 0, 0, 0, 1, 1, 0, 0, 1, -1])
    shares = np.array([0.5] * 6 + [0.0] * 4)
    targets = positive_targets(labels, shares, strata)
    assert targets.tolist() == [[1, 0]] * 4 + [[0, 2]] * 2 + [[1, 0]] * 2 + [[0, 1], [0, 0]]
    assert targets[:, 1].sum() == pytest.approx((labels == 1).sum() + 0.5 * 4)


def test_without_hidden_ones_the_targets_are_the_labels() -> None:
    labels = np.array([0, 1, 1, 0])
    assert positive_targets(labels, np.zeros(4), np.array(["a"] * 4)).tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
