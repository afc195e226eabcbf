"""Epochs that have another subset of a class each, of equal size: a pool of samples larger than an epoch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHUFFLING = 2  # a stream of random numbers apart from those of the order and of balanced draws


@dataclass(frozen=True)
class FreshSubset:
    """The share of a class that an epoch has.

    The class is shuffled and dealt out, one subset an epoch, and shuffled again when less than a subset is left. So
    epochs that follow a shuffle have no sample of the class in common, and every epoch has the same number of samples.

    Attributes
    ----------
    label : int
        The class; other samples, the unlabelled among them, are in every epoch.
    share : float
        Above 0, up to 1.
    """

    label: int
    share: float

    def positions(self, labels: NDArray[np.int32], seed: int, epoch: int) -> NDArray[np.int64]:
        """Return the positions (m,) of an epoch's samples in `labels` (n,), ascending.

        Parameters
        ----------
        labels : (n,) int
        seed : int
        epoch : int
            From 1. Seed and epoch alone decide the subset, so that a resumed fit draws the same one.
        """
        of_class = np.flatnonzero(labels == self.label)
        count = self._count(len(of_class))
        shuffle, place = divmod(epoch - 1, len(of_class) // count if count else 1)
        shuffled = np.random.default_rng([seed, shuffle, _SHUFFLING]).permutation(of_class)
        drawn = shuffled[place * count : (place + 1) * count]
        return np.sort(np.concatenate([np.flatnonzero(labels != self.label), drawn]))

    def size(self, labels: NDArray[np.int32]) -> int:
        """Return the number of samples of every epoch."""
        of_class = int((labels == self.label).sum())
        return len(labels) - of_class + self._count(of_class)

    def _count(self, of_class: int) -> int:
        """Return how many of a class an epoch has: at least one where there is one."""
        return min(of_class, max(1, round(self.share * of_class)))
