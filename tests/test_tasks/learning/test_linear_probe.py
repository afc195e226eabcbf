"""Logistic regression on frozen features: separable classes, whole groups, classes that are rare."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.learning.linear_probe import STRENGTHS, WITHOUT_CHOICE, fit_linear_probe
from tasks.learning.split_parts import SplitPart


def part_of(labels: NDArray, groups: list[str] | None = None) -> SplitPart:
    names = [f"s{number}" for number in range(len(labels))]
    return SplitPart(names, np.arange(len(labels)), labels.astype(np.int32), groups or names)


def drawn(count: int, apart: float, seed: int) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = rng.normal(0, 1, (count, 6)) * [1, 1, 1, 100, 1, 0.01]
    features[:, 5] += 0.01 * apart * labels
    return features.astype(np.float32), labels


def test_features_of_any_scale_are_told_apart() -> None:
    """The class is in the column of the smallest scale; 4 sigma apart, 2.3 % of either class are beyond the middle."""
    features, labels = drawn(600, 4.0, 0)
    probe = fit_linear_probe(features, part_of(labels), 2, 0)
    unseen, truth = drawn(4000, 4.0, 1)
    probabilities = probe.probabilities(unseen)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert np.mean(probabilities.argmax(axis=1) == truth) == pytest.approx(0.977, abs=0.01)


def test_rows_of_one_group_never_judge_each_other() -> None:
    """Rows of a group are one noise vector: of other groups they say nothing, of each other everything."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(30) % 2, 8)
    features = np.repeat(rng.normal(0, 1, (30, 40)), 8, axis=0) + rng.normal(0, 0.01, (240, 40))
    groups = [f"g{number // 8}" for number in range(240)]
    assert fit_linear_probe(features, part_of(labels, groups), 2, 0).strength <= 1e-2
    assert fit_linear_probe(features, part_of(labels), 2, 0).strength == STRENGTHS[-1]


def test_a_class_of_one_group_leaves_no_choice_and_an_absent_one_has_no_probability() -> None:
    features, labels = drawn(12, 4.0, 0)
    labels = np.where(np.arange(12) == 0, 1, 0)
    probe = fit_linear_probe(features, part_of(labels), 3, 0)
    assert probe.strength == WITHOUT_CHOICE
    assert (probe.probabilities(features)[:, 2] == 0).all()
