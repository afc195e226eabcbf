"""Calibrated probabilities of a detector's logits at a stated prior, and their check by counting.

Throughout: ``logit : (n,)`` is the logit of being positive, ``positive : (n,) bool``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from scipy.stats import binom

from tasks.learning.measures import TEMPERATURE_RANGE

MOST_OFFSET = 20.0
"""Largest offset in size: separated classes have no finite optimum."""
BIN_EDGES = (0.0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
"""Edges of the bins of probability in which reals are counted: few of a night's detections are likely to be real."""
LIMITS_LEVEL = 0.95


@dataclass(frozen=True)
class Calibration:
    """Temperature, offset and prior by which a logit becomes a probability.

    The calibrated logit ``logit / temperature + offset`` holds where the fraction `share` is positive; another prior
    adds the difference of the log odds (Bayes).

    Attributes
    ----------
    temperature : float
    offset : float
        Logits of a loss that weighs the classes, or of a margin loss, are off by a constant that a temperature cannot
        correct.
    share : float
    """

    temperature: float
    offset: float
    share: float

    @classmethod
    def fit(cls, logit: NDArray, positive: NDArray, share: float) -> "Calibration":
        """Fit temperature and offset to labelled rows, both classes among them, and state them at another prior.

        They minimise the negative log-likelihood of ``expit(logit / T + b)``: temperature scaling with a bias
        (Alexandari et al. 2020, 1901.06852), for two classes the sigmoid of Platt (1999). T is bounded to
        ``TEMPERATURE_RANGE``, b to `MOST_OFFSET`.

        Parameters
        ----------
        logit, positive
        share : float
            Fraction of positives for which the offset is stated; the rows may have another.
        """
        logit, sign = np.asarray(logit, float), np.where(positive, 1.0, -1.0)

        def loss(values: NDArray) -> tuple[float, NDArray]:  # convex in (1 / T, b)
            argument = sign * (logit * values[0] + values[1])
            slope = -sign * expit(-argument)
            return float(-log_expit(argument).mean()), np.array([(slope * logit).mean(), slope.mean()])

        low, high = (1 / bound for bound in reversed(TEMPERATURE_RANGE))
        bounds = [(low, high), (-MOST_OFFSET, MOST_OFFSET)]
        found = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}).x
        of_rows = float(np.mean(positive))
        return cls(float(1 / found[0]), float(found[1]) + log_odds(share) - log_odds(of_rows), share)

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> "Calibration":
        """Return the calibration of a model's card; a card without an offset has 0."""
        return cls(
            float(card["temperature"] or 1), float(card.get("logit_offset", 0.0)), float(card["training_real_share"])
        )

    def to_card(self) -> dict[str, float]:
        """Return the entries of a model's card."""
        return {"temperature": self.temperature, "logit_offset": self.offset, "training_real_share": self.share}

    def probability(self, logit: NDArray, share: float | None = None) -> NDArray[np.float64]:
        """Return the probability of being positive, (n,), where the fraction `share` of all is; None: `self.share`."""
        return np.asarray(expit(np.asarray(logit, float) / self.temperature + self._shift(share)))

    def logit_of(self, probability: float, share: float | None = None) -> float:
        """Return the logit that has a probability, the inverse of `probability`."""
        return self.temperature * (log_odds(probability) - self._shift(share))

    def _shift(self, share: float | None) -> float:
        return self.offset + (0.0 if share is None else log_odds(share) - log_odds(self.share))


def log_odds(share: float) -> float:
    """Return the log odds of a fraction between 0 and 1."""
    return math.log(share / (1 - share))


@dataclass(frozen=True)
class ProbabilityBin:
    """The rows of a bin of probability.

    Attributes
    ----------
    low, high : float
        Edges; the upper one belongs to the next bin, but for the last.
    count : int
    expected : float
        Sum of the probabilities.
    counted : int
        Positives.
    least, most : int
        Between which the number of positives is with a chance of at least `LIMITS_LEVEL`, if the probabilities hold.
    """

    low: float
    high: float
    count: int
    expected: float
    counted: int
    least: int
    most: int

    @property
    def agrees(self) -> bool:
        """Whether the counted positives are within the limits."""
        return self.least <= self.counted <= self.most


def count_by_probability(
    probability: NDArray, positive: NDArray, edges: tuple[float, ...] = BIN_EDGES
) -> list[ProbabilityBin]:
    """Return the expected and the counted positives in bins of probability, (n,), without empty bins.

    If independent rows are positive with the probabilities p, their number has mean sum(p) and variance
    sum(p (1 - p)). The limits are quantiles of the binomial distribution with this mean and variance, which
    approximates that number (Ehm 1991, Stat. Prob. Letters 11, 7): m = sum(p)^2 / sum(p^2) trials, rounded up.
    """
    inner = np.asarray(edges[1:-1])
    numbers = np.searchsorted(inner, probability, side="right")
    bins = []
    for number in np.unique(numbers).tolist():
        of_bin = probability[numbers == number]
        expected, squares = float(of_bin.sum()), float((of_bin**2).sum())
        trials = math.ceil(expected**2 / squares) if squares else 0
        tail = (1 - LIMITS_LEVEL) / 2
        least, most = binom.ppf([tail, 1 - tail], trials, min(expected / trials, 1.0)) if trials else (0, 0)
        counted = int(np.count_nonzero(positive[numbers == number]))
        bins.append(
            ProbabilityBin(edges[number], edges[number + 1], len(of_bin), expected, counted, int(least), int(most))
        )
    return bins
