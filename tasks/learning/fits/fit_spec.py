"""What is fitted: a problem's network with its augmented views, the model that holds the losses, and the samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import tensorflow as tf
import zarr

from tasks.learning.fits.fresh_subsets import FreshSubset
from tasks.learning.split_parts import SplitPart


def classifier(network: keras.Model, seed: int) -> keras.Model:
    """Return the network itself, which is trained by cross-entropy."""
    return network


@dataclass(frozen=True)
class FitSpec:
    """A problem's network, its augmented views, and the model that holds the losses.

    Attributes
    ----------
    build : callable
        Precision (a Keras dtype policy) to a functional model from views to logits (n, classes).
    random_view : callable
        Prepared images and a seed (2,) int32 to the augmented views of one training step.
    plain_view : callable
        Prepared images to the views used for validation.
    classes : int
    prepare : callable, optional
        Deterministic preprocessing of stored images (n, y, x, channel); the result is kept for all epochs where memory
        allows. None: views are made from the stored images.
    trainer : callable
        Network and seed to the model whose ``train_step`` and ``test_step`` compute the losses; it adds no variables
        to the network's. Targets are (n, classes); the row of an unlabelled sample is all zeros.
    even_classes : bool
        Every training batch has the same fraction of each class.
    view_targets : callable, optional
        Targets (n, classes) and the seed of `random_view` to the targets of its views. None: those of the images.
    depths : callable, optional
        Network to the depth below its head, in blocks, of each of its layers by name: 0 of the head. Settings with
        ``layer_decay`` or ``head_epochs`` need it.
    mean_decay : float, optional
        Decay per epoch of the running means of each training sample's predicted probabilities, which the trainer's
        ``train_step`` gets after views and targets, (n, classes); None: there are none. It needs a trainer of its own.
    fresh : FreshSubset, optional
        The class of the training part of which every epoch has another subset; None: epochs have all samples.
    """

    build: Callable[[str], keras.Model]
    random_view: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    plain_view: Callable[[tf.Tensor], tf.Tensor]
    classes: int
    prepare: Callable[[tf.Tensor], tf.Tensor] | None = None
    trainer: Callable[[keras.Model, int], keras.Model] = classifier
    even_classes: bool = False
    view_targets: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None
    depths: Callable[[keras.Model], Mapping[str, int]] | None = None
    mean_decay: float | None = None
    fresh: FreshSubset | None = None


@dataclass(frozen=True)
class FitData:
    """The samples of a fit.

    Attributes
    ----------
    pixels : zarr.Array, (sample, y, x, channel)
    train, validation : SplitPart
        Sorted by row; a label of -1 is none. Soft targets are of the training part alone.
    """

    pixels: zarr.Array
    train: SplitPart
    validation: SplitPart

    def __len__(self) -> int:
        return len(self.train) + len(self.validation)
