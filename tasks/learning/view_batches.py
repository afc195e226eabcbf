"""Batches of views and targets for a fit, epoch after epoch.

If both parts fit into `HELD_BYTES`, their images are kept in memory, preprocessed where the spec does that; otherwise
images are read and preprocessed again in every epoch. The batches are the same.
"""

import tensorflow as tf

from tasks.learning.batches import PREFETCHED, Reading, held_batches, image_batches
from tasks.learning.fit_settings import FitSettings
from tasks.learning.fit_spec import FitData, FitSpec
from tasks.learning.split_parts import SplitPart

HELD_BYTES = 512 * 2**20
"""Largest size of the images kept in memory; gathering them takes twice as much."""
_GATHERED = 1024


class Feed:
    """The batches of a fit.

    Views are traced once: tracing them in every epoch would take a third of a short epoch.

    Parameters
    ----------
    spec : FitSpec
    data : FitData
    settings : FitSettings
        The batch size (validation takes twice as many) and the label smoothing.
    seed : int
        Seed of the order and the views of training.
    held_bytes : int
        Largest size of the images kept in memory.

    Attributes
    ----------
    validation : tf.data.Dataset
        The batches of the validation part: views and targets (n, classes).
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
        self._held = {name: self._hold(part) for name, part in self._parts.items()} if fits else {}
        batch = [tf.TensorSpec(prepared.shape, prepared.dtype), tf.TensorSpec((None,), tf.int32)]
        number = tf.TensorSpec((), tf.int64)
        self._random = tf.function(self._random_view, input_signature=[number, *batch], autograph=False)
        plain = tf.function(self._plain_view, input_signature=batch, autograph=False)
        self.validation = self._batches("validation", 2 * settings.batch_size).map(plain)

    @property
    def held_images(self) -> int:
        """Number of images kept in memory."""
        return sum(len(held) for held in self._held.values())

    def train(self, epoch: int) -> tf.data.Dataset:
        """Return the batches of an epoch: views and smoothed targets (n, classes)."""
        even = self._spec.even_classes
        batches = self._batches("train", self._settings.batch_size, seed=self._seed, epoch=epoch, even_classes=even)
        numbered = batches.enumerate(start=epoch * len(batches))
        # Views of preprocessed images in memory cost less than handing them between threads.
        threads = None if self._held and self._spec.prepare else tf.data.AUTOTUNE
        views = numbered.map(lambda step, batch: self._random(step, *batch), num_parallel_calls=threads)
        return views.prefetch(PREFETCHED)

    def _batches(
        self, name: str, size: int, seed: int | None = None, epoch: int = 0, even_classes: bool = False
    ) -> tf.data.Dataset:
        """Return batches of preprocessed images and labels."""
        reading = Reading(self._parts[name].rows, self._parts[name].labels, size, seed, epoch, even_classes)
        if name in self._held:
            return held_batches(self._held[name], self._pixels, reading)
        batches = image_batches(self._pixels, reading)
        if self._spec.prepare is None:
            return batches
        return batches.map(lambda images, labels: (self._prepare(images), labels), num_parallel_calls=tf.data.AUTOTUNE)

    def _hold(self, part: SplitPart) -> tf.Tensor:
        with tf.device("CPU:0"):
            batches = image_batches(self._pixels, Reading(part.rows, part.labels, _GATHERED))
            return tf.concat([self._prepare(images) for images, _ in batches], axis=0)

    def _random_view(self, step: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        seed = tf.stack([tf.cast(step, tf.int32), self._seed])
        targets = tf.one_hot(labels, self._spec.classes)
        spread = self._settings.label_smoothing / self._spec.classes * tf.reduce_sum(targets, 1, True)
        return self._spec.random_view(images, seed), targets * (1 - self._settings.label_smoothing) + spread

    def _plain_view(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return self._spec.plain_view(images), tf.one_hot(labels, self._spec.classes)
