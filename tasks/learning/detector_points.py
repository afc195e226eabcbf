"""Operating points of single detectors, shrunk towards the pooled one by empirical Bayes.

Throughout: ``scores : (n,)`` of the positives, ``detectors : (n,) str``; a threshold selects ``score >= threshold``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from tasks.learning.operating_points import TPR_LEVELS, threshold_for_tpr

LEVEL = 0.05
"""Chance that equal detectors are taken for different ones."""
LEAST_EXPECTED = 5.0
"""A detector with fewer positives expected below the threshold says nothing about how much detectors differ."""


@dataclass(frozen=True)
class DetectorPoint:
    """The threshold of one detector.

    Attributes
    ----------
    threshold : float
        Shrunk.
    own : float
        What the detector's positives alone set.
    weight : float
        Of its own threshold against the pooled one.
    positives : int
    """

    threshold: float
    own: float
    weight: float
    positives: int


@dataclass(frozen=True)
class DetectorPoints:
    """The thresholds of detectors at one true-positive rate.

    Attributes
    ----------
    statistic, limit : float
        The detectors differ where the first exceeds the second; both 0 where fewer than two can be compared.
    pooled : float
    detectors : mapping of str to DetectorPoint
    """

    statistic: float
    limit: float
    pooled: float
    detectors: Mapping[str, DetectorPoint]

    @property
    def differ(self) -> bool:
        """Whether the detectors differ by more than their counts explain."""
        return self.statistic > self.limit

    def to_card(self) -> dict[str, Any]:
        """Return the entry of a model's card."""
        points = {name: vars(point) for name, point in self.detectors.items()}
        return {"statistic": self.statistic, "limit": self.limit, "differ": self.differ, "detectors": points}


def points_by_detector(scores: NDArray, detectors: NDArray[np.str_], tpr: float) -> DetectorPoints:
    """Return each detector's threshold for a true-positive rate, shrunk towards the pooled one.

    *Whether they differ.* With k_j of the n_j positives of detector j at or above the pooled threshold, equal detectors
    have X^2 = sum (k_j - n_j p)^2 / (n_j p (1 - p)), p their common rate, distributed as chi-square with one degree of
    freedom less than detectors (Pearson's test of homogeneity). Where X^2 is not above its quantile 1 - `LEVEL`, every
    detector has the pooled threshold.

    *By how much.* The threshold t_j of the detector alone, the quantile q = 1 - tpr of its positives, scatters with
    variance v / n_j, v = q (1 - q) s^2. The slope s of the quantile function is taken from the quantiles q +- q/2 of
    each detector (Siddiqui 1960) and averaged with the weights n_j. The variance between detectors is tau^2 =
    (Q - (k - 1)) / (W - sum w_j^2 / W), at least 0, with w_j = n_j / v, W = sum w_j, Q = sum w_j (t_j - t)^2 about
    their weighted mean (DerSimonian & Laird 1986). The posterior mean is pooled + b_j (t_j - pooled) with b_j = tau^2 /
    (tau^2 + v / n_j) (Efron & Morris 1975). Detectors with fewer than `LEAST_EXPECTED` positives expected below the
    threshold take no part in X^2, s and tau^2.

    Parameters
    ----------
    scores, detectors
        Of the positives, at least one.
    tpr : float

    Raises
    ------
    OperatingPointError
        There are no positives.
    """
    pooled, share = threshold_for_tpr(scores, tpr), 1 - tpr
    of_detector = {name: scores[detectors == name] for name in np.unique(detectors).tolist()}
    own = {name: threshold_for_tpr(values, tpr) for name, values in of_detector.items()}
    many = [name for name, values in of_detector.items() if len(values) * share >= LEAST_EXPECTED]
    counts = np.array([len(of_detector[name]) for name in many], float)
    statistic, limit, between, scatter = 0.0, 0.0, 0.0, 1.0
    if len(many) > 1:
        kept = np.array([np.count_nonzero(of_detector[name] >= pooled) for name in many])
        rate = min(kept.sum() / counts.sum(), 1 - 0.5 / counts.sum())  # ties may keep all
        statistic = float(((kept - counts * rate) ** 2 / (counts * rate * (1 - rate))).sum())
        limit = float(chi2.ppf(1 - LEVEL, len(many) - 1))
    if statistic > limit:
        slopes = [np.diff(np.quantile(of_detector[name], [share / 2, 1.5 * share]))[0] / share for name in many]
        scatter = max(share * tpr * float(np.average(slopes, weights=counts)) ** 2, np.finfo(float).tiny)
        between = _between_variance(np.array([own[name] for name in many]), scatter / counts)
    points = {}
    for name, values in of_detector.items():
        weight = between / (between + scatter / len(values))
        points[name] = DetectorPoint(pooled + weight * (own[name] - pooled), own[name], weight, len(values))
    return DetectorPoints(statistic, limit, pooled, points)


def _between_variance(values: NDArray, variances: NDArray) -> float:
    """Return the variance between values, (k,), beyond the variance of each, (k,) (DerSimonian & Laird 1986)."""
    weights = 1 / variances
    total = weights.sum()
    spread = float(np.sum(weights * (values - np.average(values, weights=weights)) ** 2))
    return max(0.0, (spread - (len(values) - 1)) / float(total - np.sum(weights**2) / total))


def detector_points(scores: NDArray, positive: NDArray, detectors: NDArray[np.str_]) -> dict[str, Any]:
    """Return the points of scores (n,) at each of `TPR_LEVELS`, with the keys of a model's card."""
    return {
        f"tpr{round(100 * tpr)}": points_by_detector(scores[positive], detectors[positive], tpr).to_card()
        for tpr in TPR_LEVELS
    }
