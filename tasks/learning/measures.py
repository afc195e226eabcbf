"""How good a classifier is, with intervals: rates, F1, calibration, coverage, bootstrap over groups.

Throughout: ``labels : (n,) int`` true classes, ``predicted : (n,) int``, ``probabilities : (n, classes)``
with rows that sum to 1, ``confusion : (classes, classes) int`` with the truth along rows. A measure of no
rows is NaN. Counting intervals are Wilson's; all others resample whole groups, because rows of one group
are not independent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import rankdata

Z_95 = 1.959964
TEMPERATURE_RANGE = (0.05, 20.0)
RELIABILITY_BINS = 10


class Interval(NamedTuple):
    """A value between the ends of its interval."""

    value: float
    low: float
    high: float


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
    """Samples of like confidence: what the model claimed and what came true."""

    confidence: float
    accuracy: Interval
    count: int


def wilson(k: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of the rate ``k / n``; (0, 1) where n is 0.

    Wilson 1927, J. Am. Stat. Assoc. 22, 209, equation 6.
    """
    if not 0 <= k <= n:
        raise ValueError(f"successes must lie between 0 and the trials: {k} of {n}")
    if n == 0:
        return 0.0, 1.0
    share = k / n
    center = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At shares 0 and 1 the end is exact, which rounding would miss by 1e-17.
    return (0.0 if k == 0 else center - half), (1.0 if k == n else center + half)


def rate(k: int, n: int) -> Interval:
    """Return ``k / n`` with Wilson's interval; the value is NaN where n is 0."""
    return Interval(k / n if n else float("nan"), *wilson(k, n))


def accuracy(labels: NDArray, predicted: NDArray) -> Interval:
    """Return the share of rows predicted rightly, with Wilson's interval."""
    return rate(int(np.count_nonzero(labels == predicted)), len(labels))


def confusion(labels: NDArray, predicted: NDArray, classes: int) -> NDArray[np.int64]:
    """Return how many rows of each true class (row) were predicted as each class (column)."""
    pairs = np.asarray(labels, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def per_class(counts: NDArray) -> list[ClassScore]:
    """Return precision and recall of each class of a confusion matrix."""
    scores = []
    for position in range(len(counts)):
        correct = int(counts[position, position])
        labelled, predicted = int(counts[position].sum()), int(counts[:, position].sum())
        asked = labelled + predicted
        scores.append(
            ClassScore(
                precision=rate(correct, predicted),
                recall=rate(correct, labelled),
                f1=2 * correct / asked if asked else float("nan"),
                correct=correct,
                labelled=labelled,
                predicted=predicted,
            )
        )
    return scores


def macro_f1(counts: NDArray) -> float:
    """Return the unweighted mean F1 over the classes that occur, labelled or predicted."""
    diagonal = np.diagonal(counts)
    asked = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = asked > 0
    return float(np.mean(2 * diagonal[occurs] / asked[occurs])) if occurs.any() else float("nan")


def nll(probabilities: NDArray, labels: NDArray) -> float:
    """Return the mean negative log likelihood of the labels, in nats."""
    return float(-np.mean(_log(probabilities)[np.arange(len(labels)), labels])) if len(labels) else float("nan")


def brier(probabilities: NDArray, labels: NDArray) -> float:
    """Return the mean squared distance of the probabilities from the labels' unit vectors (0 to 2)."""
    distance = probabilities.astype(float)
    distance[np.arange(len(labels)), labels] -= 1
    return float(np.mean(np.sum(distance**2, axis=1))) if len(labels) else float("nan")


def reliability(probabilities: NDArray, labels: NDArray, bins: int = RELIABILITY_BINS) -> list[ReliabilityBin]:
    """Return bins of equally many samples (up to one), ordered by the confidence in the predicted class."""
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
    """Return the expected calibration error of the predicted class over equal-count bins."""
    correct = probabilities.argmax(axis=1) == labels
    return float(_binned_gap(probabilities.max(axis=1), correct[None].astype(float), bins)[0])


def perfect_ece(
    probabilities: NDArray, rng: np.random.Generator, bins: int = RELIABILITY_BINS, repeats: int = 200
) -> Interval:
    """Return the ECE that a perfectly calibrated model shows with these probabilities and this many rows.

    The prediction of a calibrated model is right with the probability it states, so outcomes are drawn
    from the probabilities themselves. The ends hold 95 % of the draws: an ECE above ``high`` is no accident.
    """
    confidence = probabilities.max(axis=1)
    drawn = (rng.random((repeats, len(confidence))) < confidence).astype(float)
    gaps = _binned_gap(confidence, drawn, bins)
    return Interval(float(gaps.mean()), *(float(end) for end in np.quantile(gaps, [0.025, 0.975])))


def fit_temperature(probabilities: NDArray, labels: NDArray) -> float:
    """Return the temperature T that minimises the NLL of softmax(log p / T) (Guo et al. 2017, 1706.04599).

    It is bounded to ``TEMPERATURE_RANGE``: labels that are all right or all wrong have no finite optimum.
    """
    if len(labels) == 0:
        raise ValueError("a temperature needs labelled rows, got none")
    logs = _log(probabilities)
    rows = np.arange(len(labels))

    def loss(inverse: float) -> float:  # convex in 1/T
        scaled = logs * inverse
        peak = scaled.max(axis=1)
        total = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
        return float(np.mean(total - scaled[rows, labels]))

    low, high = (1 / bound for bound in reversed(TEMPERATURE_RANGE))
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(1 / found.x)


def apply_temperature(probabilities: NDArray, temperature: float) -> NDArray[np.float64]:
    """Return softmax(log p / temperature); the order of the classes in a row stays as it is."""
    scaled = _log(probabilities) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def coverage_curve(confidence: NDArray, correct: NDArray) -> tuple[NDArray, NDArray]:
    """Return shares of rows and the accuracy on that share, the most confident first.

    Rows of equal confidence enter together, so that their order cannot matter.
    """
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else np.empty(0, int)
    hits = np.cumsum(correct[order])[ends]
    return (ends + 1) / max(len(order), 1), hits / (ends + 1)


def auc(scores: NDArray, positive: NDArray) -> float:
    """Return the chance that a positive row scores above a negative one, ties counted half."""
    positives = int(np.count_nonzero(positive))
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)[np.asarray(positive, bool)].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def roc_curve(scores: NDArray, positive: NDArray) -> tuple[NDArray, NDArray]:
    """Return false-positive and true-positive rates at every distinct threshold, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    hit = np.asarray(positive, bool)[order]
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else np.empty(0, int)
    true, false = np.cumsum(hit)[ends], np.cumsum(~hit)[ends]
    return np.append(0, false / max(np.sum(~hit), 1)), np.append(0, true / max(np.sum(hit), 1))


def group_bootstrap(
    groups: Sequence[str] | NDArray,
    statistic: Callable[[NDArray[np.int64]], float],
    rng: np.random.Generator,
    repeats: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return ``statistic(rows)`` over all rows with its percentile interval over resampled groups.

    Each repeat draws as many groups as there are, with replacement, and passes the row numbers of the
    drawn groups (a group drawn twice brings its rows twice). Repeats where the statistic is NaN, as an
    AUC without positives, are left out.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    everything = np.arange(len(member))
    if not len(names):
        return Interval(float("nan"), float("nan"), float("nan"))
    order = np.argsort(member, kind="stable")
    sizes = np.bincount(member)
    starts = np.cumsum(sizes) - sizes
    values = np.empty(repeats)
    for repeat in range(repeats):
        drawn = rng.integers(len(names), size=len(names))
        values[repeat] = statistic(order[_runs(starts[drawn], sizes[drawn])])
    tail = (1 - level) / 2
    kept = values[~np.isnan(values)]
    low, high = np.quantile(kept, [tail, 1 - tail]) if len(kept) else (np.nan, np.nan)
    return Interval(float(statistic(everything)), float(low), float(high))


def paired_difference(
    first: NDArray,
    second: NDArray,
    groups: Sequence[str] | NDArray,
    rng: np.random.Generator,
    statistic: Callable[[NDArray], float] = np.mean,
    repeats: int = 1000,
) -> Interval:
    """Return ``statistic(first) - statistic(second)`` of two models on the same rows, groups resampled.

    ``first`` and ``second`` hold one value a row, such as whether the model was right there.
    """
    if len(first) != len(second):
        raise ValueError(f"paired models need the same rows: {len(first)} and {len(second)}")
    return group_bootstrap(groups, lambda rows: statistic(first[rows]) - statistic(second[rows]), rng, repeats)


def _runs(starts: NDArray, sizes: NDArray) -> NDArray[np.int64]:
    """Return start, start + 1, ... for each run, one after another."""
    offsets = np.cumsum(sizes) - sizes
    return np.repeat(starts - offsets, sizes) + np.arange(sizes.sum())


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
