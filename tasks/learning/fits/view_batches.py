"""Batches of views and targets for a fit, epoch after epoch.

If both parts fit into `HELD_BYTES`, their images are kept in memory, preprocessed where the spec does that; otherwise
images are read and preprocessed again in every epoch. The batches are the same.
"""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tasks.learning.fits.batches import PREFETCHED, Reading, held_batches, image_batches
from tasks.learning.fits.fit_settings import FitSettings
from tasks.learning.fits.fit_spec import FitData, FitSpec, classifier
from tasks.learning.fits.targets import draw_evenly, sample_weights, scaled_targets
from tasks.learning.split_parts import SplitPart

HELD_BYTES = 512 * 2**20
"""Largest size of the images kept in memory; gathering them takes twice as much."""
_GATHERED = 1024
_DRAWING = 1  # a stream of random numbers apart from that of the order


class Feed:
    """The batches of a fit.

    Views are traced once: tracing them in every epoch would take a third of a short epoch.

    Parameters
    ----------
    spec : FitSpec
    data : FitData
    settings : FitSettings
        The batch size (validation takes twice as many), the balance of the classes and the label smoothing.
    seed : int
        Seed of the order and the views of training.
    held_bytes : int
        Largest size of the images kept in memory.

    Attributes
    ----------
    validation : tf.data.Dataset
        The batches of the validation part: views and its labels as targets (n, classes), unweighted.
    """

    def __init__(
        self,
        spec: FitSpec,
        data: FitData,
        settings: FitSettings,
        seed: int,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._spec, self._pixels = spec, data.pixels
        self._parts = {"train": data.train, "validation": data.validation}
        self._settings, self._seed = settings, seed
        stored = tf.TensorSpec((None, *data.pixels.shape[1:]), tf.dtypes.as_dtype(data.pixels.dtype))
        self._prepare = tf.function(spec.prepare or tf.identity, input_signature=[stored], autograph=False)
        prepared = self._prepare.get_concrete_function().structured_outputs
        image_bytes = prepared.shape[1:].num_elements() * prepared.dtype.size
        fits = len(data) * image_bytes <= held_bytes
        weights, targets = self._weigh(), data.train.targets
        if targets is not None and spec.trainer is classifier:
            targets = scaled_targets(targets)
        with tf.device("CPU:0"):
            self._weights = None if weights is None else tf.constant(weights)
            self._targets = None if targets is None else tf.constant(targets)
            self._labels = {name: tf.constant(part.labels, tf.int32) for name, part in self._parts.items()}
        self._held = {name: self._hold(part) for name, part in self._parts.items()} if fits else {}
        batch = [tf.TensorSpec(prepared.shape, prepared.dtype), tf.TensorSpec((None,), tf.int32)]
        number, means = tf.TensorSpec((), tf.int64), tf.TensorSpec((None, spec.classes), tf.float32)
        arguments = [number, *batch] if spec.mean_decay is None else [number, *batch, means]
        self._random = tf.function(self._random_view, input_signature=arguments, autograph=False)
        self._plain = tf.function(spec.plain_view, input_signature=batch[:1], autograph=False)
        labelled = tf.function(self._validation_view, input_signature=batch, autograph=False)
        self.validation = self._in_order("validation").map(labelled)

    @property
    def held_images(self) -> int:
        """Number of images kept in memory."""
        return sum(len(held) for held in self._held.values())

    def training_views(self) -> tf.data.Dataset:
        """Return batches of the training part's plain views (b, ...), in its order."""
        return self._in_order("train").map(lambda images, positions: self._plain(images))

    def train(self, epoch: int, means: NDArray[np.float32] | None = None) -> tf.data.Dataset:
        """Return the batches of an epoch: views, smoothed targets (n, classes), and weights (n,) where they differ.

        Where the spec has running means, those of the samples (n, classes) are last; `means` has a row for each sample
        of the training part.
        """
        batches = self._batches("train", self._training_reading(epoch))
        numbered = batches.enumerate(start=epoch * len(batches))
        # Views of preprocessed images in memory cost less than handing them between threads.
        threads = None if self._held and self._spec.prepare else tf.data.AUTOTUNE
        more = [] if means is None else [tf.constant(means)]
        views = numbered.map(lambda step, batch: self._random(step, *batch, *more), num_parallel_calls=threads)
        return views.prefetch(PREFETCHED)

    def _training_reading(self, epoch: int) -> Reading:
        """Return the samples of an epoch and their order.

        They are all, or a fresh subset of a class beside all others; with `balance=sampling` as many of each class.
        """
        part, sampled, fresh = self._parts["train"], self._settings.balance == "sampling", self._spec.fresh
        positions = np.arange(len(part)) if fresh is None else fresh.positions(part.labels, self._seed, epoch)
        if sampled:
            rng = np.random.default_rng([self._seed, epoch, _DRAWING])
            positions = positions[draw_evenly(part.labels[positions], rng)]
        strata = part.labels[positions] if sampled or self._spec.even_classes else None
        return Reading(part.rows[positions], positions, self._settings.batch_size, self._seed, epoch, strata)

    def _in_order(self, name: str) -> tf.data.Dataset:
        return self._batches(name, _in_order(self._parts[name], 2 * self._settings.batch_size))

    def _batches(self, name: str, reading: Reading) -> tf.data.Dataset:
        """Return batches of preprocessed images and their positions in the part."""
        if name in self._held:
            return held_batches(self._held[name], self._pixels, reading)
        batches = image_batches(self._pixels, reading)
        if self._spec.prepare is None:
            return batches
        return batches.map(lambda images, places: (self._prepare(images), places), num_parallel_calls=tf.data.AUTOTUNE)

    def _hold(self, part: SplitPart) -> tf.Tensor:
        with tf.device("CPU:0"):
            batches = image_batches(self._pixels, _in_order(part, _GATHERED))
            return tf.concat([self._prepare(images) for images, _ in batches], axis=0)

    def _weigh(self) -> NDArray | None:
        """Return the weights of the training samples; a trainer of its own knows by itself what is unlabelled."""
        balanced, own = self._settings.balance == "weights", self._spec.trainer is not classifier
        if own and balanced:
            raise ValueError("balance=weights needs the plain cross-entropy; use balance=sampling")
        return None if own else sample_weights(self._parts["train"].shares(self._spec.classes), balanced=balanced)

    def _random_view(
        self, step: tf.Tensor, images: tf.Tensor, positions: tf.Tensor, *means: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        seed = tf.stack([tf.cast(step, tf.int32), self._seed])
        targets = self._training_targets(positions)
        if self._spec.view_targets is not None:
            targets = self._spec.view_targets(targets, seed)
        spread = self._settings.label_smoothing / self._spec.classes * tf.reduce_sum(targets, 1, True)
        smoothed = targets * (1 - self._settings.label_smoothing) + spread
        views = self._spec.random_view(images, seed)
        of_samples = [*([] if self._weights is None else [self._weights]), *means]
        return views, smoothed, *(tf.gather(values, positions) for values in of_samples)

    def _training_targets(self, positions: tf.Tensor) -> tf.Tensor:
        if self._targets is not None:
            return tf.gather(self._targets, positions)
        return tf.one_hot(tf.gather(self._labels["train"], positions), self._spec.classes)

    def _validation_view(self, images: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels = tf.gather(self._labels["validation"], positions)
        return self._spec.plain_view(images), tf.one_hot(labels, self._spec.classes)


def _in_order(part: SplitPart, batch_size: int) -> Reading:
    return Reading(part.rows, np.arange(len(part)), batch_size)
