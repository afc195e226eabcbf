"""The share of positives of an unlabelled sample, where it is the share alone that differs from the training sample.

By expectation and maximisation (Saerens, Latinne & Decaestecker 2002, Neural Comput. 14, 21).
"""

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 1000
_SETTLED = 1e-7


def move_share(probability: NDArray, share: float, to: float) -> NDArray:
    """Return probabilities (n,) that hold at one share of positives as they are at another.

    Parameters
    ----------
    probability : (n,)
        Calibrated, of the positive class.
    share, to : float
        Both between 0 and 1.
    """
    positive = probability * (to / share)
    return np.asarray(positive / (positive + (1 - probability) * ((1 - to) / (1 - share))))


def estimate_share(probability: NDArray, share: float) -> float:
    """Return the share of positives among samples of which `probability` (n,) holds at the share `share`.

    Without samples it is `share`.

    Raises
    ------
    ValueError
        `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}: the share of positives must be between 0 and 1, without its ends")
    if len(probability) == 0:
        return share
    estimate = share
    for _ in range(_ROUNDS):
        new = float(np.clip(move_share(probability, share, estimate).mean(), 1e-9, 1 - 1e-9))
        if abs(new - estimate) < _SETTLED:
            break
        estimate = new
    return new
