"""Positives hidden among the others: their estimated share by stratum, and the targets that stand for them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.learning.labels.hidden_positives import (
    POOLED,
    best_bin_share,
    hidden_shares,
    pool_strata,
    positive_targets,
    suggest_hidden,
)


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


def draw_scores(rng: np.random.Generator, number: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return scores of known positives, and of others of which a share is positive."""
    hidden = round(share * number)
    others = np.concatenate([rng.normal(2, 1, hidden), rng.normal(-2, 1, number - hidden)])
    return rng.normal(2, 1, number), others


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_the_best_bin_finds_the_share_of_hidden_positives(share: float) -> None:
    positive, other = draw_scores(np.random.default_rng(1), 4000, share)
    assert best_bin_share(positive, other) == pytest.approx(share, abs=0.03)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 5), st.floats(-3, 3))
def test_the_share_depends_on_the_order_of_the_scores_alone(seed: int, slope: float, offset: float) -> None:
    positive, other = (scores[:40] for scores in draw_scores(np.random.default_rng(seed), 100, 0.3))
    scaled = (np.exp(slope * scores + offset) for scores in (positive, other))
    assert best_bin_share(*scaled) == best_bin_share(positive, other)


def test_positives_that_are_scored_as_the_others_are_say_that_all_are_hidden() -> None:
    scores = np.arange(100.0)
    assert best_bin_share(scores, scores) == 1
    assert best_bin_share(scores, np.array([])) == best_bin_share(np.array([]), scores) == 0


def test_as_many_of_the_highest_as_are_estimated_are_suggested() -> None:
    positive, other = draw_scores(np.random.default_rng(2), 1000, 0.3)
    scores, labels = np.concatenate([positive, other]), np.repeat([1, 0], 1000)
    suggested = suggest_hidden(scores, labels)
    changed = suggested != labels
    assert changed.sum() == round(best_bin_share(positive, other) * 1000)
    assert not changed[labels == 1].any()
    assert scores[changed].min() >= scores[(labels == 0) & ~changed].max()
    unlabelled = np.append(labels, -1)
    assert suggest_hidden(np.append(scores, 99.0), unlabelled)[-1] == -1, "what has no label is no suspect"
