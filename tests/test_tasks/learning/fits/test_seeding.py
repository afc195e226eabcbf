"""Seeds: the same weights and the same dropped nodes, also while another thread draws random numbers."""

import random
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.learning.fits.seeding import seeded


def drawn(disturb: Callable[[], Any]) -> list[NDArray]:
    """The weights of a network, and what its dropout leaves; `disturb` is called between two layers."""
    with seeded(7):
        images = keras.Input((4,))
        hidden = keras.layers.Dense(3)(images)
        disturb()
        network = keras.Model(images, keras.layers.Dropout(0.5)(keras.layers.Dense(50)(hidden)))
        return [*network.get_weights(), np.asarray(network(np.ones((1, 4)), training=True))]


@pytest.mark.parametrize("disturb", [random.random, lambda: random.seed(1)])
def test_draws_of_others_change_no_weight(disturb: Callable[[], Any]) -> None:
    for found, wanted in zip(drawn(disturb), drawn(lambda: None), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_seed_gives_what_keras_s_own_gives_and_the_shared_generator_comes_back() -> None:
    keras.utils.set_random_seed(7)
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    np.testing.assert_array_equal(drawn(lambda: None)[0], layer.get_weights()[0])
    random.seed(1)
    first = keras.layers.Dense(3).kernel_initializer.seed
    random.seed(1)
    assert keras.layers.Dense(3).kernel_initializer.seed == first
