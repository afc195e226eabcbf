"""Label errors added on purpose, to measure their effect on training.

Labels are 1 real, 0 bogus, -1 unlabelled; unlabelled ones are never flipped.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

NoiseKind = Literal["none", "uniform", "score-matched"]
UNLABELLED = -1
_MOST_LOGIT = 8.0  # larger absolute logits are in the outermost bins


@dataclass(frozen=True)
class NoisyLabels:
    """Labels with errors added.

    Attributes
    ----------
    labels : (n,) int32
    flipped : (n,) bool
    reached : float
        Fraction of the labelled that was flipped; below the requested one if bins were exhausted.
    """

    labels: NDArray[np.int32]
    flipped: NDArray[np.bool_]
    reached: float


def add_noise(
    labels: NDArray, kind: NoiseKind, share: float, rng: np.random.Generator, logits: NDArray | None = None
) -> NoisyLabels:
    """Flip a fraction of the labels.

    ``uniform`` draws any of them. ``score-matched`` adds errors that resemble the existing ones (Takahashi et al. 2022,
    as in their public code): the number of new errors in each bin of a network's out-of-fold score is proportional to
    the labels that disagree with the score, weighted by the probability of the other class. Bins without enough labels
    that agree are exhausted.

    Parameters
    ----------
    labels : (n,) int
    kind : str
    share : float
        Fraction of the labelled, 0 to 1.
    rng : numpy.random.Generator
    logits : (n,), for ``score-matched``

    Raises
    ------
    ValueError
        ``score-matched`` without logits.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    requested = round(share * len(labelled))
    if kind == "none" or not requested:
        rows = labelled[:0]
    elif kind == "uniform":
        rows = rng.choice(labelled, requested, replace=False)
    elif logits is None:
        raise ValueError("score-matched noise needs scores")
    else:
        rows = _draw_matched(labels, np.asarray(logits, float), requested, rng)
    noisy = np.asarray(labels, np.int32).copy()
    noisy[rows] = 1 - noisy[rows]
    flipped = np.zeros(len(labels), bool)
    flipped[rows] = True
    return NoisyLabels(noisy, flipped, len(rows) / max(len(labelled), 1))


def _draw_matched(labels: NDArray, logits: NDArray, requested: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw the rows to flip, (m,), among those whose label agrees with their score; both arguments are (n,)."""
    bins = np.clip(np.floor(logits), -_MOST_LOGIT, _MOST_LOGIT - 1)
    pools, weights = [], []
    for number in np.unique(bins):
        predicted = 1 if number >= 0 else 0
        in_bin = bins == number
        pools.append(rng.permutation(np.flatnonzero(in_bin & (labels == predicted))))
        disagreeing = in_bin & (labels == 1 - predicted)
        weights.append(float(expit(np.abs(logits[disagreeing])).sum()))
    counts = apportion(np.array(weights), np.array([len(pool) for pool in pools]), requested)
    return np.concatenate([pool[:count] for pool, count in zip(pools, counts, strict=True)]).astype(np.int64)


def apportion(weights: NDArray, capacity: NDArray, total: int) -> NDArray[np.int64]:
    """Return whole numbers (n,) proportional to weights (n,), none above its capacity (n,).

    They sum to `total`, or to the capacity of the positive weights if that is less; the largest remainders are rounded
    up.
    """
    counts = np.zeros(len(weights))
    is_open = (weights > 0) & (capacity > 0)
    remainder = float(total)
    while remainder > 1e-9 and is_open.any():
        step = remainder * weights * is_open / (weights * is_open).sum()
        counts = np.minimum(counts + step, capacity)
        remainder = total - counts.sum()
        is_open &= counts < capacity
    whole = np.floor(counts + 1e-9).astype(np.int64)
    missing = min(total, round(float(counts.sum()))) - int(whole.sum())
    order = np.argsort(-(counts - whole), kind="stable")
    order = order[whole[order] < capacity[order]]
    whole[order[:missing]] += 1
    return whole
