"""Running means of predictions."""

import numpy as np

from tasks.learning.fits.running_means import update_means


def test_means_move_towards_the_probabilities_by_what_the_decay_leaves() -> None:
    outputs = np.array([[0.0, np.log(3)], [0.0, 0.0]])
    once = update_means(np.zeros((2, 2), np.float32), outputs, 0.7)
    np.testing.assert_allclose(once, [[0.3 * 0.25, 0.3 * 0.75], [0.15, 0.15]], rtol=1e-6)
    np.testing.assert_allclose(update_means(once, outputs, 0.0), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-6)
    assert once.dtype == np.float32
