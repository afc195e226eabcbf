"""What a fit learns of its samples: targets, weights, and how often each is drawn."""

import numpy as np
from numpy.typing import NDArray

from tasks.learning.split_parts import UNLABELLED


def sample_weights(targets: NDArray[np.float32], *, balanced: bool) -> NDArray[np.float32] | None:
    """Return the weight of every sample's targets in the loss; None where all have weight 1.

    Parameters
    ----------
    targets : (n, classes)
        Shares of the classes; a row that sums to less than 1 weighs less by itself, and a row of zeros, which is
        unlabelled, has weight 0.
    balanced : bool
        A class is weighted by the inverse of its share among all samples, so that classes weigh the same together; the
        mean weight of labelled samples is 1.

    Returns
    -------
    (n,) float32 or None
    """
    labelled = targets.sum(axis=1) > 0
    if balanced:
        counts = targets.sum(axis=0, dtype=np.float64)
        present = counts > 0
        of_class = np.divide(counts.sum() / present.sum(), counts, out=np.zeros_like(counts), where=present)
        sums = targets.sum(axis=1, dtype=np.float64)
        return np.divide(targets @ of_class, sums, out=np.zeros(len(targets)), where=labelled).astype(np.float32)
    return None if labelled.all() else labelled.astype(np.float32)


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
