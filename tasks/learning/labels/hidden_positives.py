"""Positive samples hidden among the others, of two classes 0 and 1 of which only label 0 can be wrong."""

import numpy as np
from numpy.typing import NDArray

from tasks.learning.labels.suspects import LEAST_IN_STRATUM, confident_joint, estimated_joint

_CONFIDENCE = 0.1
_SLACK = 0.01
"""Delta and gamma of the best bin, as published."""
POOLED = ""
"""The stratum of all samples whose own has too few of a label."""


def pool_strata(strata: NDArray, labels: NDArray, least: int = LEAST_IN_STRATUM) -> NDArray[np.str_]:
    """Return the strata (n,) with those joined into `POOLED` that have fewer than `least` of either label."""
    pooled = np.asarray(strata, object).copy()
    for stratum in np.unique(strata):
        in_stratum = strata == stratum
        if min((labels[in_stratum] == label).sum() for label in (0, 1)) < least:
            pooled[in_stratum] = POOLED
    return np.array(pooled, str)


def hidden_shares(probabilities: NDArray, labels: NDArray, strata: NDArray) -> NDArray[np.float64]:
    """Return the estimated share of the labels 0 of a sample's stratum that are truly 1, (n,).

    The estimated joint of confident learning (Northcutt et al. 2021, 1911.00068), stratum by stratum.

    Parameters
    ----------
    probabilities : (n, 2)
        Out of fold.
    labels : (n,) int
    strata : (n,)
    """
    shares = np.zeros(len(labels))
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        joint = estimated_joint(confident_joint(probabilities[rows], labels[rows]), labels[rows])
        shares[rows] = joint[0, 1] / joint[0].sum() if joint[0].sum() else 0.0
    return shares


def best_bin_share(positive: NDArray, other: NDArray) -> float:
    """Return the estimated share of positives among other samples, from scores of known positives (p,) and them (n,).

    Above a threshold lie a share of the others and a share of the positives; where no true negative lies above it, the
    ratio of the two is the share of hidden positives. The threshold is that with the least upper confidence bound of
    the ratio: best bin estimation (Garg et al. 2021, 2111.00980, algorithm 1). It holds if hidden positives are scored
    as the known ones are; without positives or others it is 0.
    """
    positive, other = np.sort(np.asarray(positive, float)), np.sort(np.asarray(other, float))
    if not len(positive) or not len(other):
        return 0.0
    of_positive, of_other = (
        (len(scores) - np.searchsorted(scores, positive, side="left")) / len(scores) for scores in (positive, other)
    )
    spread = sum(np.sqrt(np.log(4 / _CONFIDENCE) / (2 * len(scores))) for scores in (positive, other))
    bound = (of_other + (1 + _SLACK) * spread) / of_positive
    best = int(np.argmin(bound))
    return float(min(1.0, of_other[best] / of_positive[best]))


def suggest_hidden(scores: NDArray, labels: NDArray) -> NDArray[np.int32]:
    """Return the labels (n,) with those of the highest scores among the labels 0 replaced by 1.

    They are as many as `best_bin_share` estimates to be hidden positives.

    Parameters
    ----------
    scores : (n,) float
        Of being 1, out of fold.
    labels : (n,) int
    """
    suggested = np.array(labels, np.int32)
    others = np.flatnonzero(suggested == 0)
    share = best_bin_share(scores[suggested == 1], scores[others])
    ranked = others[np.argsort(-scores[others], kind="stable")]
    suggested[ranked[: round(share * len(others))]] = 1
    return suggested


def positive_targets(labels: NDArray, shares: NDArray, strata: NDArray) -> NDArray[np.float32]:
    """Return targets (n, 2) of non-negative learning from positive and unlabelled samples.

    A label 1 has (0, 1 + v), where v is the number of hidden positives of its stratum over that of its labels 1: with
    strata the prior of the positives may differ, though one risk is summed. A label 0 has (1, 0), no label zeros.

    Parameters
    ----------
    labels : (n,) int
    shares : (n,)
        The share of hidden positives among the labels 0 of the sample's stratum.
    strata : (n,)
        Hidden positives of a stratum without a label 1 are counted nowhere.
    """
    targets = (np.asarray(labels)[:, None] == np.arange(2)).astype(np.float32)
    for stratum in np.unique(strata):
        positive, other = ((strata == stratum) & (labels == label) for label in (1, 0))
        if positive.any():
            targets[positive, 1] += shares[other].sum() / positive.sum()
    return targets
