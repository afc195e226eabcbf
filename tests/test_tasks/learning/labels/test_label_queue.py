"""The queue of labels: its order, what it suggests, and equal margins."""

import numpy as np

from tasks.learning.labels.label_queue import label_queue


def test_the_lowest_margin_is_first_and_equal_ones_are_in_order_of_id() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.45, 0.45]])
    labels, suggested = np.array([0, 0, 0, 2], np.int32), np.array([0, 1, 0, 2], np.int32)
    queue = label_queue(["d", "c", "a", "b"], probabilities, labels, suggested, ["E", "S", "SB"])
    assert queue.drop_columns(["margin", "self_confidence"]).to_pylist() == [
        {"id": "c", "label": "E", "suggested": "S", "rank": 1, "suspect": True},
        {"id": "b", "label": "SB", "suggested": "S", "rank": 2, "suspect": False},
        {"id": "a", "label": "E", "suggested": "E", "rank": 3, "suspect": False},
        {"id": "d", "label": "E", "suggested": "E", "rank": 4, "suspect": False},
    ]
    np.testing.assert_allclose(queue["margin"], [-0.5, 0, 0.3, 0.3])
    np.testing.assert_allclose(queue["self_confidence"], [0.2, 0.45, 0.6, 0.6])


def test_a_suspect_is_suggested_the_class_of_the_rule() -> None:
    """Confident learning may doubt the most probable class itself, where that class is usually still more probable."""
    probabilities, labels = np.array([[0.55, 0.45]]), np.array([0], np.int32)
    queue = label_queue(["a"], probabilities, labels, np.array([1], np.int32), ["E", "S"])
    assert (queue["suggested"][0].as_py(), queue["suspect"][0].as_py()) == ("S", True)
