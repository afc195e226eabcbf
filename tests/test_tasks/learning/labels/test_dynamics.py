"""Training dynamics, on outputs whose figures are counted by hand."""

import numpy as np
import pytest

from tasks.learning.labels.dynamics import (
    areas_under_margin,
    draw_indicators,
    early_means,
    margin_limits,
    memorised_share,
    prediction_changes,
    settled_epoch,
    suggest_by_margin,
)


def test_the_memorised_share_counts_wrong_labels_that_the_network_repeats() -> None:
    outputs = np.array([[2, 0], [0, 1], [3, 1], [0, 2], [9, 0], [0, 9]], float)
    labels = np.array([0, 0, 0, 1, -1, 1])
    truth = np.array([1, 1, 0, 0, 1, -1])
    assert memorised_share(outputs, labels, truth) == 2 / 3, "of rows 0, 1 and 3 the network repeats 0 and 3"
    assert np.isnan(memorised_share(outputs, truth, truth))


def test_changes_are_counted_from_epoch_to_epoch() -> None:
    outputs = np.array([[[1, 0], [1, 0]], [[0, 1], [2, 0]], [[1, 0], [0, 1]]], float)
    assert prediction_changes(outputs).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("changes", "window", "epoch"),
    [
        ([9, 5, 3, 4, 9], 1, 4),
        ([9, 5, 3, 1], 1, 5),
        ([9, 6, 3, 6, 9, 0], 3, 5),
        ([9, 8, 7], 3, 4),
        ([8, 9], 3, 3),
        ([], 3, 1),
    ],
)
def test_predictions_settle_at_the_first_minimum_of_the_averaged_changes(
    changes: list[int], window: int, epoch: int
) -> None:
    """Change number t lies between epochs t and t + 1, counted from 1; averages of three: 6, 5, 6, 5."""
    assert settled_epoch(np.array(changes), window) == epoch


def test_early_means_are_those_of_the_epochs_until_then() -> None:
    signs = np.array([1, -1, 1, 1, 1, -1, 1, -1, 1])
    outputs = signs[:, None, None] * np.array([[[2.0, 0.0], [5.0, 1.0]]])
    epochs = settled_epoch(prediction_changes(outputs))
    assert 3 < epochs < len(signs)
    np.testing.assert_allclose(early_means(outputs), outputs[:epochs].mean(axis=0))


def test_the_margin_is_that_of_the_label_over_the_best_other_class() -> None:
    means = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [1.0, 1.0, 4.0]])
    np.testing.assert_array_equal(areas_under_margin(means, np.array([0, 0, -1])), [1.0, -5.0, np.nan])


def test_indicators_are_a_twentieth_of_each_eligible_class_with_the_next_label() -> None:
    labels = np.array([0] * 40 + [1] * 100 + [-1] * 20)
    indicators, given = draw_indicators(labels, np.ones(160, bool), 2, np.random.default_rng(0))
    assert [int(indicators[labels == label].sum()) for label in (0, 1, -1)] == [2, 5, 0]
    assert (given[indicators] == 1 - labels[indicators]).all()
    assert (given[~indicators] == labels[~indicators]).all()
    indicators, _ = draw_indicators(labels, labels == 1, 2, np.random.default_rng(0))
    assert [int(indicators[labels == label].sum()) for label in (0, 1, -1)] == [0, 5, 0]


def test_labels_with_smaller_margins_than_the_mislabelled_of_their_class_are_suspect() -> None:
    scores = np.array([-3.0, -1.0, 2.0, 0.5, 4.0, -2.0, 3.0])
    means = np.stack([np.zeros(7), scores], axis=1)
    labels = np.array([1, 0, 0, 0, 1, 0, -1])
    indicators = np.array([True, False, False, False, False, False, False])
    given = np.where(indicators, 1 - labels, labels)
    limits = margin_limits(means, indicators, given)
    assert limits.tolist() == [-np.inf, 3.0, 3.0, 3.0, -np.inf, 3.0, -np.inf]
    assert suggest_by_margin(means, labels, limits).tolist() == [1, 1, 1, 1, 1, 1, -1]
    two = np.array([True, True, False, False, False, False, False])
    limits = margin_limits(means, two, np.array([0, 0, 0, 0, 1, 0, -1]), 0.0)
    assert limits.tolist() == [-np.inf, -np.inf, 1.0, 1.0, -np.inf, 1.0, -np.inf]
    assert suggest_by_margin(means, labels, limits).tolist() == [1, 0, 1, 1, 1, 0, -1]
