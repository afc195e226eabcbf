"""What the gate compares two models by: the one thing that differs between its problems.

A figure says which rows a model decides wrongly, and over which rows the share of wrong ones is the figure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.learning.intervals import LEAST_GROUPS_FOR_INTERVAL
from tasks.learning.operating_points import weighted_thresholds


class GateFigure(Protocol):
    """The figure by which models are compared: a share of rows that are decided wrongly."""

    @property
    def name(self) -> str:
        """What the share is called in a sentence."""

    def decided(self, labels: NDArray) -> NDArray[np.bool_]:
        """Return the rows (n,) of which the figure is the share that is decided wrongly."""

    def wrong(self, outputs: NDArray, labels: NDArray, weights: NDArray) -> NDArray[np.bool_]:
        """Return which rows a model decides wrongly under each of b sets of weights, (b, n).

        Parameters
        ----------
        outputs : (n, ...)
            The model's.
        labels : (n,) int
        weights : (b, n)
        """

    def too_few(self, labels: NDArray, groups: NDArray, least: int) -> str | None:
        """Return the sentence that says of what there is too little for a comparison; None if there is enough.

        At least `least` rows are needed, in at least `LEAST_GROUPS_FOR_INTERVAL` groups.

        Parameters
        ----------
        labels, groups : (n,)
        least : int
        """


@dataclass(frozen=True)
class FalsePositives:
    """The false-positive rate at a true-positive rate; outputs are logits (n,), label 1 is positive.

    Each set of weights sets the threshold anew, so that its scatter is in every interval. A positive below the
    threshold and a negative at or above it are decided wrongly.
    """

    tpr: float
    negative: str = "bogus"
    positive: str = "real"

    @property
    def name(self) -> str:
        """What the share is called."""
        return f"false-positive rate at a true-positive rate of {self.tpr:g}"

    def decided(self, labels: NDArray) -> NDArray[np.bool_]:
        """Return the negatives, (n,)."""
        return np.asarray(labels == 0)

    def wrong(self, outputs: NDArray, labels: NDArray, weights: NDArray) -> NDArray[np.bool_]:
        """Return missed positives and passed negatives, (b, n); without positives every positive is missed."""
        positive = labels == 1
        thresholds = weighted_thresholds(outputs[positive], weights[:, positive], self.tpr)
        return np.asarray((outputs >= thresholds[:, None]) != positive)

    def too_few(self, labels: NDArray, groups: NDArray, least: int) -> str | None:
        """Return which class has too few rows or groups."""
        for label, name in ((1, self.positive), (0, self.negative)):
            of_class = labels == label
            shortage = _shortage(groups[of_class], name, least)
            if shortage is not None:
                return shortage
        return None


@dataclass(frozen=True)
class Errors:
    """The share of objects whose most probable class is not their label; outputs are probabilities (n, classes)."""

    classes: Sequence[str]

    @property
    def name(self) -> str:
        """What the share is called."""
        return "error rate"

    def decided(self, labels: NDArray) -> NDArray[np.bool_]:
        """Return all rows, (n,)."""
        return np.ones(len(labels), bool)

    def wrong(self, outputs: NDArray, labels: NDArray, weights: NDArray) -> NDArray[np.bool_]:
        """Return the misclassified rows, (b, n), which do not depend on the weights."""
        return np.broadcast_to(outputs.argmax(axis=1) != labels, weights.shape)

    def too_few(self, labels: NDArray, groups: NDArray, least: int) -> str | None:
        """Return that there are too few rows or groups, or rows of one class alone."""
        shortage = _shortage(groups, "objects", least)
        if shortage is not None:
            return shortage
        present = np.unique(labels)
        if len(present) < 2:
            only = self.classes[int(present[0])]
            return f"All {len(labels)} labelled objects are of class {only}: two classes are needed."
        return None


def _shortage(groups: NDArray, what: str, least: int) -> str | None:
    """Return that the rows of these groups, (m,), or the groups are too few."""
    count, in_groups = len(groups), len(np.unique(groups))
    if count >= least and in_groups >= LEAST_GROUPS_FOR_INTERVAL:
        return None
    return (
        f"There are {count} {what} with truth or verdict, in {in_groups} groups: at least {least} in "
        f"{LEAST_GROUPS_FOR_INTERVAL} groups are needed."
    )
