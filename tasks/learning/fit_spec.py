"""What a problem brings to a fit: its network, the views it is fitted on, and by what it is fitted."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf


def classifier(network: keras.Model, seed: int) -> keras.Model:
    """Return what fits a network by cross-entropy: the network itself."""
    return network


@dataclass(frozen=True)
class FitSpec:
    """A problem's network, the views it is fitted on, and by what it is fitted.

    Attributes
    ----------
    build : callable
        Precision (a Keras dtype policy) to a functional model from views to logits (n, classes).
    random_view : callable
        Prepared images and a seed (2,) int32 to the views of one training step.
    plain_view : callable
        Prepared images to the views that validation is measured on.
    classes : int
    prepare : callable, optional
        Stored images (n, y, x, channel) to what views are made of, without chance; done once for all epochs where
        memory allows. None takes them as they are stored.
    trainer : callable
        Network and seed to the model whose ``train_step`` and ``test_step`` hold the losses; it adds no variables to
        the network's. Targets are (n, classes); the row of an unlabelled sample is all zeros.
    even_classes : bool
        Every training batch has its share of each class.
    """

    build: Callable[[str], keras.Model]
    random_view: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    plain_view: Callable[[tf.Tensor], tf.Tensor]
    classes: int
    prepare: Callable[[tf.Tensor], tf.Tensor] | None = None
    trainer: Callable[[keras.Model, int], keras.Model] = classifier
    even_classes: bool = False
