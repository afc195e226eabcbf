"""A detector's figures at its operating point: what is kept of the positives, what passes of the negatives.

Scores are numbers, the higher the likelier positive. Everything is counted at a threshold that selects `score >=
threshold`; the threshold of a wanted true-positive rate is the highest that reaches it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import beta

from tasks.learning import measures
from tasks.learning.measures import Interval

WANTED_TPR = (0.90, 0.95, 0.99)
LEAST_EVENTS = 10
"""A rate decided by fewer is a limit, not a figure."""
REPEATS = 500


class OperatingError(ValueError):
    """A figure cannot be made: a class is absent."""


@dataclass(frozen=True)
class Point:
    """One operating point.

    Attributes
    ----------
    threshold : float
    tpr, fpr : Interval
        Groups resampled, the threshold's own scatter included where it is set by the same rows.
    kept, positives, passed, negatives : int
        Counts behind the rates.
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
        """Whether enough negatives pass to speak of a rate."""
        return self.passed >= LEAST_EVENTS

    @property
    def fpr_limit(self) -> float:
        """One-sided upper 95 % limit of the false-positive rate (Clopper-Pearson)."""
        return upper_limit(self.passed, self.negatives)


def threshold_for_tpr(positive_scores: NDArray, tpr: float) -> float:
    """Return the highest threshold that keeps at least `tpr` of the positives.

    Raises
    ------
    OperatingError
        There are no positives.
    """
    count = len(positive_scores)
    if not count:
        raise OperatingError("a threshold for a true-positive rate needs positives, there are none")
    kept = min(max(math.ceil(tpr * count - 1e-9), 1), count)
    return float(np.partition(positive_scores, count - kept)[count - kept])


def fpr_at_tpr(scores: NDArray, positive: NDArray, tpr: float) -> float:
    """Return the share of negatives at or above the threshold of `tpr`; NaN where a class is absent."""
    positives, negatives = scores[positive], scores[~positive]
    if not len(positives) or not len(negatives):
        return float("nan")
    return float(np.mean(negatives >= threshold_for_tpr(positives, tpr)))


def operating_points(scores: NDArray, positive: NDArray) -> dict[str, dict[str, float]]:
    """Return threshold, rates and counts at each of `WANTED_TPR`, as a model's card keeps them."""
    points = {}
    for wanted in WANTED_TPR:
        threshold = threshold_for_tpr(scores[positive], wanted)
        kept, passed = scores[positive] >= threshold, scores[~positive] >= threshold
        points[f"tpr{round(100 * wanted)}"] = {
            "threshold": threshold,
            "tpr": float(kept.mean()),
            "fpr": float(passed.mean()) if len(passed) else float("nan"),
            "positives": len(kept),
            "negatives": len(passed),
        }
    return points


def at_tpr(scores: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, tpr: float) -> Point:
    """Return the point of a wanted true-positive rate, whose threshold these rows set."""
    threshold = threshold_for_tpr(scores[positive], tpr)
    fpr = measures.group_bootstrap(
        groups, lambda rows: fpr_at_tpr(scores[rows], positive[rows], tpr), np.random.default_rng(0), REPEATS
    )
    kept = int(np.count_nonzero(scores[positive] >= threshold))
    return _point(scores, positive, threshold, measures.rate(kept, int(positive.sum())), fpr)


def at_threshold(scores: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, threshold: float) -> Point:
    """Return the point of a threshold that was set elsewhere."""
    selected = scores >= threshold

    def share(rows: NDArray[np.int64], wanted: bool) -> float:
        mine = selected[rows][positive[rows] == wanted]
        return float(mine.mean()) if len(mine) else float("nan")

    tpr, fpr = (
        measures.group_bootstrap(groups, partial(share, wanted=wanted), np.random.default_rng(0), REPEATS)
        for wanted in (True, False)
    )
    return _point(scores, positive, threshold, tpr, fpr)


def _point(scores: NDArray, positive: NDArray, threshold: float, tpr: Interval, fpr: Interval) -> Point:
    selected = scores >= threshold
    return Point(
        threshold,
        tpr,
        fpr,
        int(np.count_nonzero(selected & positive)),
        int(np.count_nonzero(positive)),
        int(np.count_nonzero(selected & ~positive)),
        int(np.count_nonzero(~positive)),
    )


def upper_limit(events: int, trials: int, confidence: float = 0.95) -> float:
    """Return the one-sided upper limit of a rate (Clopper & Pearson 1934); 1 without trials."""
    return 1.0 if events >= trials else float(beta.ppf(confidence, events + 1, trials - events))


def partial_auc(scores: NDArray, positive: NDArray, most_fpr: float) -> float:
    """Return the area under the ROC curve up to a false-positive rate, scaled to 1 for a perfect score.

    A score that tells nothing has `most_fpr` / 2. NaN where a class is absent.
    """
    if positive.all() or not positive.any():
        return float("nan")
    false, true = measures.roc_curve(scores, positive)
    at = int(np.searchsorted(false, most_fpr))  # where the curve rises at most_fpr itself, its lower end counts
    x = np.append(false[:at], most_fpr)
    y = np.append(true[:at], np.interp(most_fpr, false[: at + 1], true[: at + 1]))
    return float(np.trapezoid(y, x) / most_fpr)


def tpr_at_count(scores: NDArray, positive: NDArray, wanted: float, night: float) -> float:
    """Return the share of positives kept when a night of `night` negatives may give `wanted` candidates."""
    negatives = np.sort(scores[~positive])[::-1]
    passing = wanted / night * len(negatives)
    if not len(negatives) or not positive.any():
        return float("nan")
    threshold = negatives[min(int(passing), len(negatives) - 1)]
    return float(np.mean(scores[positive] > threshold))


def precision_recall(
    scores: NDArray, positive: NDArray, positive_share: float | None = None
) -> tuple[NDArray, NDArray]:
    """Return recall and precision at every distinct threshold; at another share of positives where one is given."""
    false, true = measures.roc_curve(scores, positive)
    share = float(np.mean(positive)) if positive_share is None else positive_share
    kept, passed = share * true[1:], (1 - share) * false[1:]
    return true[1:], kept / np.maximum(kept + passed, np.finfo(float).tiny)


def logit_of(outputs: NDArray) -> NDArray[np.float64]:
    """Return the logit of being positive, (n,), from a model's (n, 2) outputs."""
    outputs = np.asarray(outputs, float)
    return np.asarray(outputs[:, 1] - outputs[:, 0])


def probability(logit: NDArray, temperature: float, training_share: float, share: float) -> NDArray[np.float64]:
    """Return the calibrated probability of a positive where `share` of all are positive.

    The calibrated logit is that of the mix a model was trained on; another prior shifts it by the log odds.
    """
    odds = math.log(share / (1 - share)) - math.log(training_share / (1 - training_share))
    return np.asarray(expit(np.asarray(logit, float) / temperature + odds))


def fpr_ratio(
    first: NDArray, second: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, tpr: float
) -> Interval:
    """Return how many times fewer negatives the second score lets pass at `tpr`, paired: the same resampled groups.

    Half an event is added to both counts, so that a score that lets none pass has a finite ratio.
    """
    count = int(np.count_nonzero(~positive))

    def ratio(rows: NDArray[np.int64]) -> float:
        one, two = (fpr_at_tpr(scores[rows], positive[rows], tpr) for scores in (first, second))
        return (one * count + 0.5) / (two * count + 0.5)

    return measures.group_bootstrap(groups, ratio, np.random.default_rng(0), REPEATS)


def auc_difference(first: NDArray, second: NDArray, positive: NDArray, groups: Sequence[str] | NDArray) -> Interval:
    """Return the second's AUC minus the first's, groups resampled, paired."""
    return measures.group_bootstrap(
        groups,
        lambda rows: measures.auc(second[rows], positive[rows]) - measures.auc(first[rows], positive[rows]),
        np.random.default_rng(0),
        REPEATS,
    )


def told(point: Point) -> dict[str, Any]:
    """Return a point as a summary keeps it."""
    return {
        "threshold": point.threshold,
        "tpr": point.tpr.value,
        "fpr": point.fpr.value,
        "fpr_low": point.fpr.low,
        "fpr_high": point.fpr.high,
        "kept": point.kept,
        "positives": point.positives,
        "passed": point.passed,
        "negatives": point.negatives,
        "fpr_limit": point.fpr_limit,
        "resolved": point.resolved,
    }
