"""Accuracies of two models on the same galaxies."""

import numpy as np
import pytest

from tasks.galaxies.relabelling.paired_accuracy import pair_accuracies
from tasks.learning.predictions import Predictions
from tasks.learning.split_parts import SplitPart


def predictions(chosen: list[int], labels: list[int]) -> Predictions:
    ids = [f"g{row}" for row in range(len(labels))]
    part = SplitPart(ids, np.arange(len(ids)), np.array(labels, np.int32), ids)
    return Predictions(part, ["a", "b"], np.eye(2)[chosen])


def test_the_difference_is_what_only_one_of_them_has_right() -> None:
    labels = [0] * 10 + [1] * 10
    first, second = [0] * 8 + [1] * 2 + [1] * 6 + [0] * 4, [0] * 10 + [1] * 5 + [0] * 5
    paired = pair_accuracies(predictions(first, labels), predictions(second, labels))
    assert (paired.count, paired.first.value, paired.second.value) == (20, 0.7, 0.75)
    assert (paired.first_only, paired.second_only) == (1, 2)
    summary = paired.to_summary()
    assert summary["difference"] == pytest.approx((2 - 1) / 20)
    assert summary["difference_low"] <= summary["difference"] <= summary["difference_high"]


def test_equal_models_differ_by_nothing() -> None:
    same = predictions([0, 1] * 8, [0, 0] * 8)
    assert pair_accuracies(same, same).difference == (0, 0, 0)
