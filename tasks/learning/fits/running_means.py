"""Running means of what a network predicts of its training samples, epoch by epoch."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax


def update_means(means: NDArray[np.float32], outputs: NDArray, decay: float) -> NDArray[np.float32]:
    """Return decay * means + (1 - decay) * softmax(outputs), (n, classes).

    With the outputs of the averaged weights they are the targets of early-learning regularisation (Liu et al. 2020,
    2007.00151), updated once an epoch.

    Parameters
    ----------
    means : (n, classes)
        Zeros before the first epoch.
    outputs : (n, classes)
        Logits.
    decay : float
        In [0, 1).
    """
    return np.asarray(decay * means + (1 - decay) * softmax(np.asarray(outputs, float), axis=1), np.float32)
