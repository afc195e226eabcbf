"""Running a saved model as fast as a processor can, with the answers that Keras gives.

What comes before the network (filling, normalising) is many passes over the same numbers, which XLA makes into one;
convolutions are faster outside of XLA. ONNX Runtime was slower than both on stamps (a third of XLA's rate for the cheap
network, as its graph keeps the passes apart).
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

NETWORK = "network"
SMALL_MULTIPLY_ADDS = 1_000_000
"""A network of fewer is compiled whole: its convolutions are not what takes the time."""


def fast_model(model: keras.Model, block: int, multiply_adds: int) -> Callable[[NDArray], NDArray]:
    """Return a function from (n, h, w, c) to the model's outputs (n, k), n at most `block`.

    Blocks are filled up to one size, so that the model is compiled once.

    Parameters
    ----------
    model : keras.Model
        If it has a layer called ``network`` and is large, what comes before is compiled apart.
    block : int
    multiply_adds : int
        Of one sample.
    """
    run = _whole(model) if multiply_adds < SMALL_MULTIPLY_ADDS else _in_two(model)

    def outputs(samples: NDArray) -> NDArray:
        count = len(samples)
        if count < block:
            samples = np.concatenate([samples, np.repeat(samples[-1:], block - count, axis=0)])
        return np.asarray(run(tf.convert_to_tensor(samples)), np.float32)[:count]

    return outputs


def _whole(model: keras.Model) -> Callable[[tf.Tensor], Any]:
    @tf.function(jit_compile=True, autograph=False)
    def run(samples: tf.Tensor) -> tf.Tensor:
        return model(samples, training=False)

    return run


def _in_two(model: keras.Model) -> Callable[[tf.Tensor], Any]:
    names = [layer.name for layer in model.layers]
    if NETWORK not in names or names[-1] != NETWORK:

        @tf.function(autograph=False)
        def plain(samples: tf.Tensor) -> tf.Tensor:
            return model(samples, training=False)

        return plain
    network = model.get_layer(NETWORK)
    before = keras.Model(model.inputs[0], model.layers[-2].output)

    @tf.function(jit_compile=True, autograph=False)
    def prepare(samples: tf.Tensor) -> tf.Tensor:
        return before(samples, training=False)

    @tf.function(autograph=False)
    def judge(views: tf.Tensor) -> tf.Tensor:
        return network(views, training=False)

    return lambda samples: judge(prepare(samples))
