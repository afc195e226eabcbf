"""Questions to a set of candidates, answered by a number with its interval and held against a limit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier

ERRORS = 3.0
"""Standard errors to which a limit is widened where the sample is too small to resolve it."""
_TREES, _LEAF = 100, 3
_MOST_OF_ALL = 60  # numbers up to which a tree's node looks at almost half of them
_REPEATS = 200
_Z_95 = 1.96


@dataclass(frozen=True)
class Check:
    """The answer to one question.

    Attributes
    ----------
    name, question : str
    figure, low, high : float
        The value and its 95 % interval; NaN where there is none.
    least, most : float or None
        What the figure must lie between; both None where it is reported only.
    count : int
        Rows that decided it.
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
        """Whether the figure is within its limits; None where it has none."""
        if self.least is None and self.most is None:
            return None
        least = -np.inf if self.least is None else self.least
        most = np.inf if self.most is None else self.most
        return bool(least <= self.figure <= most)


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Standard error that the interval stands for."""
        return (self.high - self.low) / (2 * _Z_95)

    def widened(self, error: float, value: float | None = None) -> "Estimate":
        """Return the interval of another standard error, and about another value where one is given."""
        middle = self.value if value is None else value
        return Estimate(middle, middle - _Z_95 * error, middle + _Z_95 * error)


def check_near(
    name: str, question: str, measured: Estimate, ideal: float, tolerance: float, count: int, remark: str = ""
) -> Check:
    """Ask that a value is its ideal within a tolerance, or within three standard errors where these are larger."""
    allowed = max(tolerance, ERRORS * measured.error)
    if allowed > tolerance:
        remark = f"{remark} the sample resolves {allowed:.2g}, not {tolerance:g}".strip()
    return Check(
        name,
        question,
        measured.value,
        measured.low,
        measured.high,
        ideal - allowed,
        ideal + allowed,
        count,
        remark,
    )


def check_chance(name: str, question: str, chance: float, least: float, count: int, remark: str = "") -> Check:
    """Ask that two samples could be of one law: the chance of a difference as large as theirs."""
    return Check(name, question, float(chance), np.nan, np.nan, least, None, count, remark)


def area_under_curve(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the chance that a row labelled true scores higher than one labelled false; NaN without both."""
    labels = np.asarray(labels, bool)
    wins, losses = int(labels.sum()), int((~labels).sum())
    if not wins or not losses:
        return float("nan")
    return float((rankdata(scores)[labels].sum() - wins * (wins + 1) / 2) / (wins * losses))


def false_rate(scores: np.ndarray, labels: np.ndarray, true_rate: float = 0.9) -> float:
    """Return the share of rows labelled false above the score that keeps a share of those labelled true."""
    labels = np.asarray(labels, bool)
    if labels.all() or not labels.any():
        return float("nan")
    return float(np.mean(scores[~labels] >= np.quantile(scores[labels], 1 - true_rate)))


def measure_by_group(
    measure: Callable[[np.ndarray], float], groups: np.ndarray, rng: np.random.Generator, repeats: int = _REPEATS
) -> Estimate:
    """Measure rows, with an interval from drawing whole groups again with replacement.

    Parameters
    ----------
    measure : callable
        Takes row numbers, some of them more than once, and returns a figure.
    groups : ndarray, (n,)
    rng : Generator
    repeats : int
    """
    _, which = np.unique(groups, return_inverse=True)
    order = np.argsort(which, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(which))[:-1])
    drawn = [
        measure(np.concatenate([members[group] for group in rng.integers(0, len(members), len(members))]))
        for _ in range(repeats)
    ]
    known = [value for value in drawn if np.isfinite(value)]
    value = float(measure(np.arange(len(groups))))
    if not known:
        return Estimate(value, float("nan"), float("nan"))
    return Estimate(value, value, value).widened(float(np.std(known)))


def score_by_forest(numbers: np.ndarray, labels: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Return each row's chance to be labelled true, (n,), from a random forest that has not seen its fold.

    Parameters
    ----------
    numbers : ndarray, (n, columns)
        NaN where a value is missing.
    labels : ndarray of bool, (n,)
    fold : ndarray of int, (n,)
    seed : int

    Raises
    ------
    ValueError
        Outside of a fold all rows have one label.
    """
    known = np.nan_to_num(np.asarray(numbers, np.float32), nan=-1e6, posinf=1e6, neginf=-1e6)
    share: float | str = 0.4 if known.shape[1] <= _MOST_OF_ALL else "sqrt"
    scores = np.full(len(labels), np.nan)
    for number in np.unique(fold):
        judged = fold == number
        if len(np.unique(labels[~judged])) < 2:
            raise ValueError(f"all sources outside of fold {number} are of one kind: ask for more sky cells")
        forest = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, max_features=share, random_state=seed)
        scores[judged] = forest.fit(known[~judged], labels[~judged]).predict_proba(known[judged])[:, 1]
    return scores
