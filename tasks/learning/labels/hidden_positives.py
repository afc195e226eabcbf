"""Positive samples hidden among the others, of two classes 0 and 1 of which only label 0 can be wrong."""

import numpy as np
from numpy.typing import NDArray

from tasks.learning.labels.suspects import LEAST_IN_STRATUM, confident_joint, estimated_joint

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
