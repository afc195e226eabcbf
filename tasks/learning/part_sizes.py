"""Smaller training parts, for curves of accuracy against the number of training samples."""

import numpy as np

from tasks.learning.split_parts import SplitPart
from tasks.store.sampling import hash_shares

VALIDATION_RATIO = 4
"""Training samples for each validation sample, at least: who has 100 labels has no 400 more to validate with."""


def shrink_parts(train: SplitPart, validation: SplitPart, size: int | None, seed: int) -> tuple[SplitPart, SplitPart]:
    """Return at most `size` training samples, and validation samples for that size; None: both parts as they are.

    See `take_groups`: a larger size holds the samples of the smaller ones.
    """
    if size is None:
        return train, validation
    return take_groups(train, size, seed), take_groups(validation, size // VALIDATION_RATIO, seed)


def take_groups(part: SplitPart, most: int, seed: int) -> SplitPart:
    """Return whole groups of at most `most` samples, in a random order; a larger number holds the smaller.

    The first group of every class comes first, and is taken whatever the number.

    Parameters
    ----------
    part : SplitPart
    most : int
    seed : int
        The order depends on it and on the groups' names alone.
    """
    names, group_of, sizes = np.unique(np.asarray(part.groups), return_inverse=True, return_counts=True)
    shares = hash_shares((f"size/{name}" for name in names.tolist()), seed)
    required = np.zeros(len(names), bool)
    for label in np.unique(part.labels):
        of_class = np.unique(group_of[part.labels == label])
        required[of_class[np.argmin(shares[of_class])]] = True
    order = np.lexsort((shares, ~required))
    count = max(int(required.sum()), int(np.searchsorted(np.cumsum(sizes[order]), most, side="right")))
    taken = np.zeros(len(names), bool)
    taken[order[:count]] = True
    return part.take(np.flatnonzero(taken[group_of]))
