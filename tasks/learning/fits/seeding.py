"""Random weights by a seed, whatever other threads do."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make the layers that are created inside, and TensorFlow's and NumPy's global draws, depend on the seed alone.

    Keras draws the seed of each layer from Python's shared generator, of which the thread of Prefect's client takes
    numbers too, for the pings of its connections: one ping while a network is built, and its random start is another.
    Inside, Keras has a generator of its own, which gives the numbers of `keras.utils.set_random_seed`.
    """
    keras.utils.set_random_seed(seed)
    names = vars(sys.modules[keras.random.SeedGenerator.__module__])
    shared = names["python_random"]
    names["python_random"] = random.Random(seed)
    try:
        yield
    finally:
        names["python_random"] = shared
