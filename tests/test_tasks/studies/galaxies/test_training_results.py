"""Rates and paired differences of arms: means over seeds, galaxies of all seeds drawn together."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from tasks.studies.galaxies.training_results import ScoredRows, compare_scores

COUNT = 400


def rows_of(accuracy: float, rng: np.random.Generator, labels: NDArray, seeds: NDArray, groups: NDArray) -> ScoredRows:
    """Rows of which a share is right, with a confidence that does not depend on it."""
    right = rng.random(len(labels)) < accuracy
    confidence = rng.uniform(0.5, 1, len(labels))
    positive = np.where(right == (labels == 1), confidence, 1 - confidence)
    return ScoredRows(labels, seeds, groups, np.stack([1 - positive, positive], axis=1))


@pytest.fixture
def layout() -> tuple[NDArray, NDArray, NDArray]:
    """Labels, seeds and groups of galaxies that two seeds score."""
    rng = np.random.default_rng(0)
    labels = np.tile(rng.integers(0, 2, COUNT), 2).astype(np.int32)
    names = np.array([f"g{number}" for number in range(COUNT)])
    return labels, np.repeat([3, 7], COUNT), np.tile(names, 2)


def test_measures_are_those_of_each_seed_averaged(layout: tuple[NDArray, NDArray, NDArray]) -> None:
    labels, seeds, groups = layout
    scores = rows_of(0.8, np.random.default_rng(1), labels, seeds, groups)
    found = compare_scores({"one": scores}, {})["one"]
    of_seeds = [seeds == seed for seed in (3, 7)]
    predicted = scores.probabilities.argmax(axis=1)
    expected = {
        "accuracy": [metrics.accuracy_score(labels[rows], predicted[rows]) for rows in of_seeds],
        "macro_f1": [metrics.f1_score(labels[rows], predicted[rows], average="macro") for rows in of_seeds],
        "auc": [metrics.roc_auc_score(labels[rows], scores.probabilities[rows, 1]) for rows in of_seeds],
        "nll": [metrics.log_loss(labels[rows], scores.probabilities[rows]) for rows in of_seeds],
    }
    for name, values in expected.items():
        assert found[name].value == pytest.approx(np.mean(values))
        assert found[name].low < found[name].value < found[name].high
    assert set(found) == {*expected, "accuracy_at_80"}


def test_repeating_a_seed_makes_no_interval_narrower(layout: tuple[NDArray, NDArray, NDArray]) -> None:
    """Two seeds that score the same galaxies alike are not twice as many galaxies."""
    labels, seeds, groups = layout
    first = rows_of(0.8, np.random.default_rng(1), labels[:COUNT], seeds[:COUNT], groups[:COUNT])
    twice = ScoredRows(labels, seeds, groups, np.tile(first.probabilities, (2, 1)))
    once = compare_scores({"one": first}, {})["one"]["accuracy"]
    both = compare_scores({"one": twice}, {})["one"]["accuracy"]
    assert both == pytest.approx(once)


def test_other_galaxies_of_each_seed_are_more_of_them(layout: tuple[NDArray, NDArray, NDArray]) -> None:
    labels, seeds, groups = layout
    apart = np.array([f"{name} {seed}" for name, seed in zip(groups, seeds, strict=True)])
    scores = rows_of(0.8, np.random.default_rng(1), labels, seeds, apart)
    interval = compare_scores({"one": scores}, {})["one"]["accuracy"]
    expected = 2 * 1.96 * np.sqrt(0.8 * 0.2 / (2 * COUNT))
    assert interval.high - interval.low == pytest.approx(expected, rel=0.15)


def test_a_difference_is_paired(layout: tuple[NDArray, NDArray, NDArray]) -> None:
    """Arms that differ on ten galaxies alone: the interval is that of these, far narrower than those of the rates."""
    labels, seeds, groups = layout
    base = rows_of(0.7, np.random.default_rng(1), labels, seeds, groups)
    better = base.probabilities.copy()
    wrong = np.flatnonzero(~base.correct)[:10]
    better[wrong] = better[wrong][:, ::-1]
    found = compare_scores({"base": base, "better": ScoredRows(labels, seeds, groups, better)}, {"better": "base"})
    difference = found["better"]["accuracy_difference"]
    assert difference.value == pytest.approx(10 / (2 * COUNT))
    assert 0 < difference.low < difference.value < difference.high < 2 * difference.value
    assert difference.high - difference.low < (found["base"]["accuracy"].high - found["base"]["accuracy"].low) / 2
    assert found["better"]["auc_difference"].low > 0
    assert "accuracy_difference" not in found["base"]
