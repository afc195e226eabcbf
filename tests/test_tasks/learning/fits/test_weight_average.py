"""The average of weights: its formula, its warm-up, and the swap."""

import keras
import numpy as np
import pytest

from tasks.learning.fits.weight_average import WeightAverage


def test_the_average_is_exponential_after_a_warm_up_and_the_swap_is_exact() -> None:
    weight = keras.Variable(np.zeros(3, np.float32))
    average = WeightAverage([weight], 0.5)
    expected = np.zeros(3)
    for step in range(1, 21):
        weight.assign(np.arange(3.0) + step)
        average.on_train_batch_end(0)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (np.arange(3.0) + step)
    own = weight.numpy()
    with average.in_place():
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(weight.numpy(), own)
    np.testing.assert_allclose(average.variables[0].numpy(), expected, rtol=1e-5)
    assert int(average.variables[1]) == 20


def test_a_short_fit_is_not_an_average_of_its_start() -> None:
    weight = keras.Variable(np.float32(0.0))
    average = WeightAverage([weight], 0.999)
    for _ in range(100):
        weight.assign(np.float32(1.0))
        average.on_train_batch_end(0)
    assert float(average.variables[0]) > 0.9999


def test_an_error_in_place_still_gives_the_weights_back() -> None:
    weight = keras.Variable(np.float32(1.0))
    average = WeightAverage([weight], 0.9)
    weight.assign(np.float32(5.0))
    with pytest.raises(RuntimeError), average.in_place():
        raise RuntimeError
    assert float(weight) == 5
