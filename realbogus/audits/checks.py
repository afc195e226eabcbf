"""Checks: a figure measured on candidates, with its 95 % interval, compared with limits."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier

ERRORS = 3.0
"""A tolerance is widened to this number of standard errors if the sample is too small to resolve it."""
_TREES, _LEAF = 100, 3
_FEW_COLUMNS = 60  # up to this number of columns a split considers 40 % of them, beyond it their square root
_REPEATS = 200
_Z_95 = 1.96


@dataclass(frozen=True)
class Question:
    """The name and text of a check, and a remark about its answer."""

    name: str
    text: str
    remark: str = ""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes
    ----------
    name, question : str
    figure, low, high : float
        The value and its 95 % interval; NaN without one.
    least, most : float or None
        Limits of the figure, inclusive; both None if it is only reported.
    count : int
        Number of rows behind the figure.
    remark : str
    """

    name: str
    question: str
    figure: float
    low: float
    high: float
    least: float | None
    most: float | None
    count: int
    remark: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the figure is within its limits; None without limits."""
        if self.least is None and self.most is None:
            return None
        least = -np.inf if self.least is None else self.least
        most = np.inf if self.most is None else self.most
        return bool(least <= self.figure <= most)


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval, NaN without one."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Standard error of a normal distribution with this interval."""
        return (self.high - self.low) / (2 * _Z_95)


def estimate_with_error(value: float, error: float) -> Estimate:
    """Return a value with the 95 % interval of a standard error."""
    return Estimate(value, value - _Z_95 * error, value + _Z_95 * error)


def check_near(question: Question, estimate: Estimate, ideal: float, tolerance: float, count: int) -> Check:
    """Check that an estimate is within a tolerance of its ideal, or within three standard errors if these are larger.

    The remark of a widened check says what the sample resolves.
    """
    allowed = max(tolerance, ERRORS * estimate.error)
    if allowed > tolerance:
        remark = f"{question.remark} the sample resolves {allowed:.2g}, not {tolerance:g}".strip()
        question = replace(question, remark=remark)
    return check_within(question, estimate, ideal - allowed, ideal + allowed, count)


def check_within(question: Question, estimate: Estimate, least: float | None, most: float | None, count: int) -> Check:
    """Check that an estimate is between two limits; None is no limit."""
    interval = estimate.value, estimate.low, estimate.high
    return Check(question.name, question.text, *interval, least, most, count, question.remark)


def check_p_value(question: Question, p_value: float, least: float, count: int) -> Check:
    """Check that the p-value of equal distributions is at least a limit."""
    return check_within(question, Estimate(float(p_value), np.nan, np.nan), least, None, count)


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the area under the ROC curve of scores (n,) for labels (n,) bool; NaN without both classes.

    Computed from the Mann-Whitney statistic: scikit-learn's refuses rows of one class, which a bootstrap sample can be.
    """
    labels = np.asarray(labels, bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    rank_sum = rankdata(scores)[labels].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def false_positive_rate(scores: np.ndarray, labels: np.ndarray, true_positive_rate: float = 0.9) -> float:
    """Return the false positive rate of scores (n,) at a true positive rate; labels (n,) bool, NaN without both."""
    labels = np.asarray(labels, bool)
    if labels.all() or not labels.any():
        return float("nan")
    return float(np.mean(scores[~labels] >= np.quantile(scores[labels], 1 - true_positive_rate)))


def estimate_by_group(
    measure: Callable[[np.ndarray], float], groups: np.ndarray, rng: np.random.Generator, repeats: int = _REPEATS
) -> Estimate:
    """Estimate a figure with an interval from a bootstrap over groups.

    Parameters
    ----------
    measure : callable
        Figure of the rows with given numbers (m,), which may repeat; NaN if they have none.
    groups : (n,)
        Rows of one group are resampled together.
    rng : numpy.random.Generator
    repeats : int
        Number of bootstrap samples.

    Returns
    -------
    Estimate
        The interval is NaN if no bootstrap sample has a figure.
    """
    _, group_of_row = np.unique(groups, return_inverse=True)
    order = np.argsort(group_of_row, kind="stable")
    rows_of_group = np.split(order, np.cumsum(np.bincount(group_of_row))[:-1])
    count = len(rows_of_group)
    resampled = [
        measure(np.concatenate([rows_of_group[group] for group in rng.integers(0, count, count)]))
        for _ in range(repeats)
    ]
    finite = [value for value in resampled if np.isfinite(value)]
    value = float(measure(np.arange(len(groups))))
    if not finite:
        return Estimate(value, float("nan"), float("nan"))
    return estimate_with_error(value, float(np.std(finite)))


def score_by_forest(numbers: np.ndarray, labels: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return out-of-fold probabilities of the positive label, (n,), by random forests fitted on the other folds.

    Parameters
    ----------
    numbers : (n, columns)
        NaN if a value is missing.
    labels : (n,) bool
    fold : (n,) int
    seed : int

    Raises
    ------
    ValueError
        All rows outside a fold have the same label.
    """
    features = np.nan_to_num(np.asarray(numbers, np.float32), nan=-1e6, posinf=1e6, neginf=-1e6)
    max_features: float | str = 0.4 if features.shape[1] <= _FEW_COLUMNS else "sqrt"
    scores = np.full(len(labels), np.nan)
    for number in np.unique(fold):
        held_out = fold == number
        if len(np.unique(labels[~held_out])) < 2:
            raise ValueError(f"all sources outside fold {number} are of one kind: ask for more sky cells")
        forest = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, max_features=max_features, random_state=seed)
        scores[held_out] = forest.fit(features[~held_out], labels[~held_out]).predict_proba(features[held_out])[:, 1]
    return scores
