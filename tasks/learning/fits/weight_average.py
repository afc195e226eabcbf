"""An exponential moving average of a network's weights (Polyak and Juditsky 1992).

Keras's own (``use_ema``) overwrites the weights after every call of ``fit``, which here is every epoch, starts from the
random weights with the full decay, and leaves out the statistics of batch normalisation.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import tensorflow as tf


class WeightAverage(keras.callbacks.Callback):
    """The average of weights over the steps of a fit; as a callback it takes in every step.

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that a short fit is not an average of its start. The
    statistics of batch normalisation are averaged as the weights are: those of averaged weights would take a pass over
    the training part.

    Parameters
    ----------
    weights : sequence of keras.Variable
        All weights of the network, fitted or not.
    decay : float
        In [0, 1).
    """

    def __init__(self, weights: Sequence[keras.Variable], decay: float) -> None:
        super().__init__()
        self._weights = [weight.value for weight in weights]
        self._averages = [tf.Variable(weight, trainable=False) for weight in self._weights]
        self._step = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._decay = decay
        self._take_in = tf.function(self._take_in_step, autograph=False)
        self._swap = tf.function(self._swap_all, autograph=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """The averages and the number of steps."""
        return [*self._averages, self._step]

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the averaged weights, and its own back afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Take in the weights after a step."""
        self._take_in()

    def _take_in_step(self) -> None:
        step = tf.cast(self._step.assign_add(1), tf.float32)
        decay = tf.minimum(self._decay, (1 + step) / (10 + step))
        for weight, average in zip(self._weights, self._averages, strict=True):
            average.assign_sub((1 - decay) * (average - weight))

    def _swap_all(self) -> None:
        for weight, average in zip(self._weights, self._averages, strict=True):
            value, averaged = tf.identity(weight), tf.identity(average)
            with tf.control_dependencies([value, averaged]):
                weight.assign(averaged)
                average.assign(value)
