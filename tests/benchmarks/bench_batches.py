"""Batches from Zarr shards against TFRecord and against rows one by one, and what share of a step is waiting.

All readers give shuffled batches of the same 128-px images from the page cache, by turns, so that a ratio is of two
passes that followed each other. The TFRecord reader is built as its guide advises: several gzip files, parallel
interleaved reads, records batched before they are parsed. What checksums cost is measured on
passes of the same reader over shards with and without.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import numpy as np
import zarr
from zarr.storage import LocalStore

from tasks.store import pixels

IMAGES = 3072
ONE_BY_ONE = 256
BATCH = 64
REPEATS = 9
CHECKSUM_PAIRS = 15
TRAINED_STEPS = 40
_RECORD_FILES = 8


def run() -> dict[str, Any]:
    """Measure the readers side by side, and the waiting of a training."""
    with tempfile.TemporaryDirectory() as folder:
        images = galaxy_like(IMAGES)
        array = stored(Path(folder) / "pixels.zarr", images)
        records = written_records(Path(folder) / "records", images)
        readers = {
            "shards": lambda: shards(array),
            "records": lambda: record_batches(records, images.shape[1:], "uint8"),
            "one_by_one": lambda: one_by_one(array),
        }
        rates = by_turns(readers, REPEATS)
        return {
            **{f"{name}_images_per_s": median(run[name].per_s for run in rates) for name in readers},
            **compared("records", rates),
            "times_one_by_one": median(run["shards"].per_s / run["one_by_one"].per_s for run in rates),
            "checksum_cost": checksum_cost(Path(folder) / "plain", array, images),
            "input_share": input_share(array),
        }


def by_turns(readers: Mapping[str, Callable[[], Iterable[int]]], repeats: int) -> list[dict[str, "Rate"]]:
    """Return the rates of every turn, in which each reader makes one pass; a first pass builds its graph."""
    for reader in readers.values():
        measured(reader)
    return [{name: measured(reader) for name, reader in readers.items()} for _ in range(repeats)]


def compared(other: str, rates: list[dict[str, "Rate"]]) -> dict[str, float]:
    """Return how many times faster shards are read than by `other`: median, quartiles, and by processor time."""
    times = [turn["shards"].per_s / turn[other].per_s for turn in rates]
    low, _, high = quantiles(times, n=4)
    return {
        f"times_{other}": median(times),
        f"times_{other}_quarter": low,
        f"times_{other}_three_quarters": high,
        f"times_{other}_by_processor_time": median(
            turn["shards"].per_processor_s / turn[other].per_processor_s for turn in rates
        ),
    }


def checksum_cost(folder: Path, checked: zarr.Array, images: np.ndarray) -> float:
    """Return by what part checksums lengthen a shuffled pass, in processor time: the best of each, by turns."""
    group = zarr.open_group(LocalStore(folder), mode="w", zarr_format=3)
    plain = group.create_array(
        pixels.ARRAY_NAME,
        shape=checked.shape,
        chunks=checked.chunks,
        shards=checked.shards,
        dtype=checked.dtype,
        compressors=checked.compressors[:-1],
        fill_value=0,
    )
    fill(plain, images)
    arrays = (pixels.open_array(folder), checked)
    rates = [[measured(partial(shards, array)).per_processor_s for array in arrays] for _ in range(CHECKSUM_PAIRS)]
    without, with_checksums = (max(column) for column in zip(*rates, strict=True))
    return without / with_checksums - 1


def galaxy_like(count: int) -> np.ndarray:
    """Return (count, 128, 128, 3) uint8: a spot on noise, which compresses about as a real cutout does."""
    rng = np.random.default_rng(0)
    y, x = np.indices((128, 128)) - 63.5
    images = np.empty((count, 128, 128, 3), np.uint8)
    for image in images:
        spot = 180 * np.exp(-(x**2 + (y * rng.uniform(1, 3)) ** 2) / rng.uniform(50, 600))
        image[:] = np.clip(spot[..., None] + rng.gamma(2.0, 3.0, (128, 128, 3)), 0, 255)
    return images


def stored(folder: Path, images: np.ndarray) -> zarr.Array:
    """Write the images as a dataset's store holds them."""
    array = pixels.create(folder, images.shape[1:], images.dtype.name)
    pixels.grow(array, len(images))
    fill(array, images)
    return pixels.open_array(folder)


def fill(array: zarr.Array, images: np.ndarray) -> None:
    """Write the images shard by shard."""
    for first in range(0, len(images), pixels.SHARD_ROWS):
        pixels.write_shard(array, first, images[first : first + pixels.SHARD_ROWS])


def written_records(folder: Path, images: np.ndarray) -> list[str]:
    """Write the images as gzip TFRecord files and return their paths."""
    import tensorflow as tf

    folder.mkdir()
    paths = [str(folder / f"{at}.tfrecord.gz") for at in range(_RECORD_FILES)]
    for at, path in enumerate(paths):
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
            for row in range(at, len(images), _RECORD_FILES):
                features = {
                    "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[images[row].tobytes()])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[row])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return paths


class Rate(NamedTuple):
    """Images a second of one pass, by the clock and by the processor time of all threads.

    The second tells readers apart where other work shares the cores.
    """

    per_s: float
    per_processor_s: float


def measured(reader: Callable[[], Iterable[int]]) -> Rate:
    """Return the rate of one pass."""
    clock, processor = time.perf_counter(), time.process_time()
    count = sum(reader())
    return Rate(count / (time.perf_counter() - clock), count / (time.process_time() - processor))


def shards(array: zarr.Array) -> Iterable[int]:
    """Yield the size of each batch that `image_batches` gives."""
    from tasks.learning.fits.batches import Reading, image_batches

    rows = np.arange(array.shape[0])
    for _, labels in image_batches(array, Reading(rows, rows, BATCH, seed=0)):
        yield len(labels)


def record_batches(paths: list[str], shape: tuple[int, ...], dtype: str) -> Iterable[int]:
    """Yield the size of each batch of a gzip TFRecord reader of images of this shape."""
    import tensorflow as tf

    features = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def parse(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_example(records, features)
        return tf.reshape(tf.io.decode_raw(parsed["image"], dtype), (-1, *shape)), parsed["label"]

    files = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths), seed=0)
    records = files.interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP"),
        cycle_length=4,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=False,
    )
    # Records are shuffled before they are parsed, over as many images as a pool of shards holds.
    batches = records.shuffle(1536, seed=0).batch(BATCH).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    for _, labels in batches.prefetch(tf.data.AUTOTUNE):
        yield len(labels)


def one_by_one(array: zarr.Array) -> Iterable[int]:
    """Yield 1 for each of some images read alone, in random order."""
    for row in np.random.default_rng(0).permutation(array.shape[0])[:ONE_BY_ONE]:
        _ = np.asarray(array[int(row)])
        yield 1


def input_share(array: zarr.Array) -> float:
    """Return the share of the training time that the deck's network waits for its next batch."""
    import keras
    import tensorflow as tf

    from galaxy.models.augmentation import random_view
    from galaxy.models.networks import build_network
    from tasks.galaxies.presets import load_preset
    from tasks.learning.fits.batches import Reading, image_batches
    from tasks.learning.fits.devices import choose_device

    preset = load_preset("cnn", "deck")
    network = build_network(preset, 128, 2, grey=False, precision=choose_device("cpu").precision)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rows = np.arange(array.shape[0])
    batches = (
        image_batches(array, Reading(rows, rows % 2, BATCH, seed=0))
        .enumerate()
        .map(
            lambda step, batch: (
                random_view(batch[0], tf.stack([tf.cast(step, tf.int32), 0]), preset.augmentation, 128),
                batch[1],
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )
    waiting = working = 0.0
    reader = iter(batches)
    network.train_on_batch(*next(reader))  # compiles
    for _ in range(TRAINED_STEPS):
        started = time.perf_counter()
        images, labels = next(reader)
        read = time.perf_counter()
        network.train_on_batch(images, labels)
        waiting, working = waiting + read - started, working + time.perf_counter() - read
    return waiting / (waiting + working)
