"""A model's predictions: measures of the same rows, with intervals over groups."""

import math

import numpy as np
import pytest

from tasks.learning import measures
from tasks.learning.predictions import Predictions, classification_summary
from tasks.learning.split_parts import SplitPart


def predictions(count: int = 60, classes: int = 2, groups: int | None = None, temperature: float = 1.0) -> Predictions:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    logits = rng.normal(size=(count, classes)) + 2 * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [str(row) for row in range(count)]
    part = SplitPart(
        names, np.arange(count), labels.astype(np.int32), [str(row % (groups or count)) for row in range(count)]
    )
    return Predictions(part, ["a", "b", "c"][:classes], probabilities, temperature)


def test_the_measures_are_those_of_the_rows() -> None:
    model = predictions(classes=3)
    correct = model.probabilities.argmax(axis=1) == model.part.labels
    assert np.array_equal(model.correct, correct)
    assert model.accuracy == measures.rate(int(correct.sum()), 60)
    assert model.confusion.sum() == 60
    assert np.trace(model.confusion) == correct.sum()
    assert model.macro_f1.value == measures.macro_f1(model.confusion)
    assert model.macro_f1.low < model.macro_f1.value < model.macro_f1.high
    assert list(model.per_class) == ["a", "b", "c"]
    assert model.per_class["b"].labelled == 20
    assert model.auc is None


def test_of_two_classes_the_second_is_the_positive_one() -> None:
    model = predictions()
    assert model.auc is not None
    assert model.auc.value == measures.auc(model.probabilities[:, 1], model.part.labels == 1) > 0.8
    assert model.auc.low < model.auc.value < model.auc.high


def test_few_groups_give_no_interval_but_the_same_values() -> None:
    many, few = predictions(), predictions(groups=9)
    for one, other in (
        (many.macro_f1, few.macro_f1),
        (many.auc, few.auc),
        (many.accuracy_over(many), few.accuracy_over(few)),
    ):
        assert one is not None
        assert other is not None
        assert one.value == other.value
        assert not math.isnan(one.low)
        assert math.isnan(other.low)
        assert math.isnan(other.high)
    # Wilson's interval counts independent samples, not groups.
    assert few.accuracy == many.accuracy


def test_a_temperature_changes_confidences_and_not_predictions() -> None:
    plain, warm = predictions(), predictions(temperature=2.0)
    assert plain.calibrated == pytest.approx(plain.probabilities)
    assert np.array_equal(warm.predicted, plain.predicted)
    assert warm.calibrated.max(axis=1).mean() < plain.calibrated.max(axis=1).mean()
    assert np.array_equal(warm.calibrated, measures.apply_temperature(warm.probabilities, 2.0))
    assert warm.perfect_ece == measures.perfect_ece(warm.calibrated, np.random.default_rng(0))


def test_the_lead_over_another_model_is_paired() -> None:
    model = predictions()
    other = Predictions(model.part, model.classes, model.probabilities[:, ::-1])
    lead = model.accuracy_over(other)
    assert lead.value == pytest.approx(model.accuracy.value - other.accuracy.value)
    assert other.accuracy_over(model).value == pytest.approx(-lead.value)


def test_a_summary_has_the_calibrated_measures() -> None:
    model = predictions(classes=3, temperature=1.5)
    summary = classification_summary(model.probabilities, model.part.labels, 1.5)
    assert summary == {
        "count": 60,
        "accuracy": model.accuracy.value,
        "accuracy_low": model.accuracy.low,
        "accuracy_high": model.accuracy.high,
        "macro_f1": model.macro_f1.value,
        "ece": measures.ece(model.calibrated, model.part.labels),
        "nll": measures.nll(model.calibrated, model.part.labels),
    }
