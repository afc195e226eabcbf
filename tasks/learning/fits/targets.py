"""What a fit learns of its samples: targets, weights, and how often each is drawn."""

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import UNLABELLED


def scaled_targets(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return targets (n, classes) whose rows sum to 1; a row of zeros, which is unlabelled, stays.

    Of other rows TensorFlow's cross-entropy has a wrong gradient: softmax minus targets, whatever their sum.
    """
    sums = targets.sum(axis=1, keepdims=True)
    return np.divide(targets, sums, out=np.zeros_like(targets), where=sums > 0)


def sample_weights(targets: NDArray[np.float32], *, balanced: bool) -> NDArray[np.float32] | None:
    """Return the weight in the loss of every sample, whose targets are `scaled_targets`; None where all have weight 1.

    Parameters
    ----------
    targets : (n, classes)
        Shares of the classes; the sum of a row is the sample's weight, 0 of an unlabelled one.
    balanced : bool
        A class is weighted by the inverse of its share among all samples, so that classes weigh the same together; the
        mean weight is the mean sum of a row.

    Returns
    -------
    (n,) float32 or None
    """
    if balanced:
        counts = targets.sum(axis=0, dtype=np.float64)
        present = counts > 0
        of_class = np.divide(counts.sum() / present.sum(), counts, out=np.zeros_like(counts), where=present)
        return np.asarray(targets @ of_class, np.float32)
    sums = targets.sum(axis=1)
    return None if np.allclose(sums, 1, atol=1e-5) else sums


def draw_evenly(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return positions (n,) in `labels` (n,) that have every class equally often, within one.

    Samples of a class are repeated equally often, within one. Unlabelled samples are there once.
    """
    unlabelled = np.flatnonzero(labels == UNLABELLED)
    classes = np.unique(labels[labels != UNLABELLED])
    drawn = [unlabelled]
    wanted = np.array_split(np.arange(len(labels) - len(unlabelled)), max(1, len(classes)))
    for label, share in zip(classes, wanted, strict=len(classes) > 0):
        of_class = np.flatnonzero(labels == label)
        times, rest = divmod(len(share), len(of_class))
        drawn += [np.tile(of_class, times), rng.choice(of_class, rest, replace=False)]
    return np.sort(np.concatenate(drawn))
