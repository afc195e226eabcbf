"""Measures of a classifier, with intervals: rates, F1, calibration, coverage, bootstrap over groups.

Throughout: ``labels : (n,) int`` true classes, ``predicted : (n,) int``, ``probabilities : (n, classes)`` with rows
that sum to 1, ``counts : (classes, classes) int`` a confusion matrix with true classes along rows. A measure of no rows
is NaN. Intervals are 95 % ones: of a proportion Wilson's, of everything else a bootstrap over groups, because rows of
one group are not independent.

Single figures come from scikit-learn and SciPy. A bootstrap takes a measure hundreds of times, and scikit-learn's
checks of its input cost 1 to 2 ms a call, ten times the AUC of 2,000 rows and a hundred times their macro-F1: for
resampling there are `rank_auc` and `pair_counts` with `macro_f1`.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest, rankdata

from tasks.learning.intervals import Interval
from tasks.learning.resampling import percentile_interval, resampled_rows

TEMPERATURE_RANGE = (0.05, 20.0)
RELIABILITY_BINS = 10


@dataclass(frozen=True)
class ClassScore:
    """Precision and recall of one class with their counts."""

    precision: Interval
    recall: Interval
    f1: float
    correct: int
    labelled: int
    predicted: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Samples of similar confidence: their mean confidence and their accuracy."""

    confidence: float
    accuracy: Interval
    count: int


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return Wilson's score interval of the rate ``k / n``; (0, 1) where n is 0.

    Wilson 1927, J. Am. Stat. Assoc. 22, 209, equation 6.
    """
    if not 0 <= k <= n:
        raise ValueError(f"successes must lie between 0 and the trials: {k} of {n}")
    if n == 0:
        return 0.0, 1.0
    ends = binomtest(k, n).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def rate(k: int, n: int) -> Interval:
    """Return ``k / n`` with Wilson's interval; the value is NaN where n is 0."""
    return Interval(k / n if n else float("nan"), *wilson(k, n))


def accuracy(labels: NDArray, predicted: NDArray) -> Interval:
    """Return the fraction of rows predicted correctly, with Wilson's interval; both arguments are (n,)."""
    return rate(int(np.count_nonzero(labels == predicted)), len(labels))


def confusion(labels: NDArray, predicted: NDArray, classes: int) -> NDArray[np.int64]:
    """Return the number of rows of each true class (row) predicted as each class (column)."""
    from sklearn.metrics import confusion_matrix  # takes a second to import

    return np.asarray(confusion_matrix(labels, predicted, labels=range(classes)))


def pair_counts(labels: NDArray, predicted: NDArray, classes: int) -> NDArray[np.int64]:
    """Return `confusion` of labels and predictions (n,), fast enough for resampling; nothing is checked."""
    pairs = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def per_class(counts: NDArray) -> list[ClassScore]:
    """Return precision and recall of each class of a confusion matrix, shape (classes, classes)."""
    scores = []
    for position in range(len(counts)):
        correct = int(counts[position, position])
        labelled, predicted = int(counts[position].sum()), int(counts[:, position].sum())
        scores.append(
            ClassScore(
                precision=rate(correct, predicted),
                recall=rate(correct, labelled),
                f1=2 * correct / (labelled + predicted) if labelled + predicted else float("nan"),
                correct=correct,
                labelled=labelled,
                predicted=predicted,
            )
        )
    return scores


def macro_f1(counts: NDArray) -> float:
    """Return the unweighted mean F1 over the classes that occur in a confusion matrix, shape (classes, classes)."""
    correct = np.diagonal(counts)
    occurrences = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = occurrences > 0
    return float(np.mean(2 * correct[occurs] / occurrences[occurs])) if occurs.any() else float("nan")


def cohen_kappa(counts: NDArray) -> float:
    """Return Cohen's kappa of a square table of counts, one rater along rows and the other along columns.

    It is the agreement beyond chance over the most that is possible (Cohen 1960); NaN where both always say the same
    one class, or there is nothing.
    """
    total = counts.sum()
    if not total:
        return float("nan")
    shares = counts / total
    by_chance = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return (float(np.trace(shares)) - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def nll(probabilities: NDArray, labels: NDArray) -> float:
    """Return the mean negative log likelihood of the labels (n,), in nats."""
    return float(-np.mean(_log(probabilities)[np.arange(len(labels)), labels])) if len(labels) else float("nan")


def brier(probabilities: NDArray, labels: NDArray) -> float:
    """Return the mean squared distance of probabilities (n, classes) from the labels' unit vectors, 0 to 2."""
    distance = probabilities.astype(float)
    distance[np.arange(len(labels)), labels] -= 1
    return float(np.mean(np.sum(distance**2, axis=1))) if len(labels) else float("nan")


def reliability(probabilities: NDArray, labels: NDArray, bins: int = RELIABILITY_BINS) -> list[ReliabilityBin]:
    """Return bins of the samples of probabilities (n, classes), equal in number up to one, ordered by confidence."""
    confidence = probabilities.max(axis=1).astype(float)
    correct = probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    return [
        ReliabilityBin(
            confidence=float(confidence[rows].mean()),
            accuracy=rate(int(correct[rows].sum()), len(rows)),
            count=len(rows),
        )
        for rows in np.array_split(order, min(bins, len(order)) or 1)
        if len(rows)
    ]


def ece(probabilities: NDArray, labels: NDArray, bins: int = RELIABILITY_BINS) -> float:
    """Return the expected calibration error of the predicted class of (n, classes) over equal-count bins."""
    correct = probabilities.argmax(axis=1) == labels
    return float(_binned_gap(probabilities.max(axis=1), correct[None].astype(float), bins)[0])


def perfect_ece(
    probabilities: NDArray, rng: np.random.Generator, bins: int = RELIABILITY_BINS, repeats: int = 200
) -> Interval:
    """Return the ECE that a perfectly calibrated model shows with these probabilities (n, classes).

    The prediction of a calibrated model is right with the probability it states, so outcomes are drawn
    from the probabilities themselves. The ends hold 95 % of the draws: an ECE above ``high`` is no accident.
    """
    confidence = probabilities.max(axis=1)
    drawn = (rng.random((repeats, len(confidence))) < confidence).astype(float)
    gaps = _binned_gap(confidence, drawn, bins)
    return Interval(float(gaps.mean()), *(float(end) for end in np.quantile(gaps, [0.025, 0.975])))


def fit_temperature(probabilities: NDArray, labels: NDArray) -> float:
    """Return the temperature T that minimises the NLL of softmax(log p / T) (Guo et al. 2017, 1706.04599).

    p is (n, classes).

    It is bounded to ``TEMPERATURE_RANGE``: labels that are all right or all wrong have no finite optimum.
    """
    if len(labels) == 0:
        raise ValueError("a temperature needs labelled rows, got none")
    logs = _log(probabilities)
    rows = np.arange(len(labels))

    def loss(inverse: float) -> float:  # convex in 1/T
        return float(-np.mean(log_softmax(logs * inverse, axis=1)[rows, labels]))

    low, high = (1 / bound for bound in reversed(TEMPERATURE_RANGE))
    optimum = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(1 / optimum.x)


def apply_temperature(probabilities: NDArray, temperature: float) -> NDArray[np.float64]:
    """Return softmax(log p / temperature), (n, classes); the order of the classes in a row stays the same."""
    return np.asarray(softmax(_log(probabilities) / temperature, axis=1))


def coverage_curve(confidence: NDArray, correct: NDArray) -> tuple[NDArray, NDArray]:
    """Return fractions of the rows (n,), the most confident first, and the accuracy on each.

    Rows of equal confidence enter together, so that their order cannot matter.
    """
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else np.empty(0, int)
    hits = np.cumsum(correct[order])[ends]
    return (ends + 1) / max(len(order), 1), hits / (ends + 1)


def coverage_accuracy(confidence: NDArray, correct: NDArray, coverage: float) -> float:
    """Return the accuracy on the most confident share `coverage` of the rows (n,), at least one row.

    Of rows of equal confidence that are not all among them, each counts for the same part, so that their order cannot
    matter.
    """
    count = max(1, round(coverage * len(confidence)))
    lowest = np.partition(confidence, len(confidence) - count)[len(confidence) - count]
    above, tied = confidence > lowest, confidence == lowest
    share = (count - np.count_nonzero(above)) / np.count_nonzero(tied)
    return float((np.count_nonzero(correct[above]) + share * np.count_nonzero(correct[tied])) / count)


def auc(scores: NDArray, positive: NDArray) -> float:
    """Return the area under the ROC curve: the chance that a positive row scores above a negative one.

    Ties count half. NaN where a class is absent.

    Parameters
    ----------
    scores : (n,)
        The higher, the likelier positive.
    positive : (n,) bool
    """
    from sklearn.metrics import roc_auc_score  # takes a second to import

    if np.all(positive) or not np.any(positive):
        return float("nan")
    return float(roc_auc_score(positive, scores))


def rank_auc(scores: NDArray, positive: NDArray) -> float:
    """Return `auc` of scores (n,) from ranks (Mann & Whitney 1947), fast enough for resampling."""
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)[np.asarray(positive, bool)].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def roc_curve(scores: NDArray, positive: NDArray) -> tuple[NDArray, NDArray]:
    """Return false-positive and true-positive rates at every distinct threshold, from (0, 0) to (1, 1).

    The rates of a class that is absent are 0.

    Parameters
    ----------
    scores : (n,)
        The higher, the likelier positive.
    positive : (n,) bool

    Returns
    -------
    false, true : (distinct thresholds + 1,)
    """
    # These take a second to import.
    from sklearn import metrics
    from sklearn.exceptions import UndefinedMetricWarning

    if not len(scores):
        return np.zeros(1), np.zeros(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)  # of a class that is absent
        false, true, _ = metrics.roc_curve(positive, scores, drop_intermediate=False)
    return np.nan_to_num(false), np.nan_to_num(true)


def group_bootstrap(
    groups: Sequence[str] | NDArray,
    statistic: Callable[[NDArray[np.int64]], float],
    rng: np.random.Generator,
    repeats: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return ``statistic(rows)`` over all rows with its percentile interval over resampled groups.

    Each repeat draws as many groups as there are, with replacement, and passes the row numbers of the drawn groups (of
    a group drawn twice, twice). Repeats where the statistic is NaN, as an AUC without positives, are left out.

    Parameters
    ----------
    groups : (n,)
        Group of each row. Of fewer than `intervals.LEAST_GROUPS_FOR_INTERVAL` the ends are NaN.
    statistic : callable
        Row numbers (m,) to a number.
    rng : Generator
    repeats : int
    level : float
        Fraction of the resampled values between the ends.
    """
    if not len(groups):
        return Interval(math.nan, math.nan, math.nan)
    value = float(statistic(np.arange(len(groups))))
    return percentile_interval(value, [statistic(rows) for rows in resampled_rows(groups, rng, repeats)], level)


def auc_interval(
    scores: NDArray, positive: NDArray, groups: Sequence[str] | NDArray, rng: np.random.Generator, repeats: int = 1000
) -> Interval:
    """Return `auc`, groups resampled; scores, positive and groups are (n,)."""
    resampled = group_bootstrap(groups, lambda rows: rank_auc(scores[rows], positive[rows]), rng, repeats)
    return resampled._replace(value=auc(scores, positive))


def paired_difference(
    first: NDArray,
    second: NDArray,
    groups: Sequence[str] | NDArray,
    rng: np.random.Generator,
    statistic: Callable[[NDArray], float] = np.mean,
    repeats: int = 1000,
) -> Interval:
    """Return ``statistic(first) - statistic(second)`` of two models on the same rows, groups resampled.

    ``first`` and ``second``, (n,) each, hold one value a row, such as whether the model is correct there.
    """
    if len(first) != len(second):
        raise ValueError(f"paired models need the same rows: {len(first)} and {len(second)}")
    return group_bootstrap(groups, lambda rows: statistic(first[rows]) - statistic(second[rows]), rng, repeats)


def _binned_gap(confidence: NDArray, outcomes: NDArray, bins: int) -> NDArray[np.float64]:
    """Return, for each row of ``outcomes : (repeats, n)``, the mean |confidence - outcome| over bins."""
    count = len(confidence)
    if not count:
        return np.full(len(outcomes), np.nan)
    order = np.argsort(confidence, kind="stable")
    gap = confidence[order].astype(float) - outcomes[:, order]
    starts = [part[0] for part in np.array_split(np.arange(count), min(bins, count))]
    return np.abs(np.add.reduceat(gap, starts, axis=1)).sum(axis=1) / count


def _log(probabilities: NDArray) -> NDArray[np.float64]:
    # A softmax in float32 may underflow to 0, whose logarithm would make one row decide everything.
    return np.log(np.maximum(probabilities.astype(float), np.finfo(np.float32).tiny))
