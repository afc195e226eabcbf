"""Thresholds of single detectors: pooled where detectors are equal or counts few, their own where counts are many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from tasks.learning.detector_points import LEVEL, detector_points, points_by_detector
from tasks.learning.operating_points import OperatingPointError, threshold_for_tpr

TPR = 0.9


def drawn(centres: list[float], counts: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positives of detectors ``d0`` on: Gaussian scores about the centres."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(centre, 1, count) for centre, count in zip(centres, counts, strict=True)])
    return scores, np.repeat([f"d{number}" for number in range(len(counts))], counts)


@given(st.lists(st.floats(-5, 5, width=32), min_size=50, max_size=80, unique=True), st.integers(2, 6))
def test_detectors_with_the_same_scores_have_the_pooled_threshold(values: list[float], detectors: int) -> None:
    scores, names = np.tile(values, detectors), np.repeat([f"d{number}" for number in range(detectors)], len(values))
    points = points_by_detector(scores, names, TPR)
    assert not points.differ
    assert {point.threshold for point in points.detectors.values()} == {threshold_for_tpr(scores, TPR)}


def test_equal_detectors_are_taken_for_different_ones_as_seldom_as_stated() -> None:
    wrong = sum(points_by_detector(*drawn([0.0] * 8, [100] * 8, seed), TPR).differ for seed in range(400))
    assert binomtest(wrong, 400, LEVEL, alternative="greater").pvalue > 0.001


def test_with_many_positives_a_detector_has_its_own_threshold() -> None:
    """100,000 positives leave a scatter of 0.005 against differences of 1: the weight is 1 to some 1e-4."""
    points = points_by_detector(*drawn([-1.0, 0.0, 1.0], [100_000] * 3, 1), TPR)
    assert points.differ
    for centre, point in zip([-1.0, 0.0, 1.0], points.detectors.values(), strict=True):
        assert point.weight > 0.999
        assert point.threshold == pytest.approx(point.own, abs=2e-3)
        assert point.threshold == pytest.approx(centre + norm.ppf(1 - TPR), abs=0.03)


def test_with_few_positives_a_detector_has_nearly_the_pooled_threshold() -> None:
    """Where detectors differ little against the scatter of six positives, which is 0.7."""
    centres = [-0.1, 0.1] * 4
    points = points_by_detector(*drawn([*centres, 3.0], [20_000] * 8 + [6], 2), TPR)
    few = points.detectors["d8"]
    assert points.differ
    assert few.weight < 0.05
    assert abs(few.threshold - points.pooled) < 0.1 * abs(few.own - points.pooled)
    assert min(points.detectors[f"d{number}"].weight for number in range(8)) > 0.9


@given(st.integers(0, 2**32 - 1), st.integers(30, 300))
def test_a_shrunk_threshold_lies_between_the_pooled_and_its_own_and_more_positives_weigh_more(
    seed: int, count: int
) -> None:
    scores, names = drawn([-1.0, 0.0, 1.0, 0.5], [count, 2 * count, 4 * count, 3], seed)
    points = points_by_detector(scores, names, TPR)
    weights = [points.detectors[name].weight for name in ("d3", "d0", "d1", "d2")]
    assert weights == sorted(weights)
    for point in points.detectors.values():
        low, high = sorted([points.pooled, point.own])
        assert low - 1e-9 <= point.threshold <= high + 1e-9


def test_shrunk_thresholds_are_nearer_to_the_true_ones_than_both_the_pooled_and_the_own() -> None:
    """Detectors that differ by about as much as the scatter of 60 positives: mean squared errors over 40 surveys."""
    errors = []
    for seed in range(40):
        centres = np.random.default_rng(1000 + seed).normal(0, 0.3, 20)
        scores, names = drawn(centres.tolist(), [60] * 20, seed)
        points = points_by_detector(scores, names, TPR)
        true = dict(zip([f"d{number}" for number in range(20)], centres + norm.ppf(1 - TPR), strict=True))
        errors.append(
            [
                np.mean([(value - true[name]) ** 2 for name, value in values])
                for values in (
                    [(name, point.threshold) for name, point in points.detectors.items()],
                    [(name, point.own) for name, point in points.detectors.items()],
                    [(name, points.pooled) for name in points.detectors],
                )
            ]
        )
    shrunk, own, pooled = np.mean(errors, axis=0)
    assert shrunk < 0.9 * own
    assert shrunk < 0.9 * pooled


def test_a_card_has_every_rate_and_one_detector_alone_is_pooled() -> None:
    scores, names = drawn([0.0], [200], 3)
    positive = np.arange(200) % 2 == 0
    card = detector_points(scores, positive, names)
    assert list(card) == ["tpr90", "tpr95", "tpr99"]
    point = card["tpr90"]["detectors"]["d0"]
    assert (card["tpr90"]["differ"], point["weight"], point["positives"]) == (False, 0.0, 100)
    assert point["threshold"] == threshold_for_tpr(scores[positive], 0.9)
    with pytest.raises(OperatingPointError):
        points_by_detector(scores[:0], names[:0], TPR)
