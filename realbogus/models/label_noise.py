"""Label errors that are added on purpose, to see what a training makes of them.

Labels are 1 real, 0 bogus, -1 unlabelled; only labelled ones are flipped.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

NoiseKind = Literal["none", "uniform", "score-matched"]
UNLABELLED = -1
_REACH = 8.0  # logits; what lies beyond shares the outermost bin


@dataclass(frozen=True)
class NoisyLabels:
    """Labels with errors added.

    Attributes
    ----------
    labels : (n,) int32
    flipped : (n,) bool
    reached : float
        Share of the labelled that was flipped; below what was asked where bins ran out.
    """

    labels: NDArray[np.int32]
    flipped: NDArray[np.bool_]
    reached: float


def add_noise(
    labels: NDArray, kind: NoiseKind, share: float, rng: np.random.Generator, logits: NDArray | None = None
) -> NoisyLabels:
    """Flip a share of all labels.

    ``uniform`` picks any. ``score-matched`` adds errors where errors are: in each bin of the score a network gives
    (another architecture's, out of fold) the new wrong labels are in proportion to those that disagree with the score
    already, weighted by how sure it is; so k times as many errors look like the present ones (Takahashi et al. 2022,
    as the public code does it). k follows from the share; a bin that has no more to flip is emptied, no further.

    Parameters
    ----------
    labels : (n,) int
    kind : str
    share : float
        Of the labelled, 0 to 1.
    rng : Generator
    logits : (n,), for ``score-matched``
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    wanted = round(share * len(labelled))
    if kind == "none" or not wanted:
        chosen = labelled[:0]
    elif kind == "uniform":
        chosen = rng.choice(labelled, wanted, replace=False)
    elif logits is None:
        raise ValueError("score-matched noise needs scores")
    else:
        chosen = _matched(labels, np.asarray(logits, float), wanted, rng)
    noisy = np.asarray(labels, np.int32).copy()
    noisy[chosen] = 1 - noisy[chosen]
    flipped = np.zeros(len(labels), bool)
    flipped[chosen] = True
    return NoisyLabels(noisy, flipped, len(chosen) / max(len(labelled), 1))


def _matched(labels: NDArray, logits: NDArray, wanted: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return whom to flip: members of each bin whose label agrees with its score."""
    bins = np.clip(np.floor(logits), -_REACH, _REACH - 1)
    pools, weights = [], []
    for place in np.unique(bins):
        agreeing = 1 if place >= 0 else 0
        inside = bins == place
        pools.append(rng.permutation(np.flatnonzero(inside & (labels == agreeing))))
        against = inside & (labels == 1 - agreeing)
        weights.append(float(expit(np.abs(logits[against])).sum()))
    counts = _share_out(np.array(weights), np.array([len(pool) for pool in pools]), wanted)
    return np.concatenate([pool[:count] for pool, count in zip(pools, counts, strict=True)]).astype(np.int64)


def _share_out(weights: NDArray, room: NDArray, wanted: int) -> NDArray[np.int64]:
    """Return whole numbers in proportion to weights, none above its room, that sum to `wanted` where there is room."""
    counts = np.zeros(len(weights))
    open_bins = (weights > 0) & (room > 0)
    left = float(wanted)
    while left > 1e-9 and open_bins.any():
        step = left * weights * open_bins / (weights * open_bins).sum()
        counts = np.minimum(counts + step, room)
        left = wanted - counts.sum()
        open_bins &= counts < room
    whole = np.floor(counts + 1e-9).astype(np.int64)
    missing = min(wanted, round(float(counts.sum()))) - int(whole.sum())
    order = np.argsort(-(counts - whole), kind="stable")
    order = order[whole[order] < room[order]]
    whole[order[:missing]] += 1
    return whole
