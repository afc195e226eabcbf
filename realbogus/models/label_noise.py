"""Label errors added on purpose, to measure their effect on training.

Labels are 1 real, 0 bogus, -1 unlabelled; unlabelled ones are never flipped. `add_noise` flips labels of both classes;
`hide_reals` makes the errors of a survey whose reals are injections: only bogus can be wrong.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

FlippedNoise = Literal["none", "uniform", "score-matched", "score-matched-bounded"]
NoiseKind = Literal[FlippedNoise, "one-sided"]
UNLABELLED = -1
MOST_OF_BIN = 0.45
"""Largest fraction of a bin's labels that ``score-matched-bounded`` flips.

Where more than half of the labels are wrong, the most probable label is the wrong one, and neither labels nor pixels
can show it.
"""
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
    largest_bin_rate : float
        Largest fraction of a bin's labels that was flipped; NaN where no scores place the noise.
    """

    labels: NDArray[np.int32]
    flipped: NDArray[np.bool_]
    reached: float
    largest_bin_rate: float


def add_noise(
    labels: NDArray, kind: FlippedNoise, share: float, rng: np.random.Generator, logits: NDArray | None = None
) -> NoisyLabels:
    """Flip a fraction of the labels.

    ``uniform`` draws any of them. ``score-matched`` adds errors that resemble the existing ones (Takahashi et al. 2022,
    as in their public code): the number of new errors in each bin of a network's out-of-fold score is proportional to
    the labels that disagree with the score, weighted by the probability of the other class. Bins without enough labels
    that agree are exhausted. ``score-matched-bounded`` flips at most `MOST_OF_BIN` of a bin.

    Parameters
    ----------
    labels : (n,) int
    kind : str
    share : float
        Fraction of the labelled, 0 to 1.
    rng : numpy.random.Generator
    logits : (n,), for ``score-matched`` and ``score-matched-bounded``

    Raises
    ------
    ValueError
        Score-matched noise without logits.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    requested = round(share * len(labelled))
    bins = None
    if kind == "none" or not requested:
        rows = labelled[:0]
    elif kind == "uniform":
        rows = rng.choice(labelled, requested, replace=False)
    elif logits is None:
        raise ValueError("score-matched noise needs scores")
    else:
        scores = np.asarray(logits, float)
        bins = np.clip(np.floor(scores), -_MOST_LOGIT, _MOST_LOGIT - 1)
        most = MOST_OF_BIN if kind == "score-matched-bounded" else 1.0
        rows = _draw_matched(labels, scores, bins, requested, most, rng)
    noisy = np.asarray(labels, np.int32).copy()
    noisy[rows] = 1 - noisy[rows]
    flipped = np.zeros(len(labels), bool)
    flipped[rows] = True
    largest = np.nan if bins is None else _largest_rate(flipped[labelled], bins[labelled])
    return NoisyLabels(noisy, flipped, len(rows) / max(len(labelled), 1), largest)


def _draw_matched(
    labels: NDArray, logits: NDArray, bins: NDArray, requested: int, most: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw the rows to flip, (m,), among those whose label agrees with their score; all arrays are (n,).

    At most a fraction `most` of a bin's labels is drawn.
    """
    pools, weights, capacities = [], [], []
    for number in np.unique(bins):
        predicted = 1 if number >= 0 else 0
        in_bin = bins == number
        pools.append(rng.permutation(np.flatnonzero(in_bin & (labels == predicted))))
        disagreeing = in_bin & (labels == 1 - predicted)
        weights.append(float(expit(np.abs(logits[disagreeing])).sum()))
        capacities.append(min(len(pools[-1]), int(most * (len(pools[-1]) + disagreeing.sum()))))
    counts = apportion(np.array(weights), np.array(capacities), requested)
    return np.concatenate([pool[:count] for pool, count in zip(pools, counts, strict=True)]).astype(np.int64)


def _largest_rate(flipped: NDArray[np.bool_], bins: NDArray) -> float:
    """Return the largest fraction of flipped ones of a bin; both arguments are (n,)."""
    return max(float(flipped[bins == number].mean()) for number in np.unique(bins))


@dataclass(frozen=True)
class HiddenReals:
    """Labels of which only bogus can be wrong.

    Attributes
    ----------
    labels : (n,) int32
        Those of hidden reals are bogus.
    kept : (n,) bool
        All but the hidden reals that are left out.
    reached : float
        Fraction of the kept bogus labels that hide a real.
    """

    labels: NDArray[np.int32]
    kept: NDArray[np.bool_]
    reached: float


def hide_reals(labels: NDArray, is_hidden: NDArray[np.bool_], share: float, rng: np.random.Generator) -> HiddenReals:
    """Keep as many hidden reals, labelled bogus, as make up a fraction of the bogus labels; leave the others out.

    Hidden reals are detections of what is truly real and was not injected. Those of a smaller fraction are among those
    of a larger one, and all other labels are the same at every fraction.

    Parameters
    ----------
    labels : (n,) int
    is_hidden : (n,) bool
        Unlabelled ones are not used.
    share : float
        Fraction of the bogus labels, in [0, 1).
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        There are fewer hidden reals than the fraction takes; the message has both numbers.
    """
    hidden = rng.permutation(np.flatnonzero(is_hidden & (labels != UNLABELLED)))
    bogus = int(((labels == 0) & ~is_hidden).sum())
    count = round(share / (1 - share) * bogus)
    if count > len(hidden):
        raise ValueError(
            f"one-sided noise of {share:.0%} beside {bogus} true bogus takes {count} hidden reals, and there are "
            f"{len(hidden)}: build the dataset with more scene_transients"
        )
    noisy = np.asarray(labels, np.int32).copy()
    noisy[hidden[:count]] = 0
    kept = np.ones(len(labels), bool)
    kept[hidden[count:]] = False
    return HiddenReals(noisy, kept, count / max(count + bogus, 1))


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
