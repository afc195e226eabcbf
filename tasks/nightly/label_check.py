"""Whether a night's labels contradict the champion far more often than its operating point allows.

A batch of wrong labels would poison every later training, so such a night is set aside until a person accepts it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.learning.measures import rate

LEAST_LABELLED = 50
"""Labelled rows below which nothing is said."""
MOST_TIMES_EXPECTED = 2.0
MARGIN = 0.05
"""The labels are suspect if the lower end of the contradicted share's interval exceeds `MOST_TIMES_EXPECTED` times the
expected share plus this."""


@dataclass(frozen=True)
class LabelCheck:
    """How many labels the champion contradicts.

    Attributes
    ----------
    count, contradicted : int
        Labelled rows, and those whose label is not the champion's decision.
    expected : float
        Share that the champion's own error rates predict for labels that are right.
    low, high : float
        Interval of the contradicted share, 95 %; NaN without labels.
    """

    count: int
    contradicted: int
    expected: float
    low: float
    high: float

    @property
    def is_suspect(self) -> bool:
        """Whether the labels look wrong."""
        return self.count >= LEAST_LABELLED and self.low > MOST_TIMES_EXPECTED * self.expected + MARGIN

    def to_summary(self) -> dict[str, Any]:
        """Return the entries of the night's summary."""
        share = self.contradicted / self.count if self.count else None
        return {
            "labelled": self.count,
            "contradicted": self.contradicted,
            "share": share,
            "expected": self.expected,
            "suspect": self.is_suspect,
        }


def check_labels(decided: NDArray[np.int64], labels: NDArray[np.int64], error_rates: NDArray[np.float64]) -> LabelCheck:
    """Compare labels with a model's decisions.

    Parameters
    ----------
    decided, labels : (n,)
        Positions of classes.
    error_rates : (classes,)
        The share of each class that the model decides wrongly, as measured when it was trained.
    """
    count = len(labels)
    contradicted = int(np.count_nonzero(decided != labels))
    expected = float(error_rates[labels].mean()) if count else 0.0
    share = rate(contradicted, count)
    return LabelCheck(count, contradicted, expected, share.low, share.high)
