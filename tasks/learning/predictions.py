"""A model's predictions on labelled samples, and their measures."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.measures import ClassScore
from tasks.learning.split_parts import SplitPart

BOOTSTRAPS = 500
SEED = 0
"""Of resampling: an evaluation repeats to the digit."""


@dataclass(frozen=True)
class Predictions:
    """Predicted class probabilities of labelled samples.

    Attributes
    ----------
    part : SplitPart
    classes : list of str
        In the order of the columns of ``probabilities``.
    probabilities : (n, classes)
        Output of the model, not calibrated.
    temperature : float
        Fitted on validation when training ended; it changes confidences, not predicted classes.
    """

    part: SplitPart
    classes: list[str]
    probabilities: NDArray
    temperature: float = 1.0

    @cached_property
    def calibrated(self) -> NDArray[np.float64]:
        """Calibrated probabilities, (n, classes)."""
        return measures.apply_temperature(self.probabilities, self.temperature)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Positions of the predicted classes, (n,)."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the predicted class is the label, (n,)."""
        return np.asarray(self.predicted == self.part.labels)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """Confusion matrix, shape (classes, classes), true classes along rows."""
        return measures.confusion(self.part.labels, self.predicted, len(self.classes))

    @cached_property
    def per_class(self) -> dict[str, ClassScore]:
        """Precision and recall by class name."""
        return dict(zip(self.classes, measures.per_class(self.confusion), strict=True))

    @cached_property
    def accuracy(self) -> Interval:
        """Fraction of correct predictions, Wilson's interval."""
        return measures.accuracy(self.part.labels, self.predicted)

    @cached_property
    def macro_f1(self) -> Interval:
        """Mean F1 over classes, groups resampled."""
        labels, predicted, count = self.part.labels, self.predicted, len(self.classes)

        def statistic(rows: NDArray[np.int64]) -> float:
            return measures.macro_f1(measures.pair_counts(labels[rows], predicted[rows], count))

        return measures.group_bootstrap(self.part.groups, statistic, _rng(), BOOTSTRAPS)

    @cached_property
    def auc(self) -> Interval | None:
        """Area under the ROC curve of the second of two classes, groups resampled; None for more classes."""
        if len(self.classes) != 2:
            return None
        scores, positive = self.probabilities[:, 1], self.part.labels == 1
        return measures.auc_interval(scores, positive, self.part.groups, _rng(), BOOTSTRAPS)

    @cached_property
    def perfect_ece(self) -> Interval:
        """ECE of a perfectly calibrated model with the same number of samples."""
        return measures.perfect_ece(self.calibrated, _rng())

    def accuracy_over(self, other: "Predictions") -> Interval:
        """Return this accuracy minus that of ``other`` on the same samples, paired."""
        return measures.paired_difference(
            self.correct.astype(float), other.correct.astype(float), self.part.groups, _rng(), repeats=BOOTSTRAPS
        )


def classification_summary(probabilities: NDArray, labels: NDArray, temperature: float) -> dict[str, Any]:
    """Return accuracy with Wilson's interval, macro-F1, and ECE and NLL at `temperature`, by summary key.

    `probabilities` is (n, classes), `labels` (n,).
    """
    predicted = probabilities.argmax(axis=1)
    calibrated = measures.apply_temperature(probabilities, temperature)
    accuracy = measures.accuracy(labels, predicted)
    return {
        "count": len(labels),
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "macro_f1": measures.macro_f1(measures.confusion(labels, predicted, probabilities.shape[1])),
        "ece": measures.ece(calibrated, labels),
        "nll": measures.nll(calibrated, labels),
    }


def _rng() -> np.random.Generator:
    return np.random.default_rng(SEED)
