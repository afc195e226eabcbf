"""What a fit is fed: batches of views and targets, epoch after epoch.

Images are prepared once and held, where a learner prepares them and both parts fit into `HELD_BYTES`; else they are
read, and prepared, anew in every epoch. The batches are the same.
"""

import tensorflow as tf
import zarr

from tasks.learning.batches import PREFETCHED, Reading, held_batches, image_batches
from tasks.learning.fit_spec import FitSpec
from tasks.learning.split_parts import SplitPart

HELD_BYTES = 512 * 2**20
"""Of prepared images in memory at most; while they are gathered they take twice as much."""
_GATHERED = 1024


class Feed:
    """The batches of a fit.

    Views are traced once: anew in every epoch they take a third of a short one.

    Parameters
    ----------
    learner : FitSpec
    pixels : zarr.Array
    train, validation : SplitPart
        Sorted by row.
    step_images : int
        Images a training step; validation takes twice as many.
    seed : int
        Of the order and the views of training.
    smoothing : float
        Share of a training label's weight that is spread over all classes.
    held_bytes : int

    Attributes
    ----------
    validation : tf.data.Dataset
        The batches of the validation part: views and targets (n, classes).
    """

    def __init__(
        self,
        learner: FitSpec,
        pixels: zarr.Array,
        train: SplitPart,
        validation: SplitPart,
        step_images: int,
        seed: int,
        smoothing: float,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._learner, self._pixels = learner, pixels
        self._parts = {"train": train, "validation": validation}
        self._step_images, self._seed, self._smoothing = step_images, seed, smoothing
        stored = tf.TensorSpec((None, *pixels.shape[1:]), tf.dtypes.as_dtype(pixels.dtype))
        self._prepare = tf.function(learner.prepare or tf.identity, input_signature=[stored], autograph=False)
        prepared = self._prepare.get_concrete_function().structured_outputs
        image_bytes = prepared.shape[1:].num_elements() * prepared.dtype.size
        fits = (len(train) + len(validation)) * image_bytes <= held_bytes
        self._held = {name: self._hold(part) for name, part in self._parts.items()} if learner.prepare and fits else {}
        batch = [tf.TensorSpec(prepared.shape, prepared.dtype), tf.TensorSpec((None,), tf.int32)]
        number = tf.TensorSpec((), tf.int64)
        self._random = tf.function(self._random_view, input_signature=[number, *batch], autograph=False)
        plain = tf.function(self._plain_view, input_signature=batch, autograph=False)
        self.validation = self._batches("validation", 2 * step_images).map(plain)

    @property
    def held_images(self) -> int:
        """How many prepared images are held."""
        return sum(len(held) for held in self._held.values())

    def train(self, epoch: int) -> tf.data.Dataset:
        """Return the batches of an epoch: views and smoothed targets (n, classes)."""
        even = self._learner.even_classes
        batches = self._batches("train", self._step_images, seed=self._seed, epoch=epoch, even_classes=even)
        numbered = batches.enumerate(start=epoch * len(batches))
        threads = None if self._held else tf.data.AUTOTUNE
        views = numbered.map(lambda step, batch: self._random(step, *batch), num_parallel_calls=threads)
        return views.prefetch(PREFETCHED)

    def _batches(
        self, name: str, size: int, seed: int | None = None, epoch: int = 0, even_classes: bool = False
    ) -> tf.data.Dataset:
        """Return batches of prepared images and labels."""
        reading = Reading(self._parts[name].rows, self._parts[name].labels, size, seed, epoch, even_classes)
        if name in self._held:
            return held_batches(self._held[name], self._pixels, reading)
        batches = image_batches(self._pixels, reading)
        if self._learner.prepare is None:
            return batches
        return batches.map(lambda images, labels: (self._prepare(images), labels), num_parallel_calls=tf.data.AUTOTUNE)

    def _hold(self, part: SplitPart) -> tf.Tensor:
        with tf.device("CPU:0"):
            batches = image_batches(self._pixels, Reading(part.rows, part.labels, _GATHERED))
            return tf.concat([self._prepare(images) for images, _ in batches], axis=0)

    def _random_view(self, step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([tf.cast(step, tf.int32), self._seed])
        targets = tf.one_hot(labels, self._learner.classes)
        spread = self._smoothing / self._learner.classes * tf.reduce_sum(targets, 1, True)
        return self._learner.random_view(images, seed), targets * (1 - self._smoothing) + spread

    def _plain_view(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._learner.plain_view(images), tf.one_hot(labels, self._learner.classes)
