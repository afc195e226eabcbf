"""Suspect labels by two views: two kinds of model, on different inputs, must both object to a label.

Errors of a network repeat in another network on the same pixels; a model of a few scalars errs elsewhere.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.learning.labels.suspects import SUSPECT_THRESHOLD
from tasks.learning.split_parts import UNLABELLED

_LEAST_PROBABILITY = 1e-6


def combine_views(one: NDArray, other: NDArray) -> NDArray[np.float64]:
    """Return the normalised product of the views' probabilities, (n, classes): log odds add up.

    Probabilities below 1e-6 count as 1e-6, so that a forest whose trees agree does not decide alone.
    """
    product = np.maximum(one, _LEAST_PROBABILITY) * np.maximum(other, _LEAST_PROBABILITY)
    return np.asarray(product / product.sum(axis=1, keepdims=True))


def suggest_by_two_views(
    one: NDArray, other: NDArray, labels: NDArray, threshold: float = SUSPECT_THRESHOLD
) -> NDArray[np.int32]:
    """Return the class that both views hold for right, (n,) int32: another one than the label where it is suspect.

    A label is suspect where the same other class is the most probable of each view, and has more than `threshold` in
    their product. An unlabelled sample is never suspect.

    Parameters
    ----------
    one, other : (n, classes)
        Probabilities of each view, out of fold.
    labels : (n,) int
    threshold : float
    """
    labels = np.asarray(labels, np.int32)
    both, favourite = combine_views(one, other), np.argmax(one, axis=1)
    agree = (favourite == np.argmax(other, axis=1)) & (favourite != labels) & (labels != UNLABELLED)
    suspect = agree & (both[np.arange(len(labels)), favourite] > threshold)
    return np.where(suspect, favourite, labels).astype(np.int32)
