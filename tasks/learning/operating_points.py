"""Operating points of a detector: true-positive and false-positive rate at a threshold, with intervals.

Throughout: ``scores : (n,)``, the higher the likelier positive; ``positive : (n,) bool``; ``groups : (n,)`` is
resampled. A threshold selects ``score >= threshold``; that of a true-positive rate is the highest reaching it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from tasks.learning import measures
from tasks.learning.intervals import Interval

TPR_LEVELS = (0.90, 0.95, 0.99)
"""True-positive rates at which a detector is evaluated."""
LEAST_EVENTS = 10
"""With fewer events only the upper limit of a rate is known."""
REPEATS = 500
"""Number of resamplings of an interval."""


class OperatingPointError(ValueError):
    """A threshold cannot be set because a class is absent."""


@dataclass(frozen=True)
class OperatingPoint:
    """One operating point.

    Attributes
    ----------
    threshold : float
    tpr, fpr : Interval
        Groups resampled. Where the same rows set the threshold, the interval of `fpr` includes its scatter and that of
        `tpr` is Wilson's.
    kept, positives : int
        Selected positives, of all.
    passed, negatives : int
        Selected negatives, of all.
    """

    threshold: float
    tpr: Interval
    fpr: Interval
    kept: int
    positives: int
    passed: int
    negatives: int

    @property
    def resolved(self) -> bool:
        """Whether enough negatives pass to give a rate."""
        return self.passed >= LEAST_EVENTS

    @property
    def fpr_limit(self) -> float:
        """One-sided upper 95 % limit of the false-positive rate (Clopper-Pearson)."""
        return upper_limit(self.passed, self.negatives)

    def to_summary(self) -> dict[str, Any]:
        """Return the point with the keys of a summary; None where there is no value."""
        return {
            "threshold": self.threshold,
            "tpr": self.tpr.value,
            **self.fpr.to_summary("fpr"),
            "kept": self.kept,
            "positives": self.positives,
            "passed": self.passed,
            "negatives": self.negatives,
            "fpr_limit": self.fpr_limit,
            "resolved": self.resolved,
        }


def threshold_for_tpr(positive_scores: NDArray, tpr: float) -> float:
    """Return the highest threshold that keeps at least `tpr` of the positives' scores, (n,).

    Raises
    ------
    OperatingPointError
        There are no positives.
    """
    count = len(positive_scores)
    if not count:
        raise OperatingPointError("a threshold for a true-positive rate needs positives, there are none")
    kept = min(max(math.ceil(tpr * count - 1e-9), 1), count)
    return float(np.partition(positive_scores, count - kept)[count - kept])


def weighted_thresholds(positive_scores: NDArray, weights: NDArray, tpr: float) -> NDArray[np.float64]:
    """Return `threshold_for_tpr` of the positives' scores, (m,), under each of b sets of weights, (b, m).

    A weight of 2 counts a row twice. NaN where all weights are 0.
    """
    if not len(positive_scores):
        return np.full(len(weights), np.nan)
    order = np.argsort(-positive_scores, kind="stable")
    kept = np.cumsum(weights[:, order], axis=1)
    total = kept[:, -1]
    reached = kept >= (tpr * total * (1 - 1e-9))[:, None]
    thresholds = np.asarray(positive_scores, np.float64)[order][reached.argmax(axis=1)]
    return np.where(total > 0, thresholds, np.nan)


def fpr_at_tpr(scores: NDArray, positive: NDArray, tpr: float) -> float:
    """Return the false-positive rate of scores (n,) at a true-positive rate; NaN where a class is absent."""
    positives, negatives = scores[positive], scores[~positive]
    if not len(positives) or not len(negatives):
        return float("nan")
    return float(np.mean(negatives >= threshold_for_tpr(positives, tpr)))


def operating_points(scores: NDArray, positive: NDArray) -> dict[str, dict[str, float]]:
    """Return threshold, rates and counts of scores (n,) at each of `TPR_LEVELS`, with the keys of a model's card."""
    points = {}
    for tpr in TPR_LEVELS:
        threshold = threshold_for_tpr(scores[positive], tpr)
        kept, passed = scores[positive] >= threshold, scores[~positive] >= threshold
        points[f"tpr{round(100 * tpr)}"] = {
            "threshold": threshold,
            "tpr": float(kept.mean()),
            "fpr": float(passed.mean()) if len(passed) else float("nan"),
            "positives": len(kept),
            "negatives": len(passed),
        }
    return points


def point_at_tpr(scores: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, tpr: float) -> OperatingPoint:
    """Return the operating point of a true-positive rate, whose threshold these scores (n,) set."""
    threshold = threshold_for_tpr(scores[positive], tpr)
    fpr = measures.group_bootstrap(
        groups, lambda rows: fpr_at_tpr(scores[rows], positive[rows], tpr), np.random.default_rng(0), REPEATS
    )
    kept = int(np.count_nonzero(scores[positive] >= threshold))
    return _point(scores, positive, threshold, measures.rate(kept, int(positive.sum())), fpr)


def point_at_threshold(
    scores: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, threshold: float
) -> OperatingPoint:
    """Return the operating point, on scores (n,), of a threshold that was set on other rows."""
    selected = scores >= threshold

    def rate(rows: NDArray[np.int64], of_positives: bool) -> float:
        selected_of_class = selected[rows][positive[rows] == of_positives]
        return float(selected_of_class.mean()) if len(selected_of_class) else math.nan

    tpr, fpr = (
        measures.group_bootstrap(groups, partial(rate, of_positives=of_positives), np.random.default_rng(0), REPEATS)
        for of_positives in (True, False)
    )
    return _point(scores, positive, threshold, tpr, fpr)


def _point(scores: NDArray, positive: NDArray, threshold: float, tpr: Interval, fpr: Interval) -> OperatingPoint:
    selected = scores >= threshold
    return OperatingPoint(
        threshold,
        tpr,
        fpr,
        int(np.count_nonzero(selected & positive)),
        int(np.count_nonzero(positive)),
        int(np.count_nonzero(selected & ~positive)),
        int(np.count_nonzero(~positive)),
    )


def upper_limit(events: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper limit of the rate ``events / trials`` (Clopper & Pearson 1934); 1 without trials."""
    return 1.0 if events >= trials else float(beta.ppf(confidence, events + 1, trials - events))


def partial_auc(scores: NDArray, positive: NDArray, most_fpr: float) -> float:
    """Return the area under the ROC curve of scores (n,) up to a false-positive rate, scaled to 1 for a perfect score.

    A random score has `most_fpr` / 2. NaN where a class is absent. (scikit-learn's ``roc_auc_score(max_fpr=...)`` is
    rescaled so that a random score has 0.5.)
    """
    if positive.all() or not positive.any():
        return float("nan")
    false, true = measures.roc_curve(scores, positive)
    end = int(np.searchsorted(false, most_fpr))  # where the curve rises at most_fpr itself, its lower end counts
    x = np.append(false[:end], most_fpr)
    y = np.append(true[:end], np.interp(most_fpr, false[: end + 1], true[: end + 1]))
    return float(np.trapezoid(y, x) / most_fpr)


def tpr_at_count(scores: NDArray, positive: NDArray, candidates: float, night: float) -> float:
    """Return the true-positive rate at which a night of `night` negatives gives at most `candidates` false positives.

    `scores` is (n,). NaN where a class is absent.
    """
    negatives = np.sort(scores[~positive])[::-1]
    if not len(negatives) or not positive.any():
        return float("nan")
    passing = candidates / night * len(negatives)
    threshold = negatives[min(int(passing), len(negatives) - 1)]
    return float(np.mean(scores[positive] > threshold))


def precision_recall(
    scores: NDArray, positive: NDArray, positive_share: float | None = None
) -> tuple[NDArray, NDArray]:
    """Return recall and precision at every distinct threshold, as if `positive_share` of the rows were positive.

    `scores` is (n,). None keeps the rows' own fraction of positives.
    """
    false, true = measures.roc_curve(scores, positive)
    share = float(np.mean(positive)) if positive_share is None else positive_share
    kept, passed = share * true[1:], (1 - share) * false[1:]
    return true[1:], kept / np.maximum(kept + passed, np.finfo(float).tiny)


def logit_of(outputs: NDArray) -> NDArray[np.float64]:
    """Return the logit of being positive, (n,), from a model's (n, 2) outputs."""
    outputs = np.asarray(outputs, float)
    return np.asarray(outputs[:, 1] - outputs[:, 0])


def fpr_ratio(
    first: NDArray, second: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, tpr: float
) -> Interval:
    """Return the false-positive rate of `first` (n,) over that of `second` (n,) at `tpr`, on the same resampled groups.

    Half an event is added to both counts, so that the ratio is finite where `second` has no false positive.
    """
    count = int(np.count_nonzero(~positive))

    def ratio(rows: NDArray[np.int64]) -> float:
        rates = [fpr_at_tpr(scores[rows], positive[rows], tpr) for scores in (first, second)]
        return (rates[0] * count + 0.5) / (rates[1] * count + 0.5)

    return measures.group_bootstrap(groups, ratio, np.random.default_rng(0), REPEATS)


def auc_difference(first: NDArray, second: NDArray, positive: NDArray, groups: Sequence[str] | NDArray) -> Interval:
    """Return the AUC of `second` (n,) minus that of `first` (n,), on the same resampled groups."""
    return measures.group_bootstrap(
        groups,
        lambda rows: measures.rank_auc(second[rows], positive[rows]) - measures.rank_auc(first[rows], positive[rows]),
        np.random.default_rng(0),
        REPEATS,
    )
